/**
 * The small records of a store as bytes: written as JSON, read as untrusted input.
 *
 * Invariants
 * 1. A record is of limited size, is checked field by field, and unknown keys are dropped.
 * 2. A damaged record is ERR_CKPT_STORE_UNSAFE and names the file; nothing is guessed from what is left of it.
 */
import { z } from 'zod';
import { CheckpointError } from '../base/errors.js';
import { isId } from '../base/ids.js';
import { INTERPRETED } from '../base/interpreted.js';
import type { EpochRecord, OwnerIdentity, RecordShape, RunRecord, Seal } from './contract.js';

/** Largest record but a claim's. */
export const RECORD_LIMIT: number = 64 * 1024;
/** A claim holds the command line, which the system lets grow to 2 MiB. */
export const CLAIM_LIMIT: number = 8 * 1024 * 1024;
/** A record of the journal names every file that a start puts back. */
export const JOURNAL_LIMIT: number = 16 * 1024 * 1024;

export interface Readiness {
  readonly signals: string[];
  readonly requests: boolean;
}

export interface LeaseRecord {
  readonly image: string;
  readonly holder: OwnerIdentity;
  readonly purpose: string;
  /** Wall time of the lease. */
  readonly since: number;
  readonly directory: EpochRecord['directory'];
}

export interface Heartbeat {
  readonly count: number;
  /** Wall time of the beat. */
  readonly at: number;
}

const count = z.int().nonnegative();
const id = z.string().refine(isId);
const wallTime = z.number();
const directory = z.object({ dev: z.number(), ino: z.number(), birthtimeMs: z.number() });

const owner = z.object({
  host: z.string(),
  boot: z.string(),
  pidNamespace: z.string(),
  pid: z.int().positive(),
  startTime: z.string(),
});

const run = z.object({ format: z.literal(1), id, app: z.object({ name: z.string() }), createdAt: wallTime });

const claim = z.object({
  epoch: z.int().positive(),
  incarnation: id,
  owner,
  command: z.object({ cwd: z.string(), execPath: z.string(), execArgv: z.array(z.string()), argv: z.array(z.string()) }),
  claimedAt: wallTime.refine((time) => !Number.isNaN(new Date(time).getTime())),
  directory,
  imported: z.object({ life: z.object({ host: z.string(), pid: count, startedAt: z.number() }).exactOptional() }).exactOptional(),
});

const seal = z.object({
  epoch: z.int().positive(),
  source: z.discriminatedUnion('kind', [
    z.object({ kind: z.literal('fresh') }),
    z.object({ kind: z.literal('image'), id, epoch: z.int().positive(), generation: count }),
  ]),
  frontier: count,
});

const child = z.object({ owner });
const ready = z.object({ signals: z.array(z.string()), requests: z.boolean() });
const nameEntry = z.object({ image: id });
const lease = z.object({ image: id, holder: owner, purpose: z.string(), since: wallTime, directory });
const heartbeat = z.object({ count, at: wallTime });

export function encodeRecord(record: object): Uint8Array {
  return Buffer.from(`${JSON.stringify(record)}\n`, 'utf8');
}

function damaged(path: string, found: string): CheckpointError {
  return new CheckpointError(
    'ERR_CKPT_STORE_UNSAFE',
    `cannot read ${path}: expected a record of this store, found ${found}; put the file back from a copy of the store, ` +
      'or move the store away and begin a new one',
    { path },
  );
}

/** @throws CheckpointError ERR_CKPT_STORE_UNSAFE (invariant 2) */
function parse<T>(shape: RecordShape<T>, bytes: Uint8Array, path: string): T {
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(bytes).toString('utf8'));
  } catch {
    throw damaged(path, 'bytes that are no JSON');
  }
  const result = shape.safeParse(value, INTERPRETED);
  if (result.success) return result.data;
  throw damaged(path, result.error.issues.map((issue) => `${issue.path.join('.') || 'the record'}: ${issue.message}`).join(', '));
}

/** A record that says it belongs to another epoch than its file name was moved there. */
function ofEpoch<T extends { readonly epoch: number }>(record: T, epoch: number, path: string): T {
  if (record.epoch !== epoch) throw damaged(path, `the record of epoch ${record.epoch}`);
  return record;
}

export function parseRun(bytes: Uint8Array, path: string): RunRecord {
  return parse(run, bytes, path);
}

export function parseClaim(bytes: Uint8Array, path: string, epoch: number): EpochRecord {
  return ofEpoch(parse(claim, bytes, path), epoch, path);
}

export function parseSeal(bytes: Uint8Array, path: string, epoch: number): Seal {
  const record = ofEpoch(parse(seal, bytes, path), epoch, path);
  if (record.source.kind === 'image' && record.source.epoch >= epoch) throw damaged(path, 'a source that is not older than its epoch');
  return record;
}

export function parseChild(bytes: Uint8Array, path: string): { readonly owner: OwnerIdentity } {
  return parse(child, bytes, path);
}

export function parseReady(bytes: Uint8Array, path: string): Readiness {
  return parse(ready, bytes, path);
}

export function parseNameRecord(bytes: Uint8Array, path: string): { readonly image: string } {
  return parse(nameEntry, bytes, path);
}

export function parseLease(bytes: Uint8Array, path: string): LeaseRecord {
  return parse(lease, bytes, path);
}

/** A damaged heartbeat is no sign of life, and nothing worse: it is the one file that is written in place. */
export function parseHeartbeat(bytes: Uint8Array): Heartbeat | undefined {
  try {
    return parse(heartbeat, bytes, '');
  } catch {
    return undefined;
  }
}

/** A record whose shape another room knows. */
export function parseJournal<T>(bytes: Uint8Array, path: string, shape: RecordShape<T>): T {
  return parse(shape, bytes, path);
}
