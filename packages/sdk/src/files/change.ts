/**
 * One change of one file: keeping what it takes away, doing it, undoing it.
 *
 * Invariants
 * 1. A file is changed only through a descriptor that was verified (inspect.ts) and is the one that was planned.
 * 2. Only a path that the program registered is made or removed.
 * 3. Doing and undoing may be begun anew after a kill at any point: both lead to the same end from any state between.
 * 4. A change is durable when the call returns.
 */
import { constants } from 'node:fs';
import { dirname } from 'node:path';
import { Blake3Hasher } from '@napi-rs/blake-hash';
import { isCheckpointError, messageOf } from '../base/errors.js';
import type { FileStat, OpenFile } from '../base/ports.js';
import type { ByteSource } from '../image/contract.js';
import { NO_FOLLOW, syncFolder } from '../store/durable.js';
import { ifPresent, quietly } from '../store/failure.js';
import type { Action } from './apply-record.js';
import { asReadable, copyIn, copyOut } from './bytes.js';
import { hashRange, tailRange } from './check.js';
import type { StartContext } from './context.js';
import type { HashedRange, KeptTail } from './contract.js';
import { fileError, onFile } from './failure.js';
import { type Inspected, look, type Place, type Trust, withInspected } from './inspect.js';
import type { Change } from './plan-types.js';

const CREATE = constants.O_RDWR | constants.O_CREAT | constants.O_EXCL | NO_FOLLOW;

export interface Target {
  readonly action: Action;
  readonly trust: Trust;
}

function placeOf({ action: { name, path }, trust }: Target): Place {
  return { name, path, trust };
}

function changed({ action: { name, path } }: Target, expected: string, found: string): Error {
  const remedy = 'see who else changes it, and start again';
  return fileError('ERR_CKPT_FILE_CHANGED', { operation: 'put back', name, path, phase: 'apply' }, { expected, found, remedy });
}

/** Saves the bytes that the action takes away, durably. @throws CheckpointError ERR_CKPT_NO_SPACE, … */
export async function keepTail(target: Target, context: StartContext): Promise<KeptTail | undefined> {
  const { action } = target;
  const { tail, keep, before } = action;
  if (tail === undefined) return undefined;
  const hasher = new Blake3Hasher();
  const kept = await withInspected(context, placeOf(target), true, async ({ file, stat }) => {
    assertPlanned(target, stat);
    try {
      await context.journal.save(tail, (sink) => copyOut(file, keep, before, sink, (piece) => void hasher.update(asBuffer(piece))));
    } catch (cause) {
      throw notKept(target, cause);
    }
    const { from, to } = tailRange(keep);
    const prefix = { from, to, hash: await hashRange(file, from, to) };
    return { file: tail, size: before - keep, hash: hasher.digestBuffer().toString('hex'), prefix };
  });
  if (kept === undefined) throw changed(target, `a file of ${before} bytes, as it was verified`, 'none');
  return kept;
}

/** The last 1 MiB of a file of which nothing is taken away. */
export async function checkBefore(target: Target, size: number, context: StartContext): Promise<HashedRange> {
  const { from, to } = tailRange(size);
  const check = await withInspected(context, placeOf(target), true, async ({ file, stat }) => {
    assertPlanned(target, stat);
    return { from, to, hash: await hashRange(file, from, to) };
  });
  if (check === undefined) throw changed(target, `a file of ${size} bytes, as it was verified`, 'none');
  return check;
}

function asBuffer({ buffer, byteOffset, byteLength }: Uint8Array): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength);
}

function notKept({ action: { name, path, keep, before } }: Target, cause: unknown): unknown {
  if (!isCheckpointError(cause)) return cause;
  return fileError(
    cause.code,
    { operation: 'put back', name, path, phase: 'apply' },
    {
      expected: `to keep the ${before - keep} bytes that it has beyond, before they are cut`,
      found: messageOf(cause),
      remedy: 'free space for them, or move the file away yourself; nothing was changed',
      cause,
    },
  );
}

/** Nobody else may have changed the file since it was verified. */
function assertPlanned(target: Target, { ino, size }: FileStat): void {
  const { action } = target;
  if (ino === action.ino && size === action.before) return;
  throw changed(target, `inode ${action.ino} with ${action.before} bytes, as it was verified`, `inode ${ino} with ${size} bytes`);
}

/** Does it. */
export async function perform(target: Target, content: Change['content'], context: StartContext): Promise<void> {
  const { action } = target;
  switch (action.do) {
    case 'rewrite':
      await existing(target, context, async ({ file, stat }) => {
        assertPlanned(target, stat);
        await rewrite(file, action.keep, action.after, content);
      });
      break;
    case 'remove':
      await existing(target, context, async ({ stat }) => assertPlanned(target, stat));
      await removeRegistered(target, context);
      break;
    case 'create':
      await make(target, context, (file) => rewrite(file, 0, action.after, content));
  }
}

