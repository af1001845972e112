/**
 * Putting tracked files back: all or nothing, through a journal, so that a kill at any point leaves each file as it was
 * or as it is to be, and the next start completes or undoes it.
 *
 * Invariants
 * 1. Nothing is done while one plan is refused.
 * 2. What is going to be cut is kept and durable, with the record of it, before the first file is changed.
 * 3. A failure on the way undoes what was done; where even that fails, the journal stays and the next start goes on with it.
 * 4. A start from the same source rolls an unfinished put-back forward, by planning anew; a start from another source
 *    rolls it back first.
 */
import { basename } from 'node:path';
import { CheckpointError, isCheckpointError, messageOf } from '../base/errors.js';
import type { FileStat } from '../base/ports.js';
import type { ImageRef } from '../image/contract.js';
import { type Action, close, forget, type Grown, type Kept, putGo, putIntent, type Recorded, unfinished } from './apply-record.js';
import { checkBefore, keepTail, perform, type Target, undo } from './change.js';
import { NO_BYTES } from './check.js';
import type { StartContext } from './context.js';
import type { Baseline, FileDeclaration, KeptTail } from './contract.js';
import { refusalOf } from './plan.js';
import type { Change, PlannedFile } from './plan-types.js';
import { undoOpenings } from './undo-openings.js';

/** What a start does with its put-back in the end. */
export interface PutBackHold {
  /** Everything as it was before: the start failed. Every handle is closed by now. */
  undo(): Promise<void>;
  /** The start succeeded. */
  done(): Promise<void>;
}

interface Step extends Target {
  readonly content: Change['content'];
}

/**
 * Puts the files of a start back.
 * @throws CheckpointError the refusal of a plan; ERR_CKPT_NO_SPACE, _FILE_CHANGED, _IO, … after which nothing is changed
 */
export async function putBack(plans: readonly PlannedFile[], context: StartContext): Promise<PutBackHold> {
  const hold = await applyPlans(plans, context);
  for (const { path, deferred } of plans) if (!deferred) context.ready.add(path);
  return {
    undo: async () => {
      await undoOpenings(context);
      await hold.undo();
    },
    done: async () => {
      await hold.done();
      // A closed file is as it is to be now, and what told so may have gone by that: whoever opens it does not ask again.
      for (const { path, deferred, change } of plans) if (deferred && change !== undefined) context.baselines.settle(path);
      const older = await unfinished(context);
      for (const recorded of older) await settle(recorded, context);
    },
  };
}

/** The same for single files, in a life that has begun. */
export async function applyPlans(plans: readonly PlannedFile[], context: StartContext): Promise<PutBackHold> {
  const refusal = refusalOf(plans);
  if (refusal !== undefined) throw refusal;
  if (plans.every(({ change }) => change === undefined)) return { undo: async () => {}, done: async () => {} };
  await context.assertNewest();
  let steps: readonly Step[] = [];
  const recorded = await putIntent(context, (record) => {
    steps = plans.flatMap((plan, index) => stepOf(plan, `${record}-${index + 1}`));
    return steps.map(({ action }) => action);
  });
  const kept = await keepAll(steps, recorded, context);
  await performAll(steps, { ...recorded, kept }, context);
  return {
    undo: () => undoAll(steps, { ...recorded, kept }, context),
    done: () => settle({ ...recorded, kept }, context),
  };
}

/** Done: what was changed stays so, and a start from an image that knows the file in another way can find that. */
async function settle(recorded: Recorded, context: StartContext): Promise<void> {
  const { record, epoch, generation, actions } = recorded;
  for (const [index, action] of actions.entries()) {
    const was = before(action, recorded);
    const { name, given, path } = action;
    const number = `${record.replace('apply-', '')}-${index + 1}`;
    if (was !== undefined) await context.baselines.recordPutBack(number, { name, given, path, epoch, generation, was });
  }
  await close(context.journal, recorded, context.keepTails);
}

function before({ do: what, path, keep, before: size, ino, tail: file }: Action, { kept }: Recorded): Baseline['was'] | undefined {
  if (what === 'create' || ino === undefined) return { kind: 'absent' };
  const tail = kept?.tails.find((one) => one.file === file);
  if (tail !== undefined) return { kind: 'cut', keep, size, ino, tail };
  const check = what === 'remove' ? NO_BYTES : kept?.grown.find((one) => one.path === path)?.check;
  return check === undefined ? undefined : { kind: 'present', size, identity: { dev: 0, ino }, check };
}

function stepOf({ name, path, given, trust, seen, change }: PlannedFile, record: string): Step[] {
  if (change === undefined) return [];
  const before = seen?.size ?? 0;
  const { keep, size: after, mode, content } = change;
  const tail = before > keep ? tailName(record, keep, path) : undefined;
  const ino = inodeOf(change, seen);
  const action: Action = { do: change.do, path, name, given, ino, keep, before, after, tail, mode: modeOf(mode, seen) };
  return [{ action, trust, content }];
}

