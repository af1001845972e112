/**
 * Opening a tracked file: what the source image recorded goes on where it was, everything else begins by its flags.
 *
 * Invariants
 * 1. No path is cut or emptied by opening it: what is there is looked at, its baseline recorded, and only then is it
 *    changed, through the descriptor that was looked at.
 * 2. A file that is made is made exclusively, and that it is ours is durable before anything can be written to it.
 * 3. Handles never have O_APPEND (they know their position) and never follow a symbolic link at their path.
 */
import { constants } from 'node:fs';
import type { FileStat, OpenFile } from '../base/ports.js';
import { NO_FOLLOW } from '../store/durable.js';
import { quietly } from '../store/failure.js';
import { copyOut } from './bytes.js';
import { checkRangeOf, hashRange } from './check.js';
import type { StartContext } from './context.js';
import type { Baseline, FileDeclaration, TrackedFileRecord } from './contract.js';
import { writes } from './declaration.js';
import type { OpenedFile } from './ends.js';
import { fileError, onFile } from './failure.js';
import { type Inspected, openInspected, type Place } from './inspect.js';
import { planFile } from './plan.js';
import { applyPlans } from './put-back.js';
import { attemptOn } from './verify.js';

const MAKE = constants.O_RDWR | constants.O_CREAT | constants.O_EXCL | NO_FOLLOW;

/**
 * @param record what the source image recorded of it, at the first opening of this life; undefined otherwise
 * @throws CheckpointError ERR_CKPT_FILE, _FILE_CHANGED, _FILE_MISSING, _FILE_UNSAFE, _FENCED, _NO_SPACE, _IO
 */
export async function openTracked(
  declaration: FileDeclaration,
  record: TrackedFileRecord | undefined,
  context: StartContext,
): Promise<OpenedFile> {
  if (declaration.policy === 'ignore') return openIgnored(declaration, context);
  if (writes(declaration.flags)) await context.assertNewest();
  if (record === undefined || !context.ready.has(declaration.path)) {
    const hold = await applyPlans([await planFile(declaration, record, context, context.ready.has(declaration.path))], context);
    await hold.done();
  }
  const opened = record === undefined ? await openNew(declaration, context) : await openRecorded(declaration, record, context);
  context.baselines.settle(declaration.path);
  context.ready.delete(declaration.path); // whoever opens it again in this life begins by its flags
  return opened;
}

/** Nobody looks after it: an ordinary open, devices and links included. */
async function openIgnored({ name, path, flags, mode }: FileDeclaration, { fileSystem }: StartContext): Promise<OpenedFile> {
  const how = {
    r: constants.O_RDONLY,
    'r+': constants.O_RDWR,
    a: constants.O_RDWR | constants.O_CREAT,
    w: constants.O_RDWR | constants.O_CREAT | constants.O_TRUNC,
    wx: constants.O_RDWR | constants.O_CREAT | constants.O_EXCL,
  };
  return onFile({ operation: 'open', name, path, phase: 'apply' }, async () => {
    const file = await fileSystem.open(path, how[flags], mode);
    return closedOnFailure(file, async () => {
      const stat = await file.stat();
      return opened({ file, stat }, flags === 'a' ? stat.size : 0, stat.size);
    });
  });
}

async function openRecorded(declaration: FileDeclaration, record: TrackedFileRecord, context: StartContext): Promise<OpenedFile> {
  const place = placeOf(declaration);
  const writing = writes(declaration.flags);
  const inspected = await openInspected(context, place, writing);
  if (inspected === undefined) {
    if (declaration.policy === 'volatile' && writing) return make(declaration, context, { baseline: false });
    throw fileError('ERR_CKPT_FILE_MISSING', attemptOn(place), {
      expected: `${record.size} bytes, as the image recorded`,
      found: 'no file',
      remedy: 'put it back, or restart from another image',
    });
  }
  return closedOnFailure(inspected.file, async () => {
    const { size } = inspected.stat;
    if (declaration.policy === 'volatile') {
      return opened(inspected, declaration.flags === 'r' ? Math.min(record.position, size) : size, size);
    }
    if (writing) await recordGoingOn(declaration, record, inspected, context);
    return opened(inspected, record.position, writing ? record.size : size);
  });
}

/**
 * From here on the file may hold what another image knows nothing of, also where putting it back changed nothing. A store
 * that was imported has no baselines: then what the image says is the oldest that is known.
 */
async function recordGoingOn(
  declaration: FileDeclaration,
  { size, check }: TrackedFileRecord,
  inspected: Inspected,
  context: StartContext,
): Promise<void> {
  const { baselines } = context;
  const { dev, ino } = inspected.stat;
  // Where this start has made the file from the image, there was none before.
  const wasMade = baselines.isNew(declaration) && baselines.wasMadeAt(declaration.path, inspected.stat);
  if (declaration.flags === 'r+' && !wasMade) return recordBaseline(declaration, inspected, context);
  const was = wasMade ? ({ kind: 'absent' } as const) : ({ kind: 'present', size, identity: { dev, ino }, check } as const);
  await baselines.record(declaration, context.generation(), async () => was);
}