async function rewrite(file: OpenFile, keep: number, size: number, content: Change['content']): Promise<void> {
  if (content !== undefined) {
    const source = await content();
    try {
      await copyIn(source, keep, size, file);
    } finally {
      await quietly(() => source.close());
    }
  }
  await file.truncate(size);
  await file.sync();
}

async function existing(target: Target, context: StartContext, use: (inspected: Inspected) => Promise<void>): Promise<void> {
  const done = await withInspected(context, placeOf(target), true, async (inspected) => {
    await use(inspected);
    return true;
  });
  if (done !== true) throw changed(target, 'the file that was verified', 'none');
}

/** Invariant 2. */
function assertRegistered(target: Target): void {
  const { action, trust } = target;
  if (trust === 'registered') return;
  throw fileError(
    'ERR_CKPT_FILE_UNSAFE',
    { operation: 'put back', name: action.name, path: action.path, phase: 'apply' },
    {
      expected: 'a path that the program has declared, because a file has to be made or removed there',
      found: 'that only the store names it',
      remedy: 'declare the file before start()',
    },
  );
}

async function removeRegistered(target: Target, { fileSystem }: StartContext): Promise<void> {
  assertRegistered(target);
  const { name, path } = target.action;
  await onFile({ operation: 'remove', name, path, phase: 'apply' }, async () => {
    await ifPresent(() => fileSystem.unlink(path));
    await syncFolder(fileSystem, dirname(path));
  });
}

/** Makes the file; that it is ours is durable before the first byte goes into it. */
async function make(target: Target, context: StartContext, fill: (file: OpenFile) => Promise<void>): Promise<void> {
  assertRegistered(target);
  const { name, path, mode } = target.action;
  await onFile({ operation: 'make', name, path, phase: 'apply' }, async () => {
    const file = await context.fileSystem.open(path, CREATE, mode);
    try {
      await context.baselines.made(path, await file.stat());
      await fill(file);
    } finally {
      await quietly(() => file.close());
    }
    await syncFolder(context.fileSystem, dirname(path));
  });
}

/** Puts the file back to what it was before `perform`, whether that was done wholly, partly or not at all. */
export async function undo(target: Target, tail: KeptTail | undefined, context: StartContext): Promise<void> {
  const { action } = target;
  const place = placeOf(target);
  const seen = await look(context, place, true);
  if (action.do === 'create') {
    if (seen === undefined) return;
    if (seen.size > 0 && !context.baselines.wasMadeAt(action.path, seen))
      throw changed(target, 'the file that this run made', `inode ${seen.ino}`);
    return removeRegistered(target, context);
  }
  const source = tail === undefined ? undefined : await openTail(target, tail, context);
  try {
    const restore = (file: OpenFile): Promise<void> => restoreTail(file, action, source);
    if (seen === undefined && action.do === 'remove') return await make(target, context, restore);
    await existing(target, context, async ({ file, stat }) => {
      assertSameFile(target, stat, context);
      await restore(file);
    });
  } finally {
    await quietly(async () => source?.close());
  }
}

async function restoreTail(file: OpenFile, { keep, before }: Action, source: ByteSource | undefined): Promise<void> {
  if (source !== undefined) await copyIn(source, 0, before - keep, file, keep);
  await file.truncate(before);
  await file.sync();
}

/** The file must be the one that was changed, or made again since; what the undone start wrote behind `keep` goes. */
function assertSameFile(target: Target, stat: FileStat, { baselines }: StartContext): void {
  const { do: what, path, ino, keep } = target.action;
  const ours = stat.ino === ino || (what === 'remove' && (stat.size === 0 || baselines.wasMadeAt(path, stat)));
  if (ours && stat.size >= keep) return;
  throw changed(target, `inode ${ino} with at least ${keep} bytes`, `inode ${stat.ino} with ${stat.size} bytes`);
}

async function openTail({ action }: Target, { file, size, hash }: KeptTail, { journal }: StartContext): Promise<ByteSource> {
  const source = await journal.open(file);
  if (source !== undefined && source.size === size && size === action.before - action.keep) {
    if ((await hashRange(asReadable(source), 0, size)) === hash) return source;
  }
  await source?.close();
  throw fileError(
    'ERR_CKPT_STORE_UNSAFE',
    { operation: 'put back', name: action.name, path: action.path, phase: 'apply' },
    {
      expected: `the ${action.before - action.keep} bytes that were kept in ${journal.whereSaved(file)}`,
      found: source === undefined ? 'no such file' : 'other bytes',
      remedy: 'put that file back from a copy of the store',
    },
  );
}