function inodeOf(change: Change, seen: FileStat | undefined): number | undefined {
  return change.do === 'create' ? undefined : seen?.ino;
}

function modeOf(mode: number, seen: FileStat | undefined): number {
  return seen === undefined ? mode : seen.mode & 0o7777;
}

/** Says where the bytes were, for people who look into `tails/`. */
function tailName(record: string, from: number, path: string): string {
  const plain = basename(path)
    .replace(/[^A-Za-z0-9._-]/g, '_')
    .slice(-80);
  return `tail-${record}-from-${from}-${plain}`;
}

async function keepAll(steps: readonly Step[], recorded: Recorded, context: StartContext): Promise<Kept> {
  const tails: KeptTail[] = [];
  const grown: Grown[] = [];
  const kept: Kept = { tails, grown };
  try {
    for (const step of steps) {
      const { do: what, path, before: size } = step.action;
      const tail = await keepTail(step, context);
      if (tail !== undefined) tails.push(tail);
      else if (what === 'rewrite') grown.push({ path, check: await checkBefore(step, size, context) });
    }
    await context.assertNewest();
    await putGo(context.journal, recorded, kept);
  } catch (error) {
    await forget(context.journal, recorded).catch(() => {}); // the next start does it
    throw error;
  }
  return kept;
}

async function performAll(steps: readonly Step[], recorded: Recorded, context: StartContext): Promise<void> {
  try {
    for (const step of steps) {
      await perform(step, step.content, context);
      tell(step, context);
    }
  } catch (error) {
    try {
      await undoAll(steps, recorded, context);
    } catch (undoing) {
      throw together([error, undoing], 'putting files back failed, and so did undoing it; the next start goes on with it');
    }
    throw error;
  }
}

function tell({ action: { do: what, path, tail, keep, before, after } }: Step, { log, journal, keepTails }: StartContext): void {
  if (tail === undefined) return;
  const rewritten = `wrote what ${path} is to hold from byte ${keep} on`;
  const gone = what === 'remove' ? `removed ${path}` : after > keep ? rewritten : `cut ${path} back to ${keep} bytes`;
  const where = keepTails ? `kept in ${journal.whereSaved(tail)}` : 'not kept (keepTails: false)';
  log(`${gone}: ${before - keep} bytes that the image does not know were ${where}`);
}

/** Every file is tried, also when another one failed (invariant 3). */
async function undoAll(targets: readonly Target[], recorded: Recorded, context: StartContext): Promise<void> {
  const failures: unknown[] = [];
  for (const target of targets.toReversed()) {
    const tail = recorded.kept?.tails.find(({ file }) => file === target.action.tail);
    await undo(target, tail, context).catch((error: unknown) => failures.push(error));
  }
  if (failures.length > 0) throw together(failures, 'files could not be put back as they were before this start; the next one tries again');
  await context.baselines.withdrawAll(recorded.epoch, new Set(targets.map(({ action }) => action.path)));
  await forget(context.journal, recorded);
}

/** One error for several failures, with the code of the first. */
function together(failures: readonly unknown[], what: string): unknown {
  const [first] = failures;
  if (failures.length === 1) return first;
  const messages = failures.map((failure) => `\n- ${messageOf(failure)}`).join('');
  return new CheckpointError(isCheckpointError(first) ? first.code : 'ERR_CKPT_IO', `start(): ${what}:${messages}`, {
    phase: 'apply',
    cause: new AggregateError(failures),
  });
}

/**
 * At a start, before anything is planned: undoes what a start from another source left unfinished (invariant 4).
 * @param declared what the program has declared; other paths are looked at as hostile
 * @throws CheckpointError ERR_CKPT_FILE_CHANGED, _FILE_UNSAFE, _STORE_UNSAFE when it cannot be undone
 */
export async function recoverPutBack(declared: readonly FileDeclaration[], context: StartContext): Promise<void> {
  const { journal, source, log } = context;
  const registered = new Set(declared.map(({ path }) => path));
  for (const recorded of (await unfinished(context)).reverse()) {
    if (await (context.copiedSince?.(recorded.epoch) ?? context.copied)) {
      // The files that it speaks of are the original's.
      log(`the store is a copy: what the start of epoch ${recorded.epoch} had begun to put back is the original's and left alone`);
      await close(journal, recorded, true);
    } else if (!isSame(recorded.source, source)) {
      await context.assertNewest();
      const targets = recorded.actions.map<Target>((action) => ({
        action,
        trust: registered.has(action.path) ? 'registered' : 'image-only',
      }));
      await undoAll(targets, recorded, context);
      log(`undid what the start of epoch ${recorded.epoch} had begun to put back, because this start is from another image`);
    }
  }
}

function isSame(a: ImageRef | null, b: ImageRef | null): boolean {
  return a === null || b === null ? a === b : a.id === b.id;
}