async function openNew(declaration: FileDeclaration, context: StartContext): Promise<OpenedFile> {
  const { flags, policy } = declaration;
  const place = placeOf(declaration);
  const inspected = await openInspected(context, place, writes(flags));
  if (inspected === undefined) {
    if (flags === 'r' || flags === 'r+') throw noFile(place, flags);
    return make(declaration, context, { baseline: policy !== 'volatile' });
  }
  return closedOnFailure(inspected.file, async () => {
    if (goesOnAsClosed(declaration, context)) {
      if (policy !== 'volatile') await recordBaseline({ ...declaration, flags: 'a' }, inspected, context);
      return opened(inspected, inspected.stat.size, inspected.stat.size);
    }
    if (flags === 'wx') throw taken(place, inspected.stat);
    if (writes(flags) && policy !== 'volatile') await recordBaseline(declaration, inspected, context);
    if (flags === 'w') {
      await onFile(attemptOn(place), () => inspected.file.truncate(0));
      return opened(inspected, 0, 0);
    }
    const { size } = inspected.stat;
    return opened(inspected, flags === 'a' ? size : 0, size);
  });
}

/**
 * A file that the run had written and closed when the source image was made, and that is declared again before start():
 * that is the same handle, not another opening, so `w` cuts nothing and `wx` finds nothing in its way. Of one that is
 * `volatile` nothing was written down, and no restart takes anything from it.
 */
function goesOnAsClosed(declaration: FileDeclaration, { ready, source, baselines }: StartContext): boolean {
  const { flags, path, policy } = declaration;
  if ((flags !== 'w' && flags !== 'wx') || source === null || !ready.has(path)) return false;
  return policy === 'volatile' || baselines.isOfHistory(declaration, source);
}

async function make(
  declaration: FileDeclaration,
  context: StartContext,
  { baseline }: { readonly baseline: boolean },
): Promise<OpenedFile> {
  const { name, path, mode } = declaration;
  if (baseline) await context.baselines.record(declaration, context.generation(), async () => ({ kind: 'absent' }));
  return onFile({ operation: 'make', name, path, phase: 'apply' }, async () => {
    const file = await context.fileSystem.open(path, MAKE, mode);
    return closedOnFailure(file, async () => {
      const stat = await file.stat();
      if (baseline) await context.baselines.made(path, stat);
      return { ...opened({ file, stat }, 0, 0), created: true };
    });
  });
}

/** Durably records what the file is now: for handles that change it in place with a copy of its content. */
async function recordBaseline(declaration: FileDeclaration, inspected: Inspected, context: StartContext): Promise<void> {
  await context.baselines.record(declaration, context.generation(), () =>
    onFile({ ...attemptOn(placeOf(declaration)), phase: 'apply' }, () => measure(declaration, inspected, context)),
  );
}

async function measure(declaration: FileDeclaration, { file, stat }: Inspected, context: StartContext): Promise<Baseline['was']> {
  const { flags, policy } = declaration;
  const { dev, ino } = stat;
  // What `w` finds is given up by the program itself; only an image of before may need it.
  const isNeeded = !context.baselines.isNew(declaration) && context.generation() > 0;
  const size = flags === 'w' && !isNeeded ? 0 : stat.size;
  const keepsCopy = flags === 'w' ? size > 0 : flags === 'r+' || policy === 'contents' || policy === 'contents-if-missing';
  const { from, to } = keepsCopy ? { from: 0, to: size } : checkRangeOf(declaration, size, size);
  const check = { from, to, hash: await hashRange(file, from, to) };
  const was = { kind: 'present', size, identity: { dev, ino }, check } as const;
  return keepsCopy ? { ...was, copy: await keepCopy(declaration, file, check, context) } : was;
}

async function keepCopy(
  declaration: FileDeclaration,
  file: OpenFile,
  { to, hash }: { readonly to: number; readonly hash: string },
  { baselines, journal }: StartContext,
): Promise<string> {
  const known = baselines.copyOf(declaration, hash);
  if (known !== undefined) return known;
  const copy = baselines.copyName();
  try {
    await journal.save(copy, (sink) => copyOut(file, 0, to, sink, () => {}));
  } catch (cause) {
    await quietly(() => journal.drop(copy)); // no entry speaks of it yet
    throw cause;
  }
  return copy;
}

function opened({ file, stat: { dev, ino } }: Inspected, position: number, size: number): OpenedFile {
  return { file, identity: { dev, ino }, position, size, created: false };
}

async function closedOnFailure<T>(file: OpenFile, use: () => Promise<T>): Promise<T> {
  try {
    return await use();
  } catch (cause) {
    await quietly(() => file.close());
    throw cause;
  }
}

function placeOf({ name, path }: FileDeclaration): Place {
  return { name, path, trust: 'registered' };
}

function noFile(place: Place, flags: string): Error {
  const found = { expected: `a file to open with flags '${flags}'`, found: 'none', remedy: 'put it there' };
  return fileError('ERR_CKPT_FILE_MISSING', attemptOn(place), found);
}

function taken(place: Place, { size }: FileStat): Error {
  const found = { expected: "no file, because flags 'wx' make it", found: `one of ${size} bytes`, remedy: 'take it away' };
  return fileError('ERR_CKPT_FILE', attemptOn(place), found);
}
