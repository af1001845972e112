/**
 * Planning to bring a file back to what it was before lives changed it that are no part of the source's history: a start from
 * an older image cut it, or a later handle emptied it, and what went is kept in `tails/`.
 *
 * Invariants
 * 1. Nothing is put together unless every saved piece, the bytes before it, and the whole as it was recorded are verified.
 * 2. Where a piece cannot be had, the file as it is counts only if the recorded hash covers every byte that may be of another
 *    branch; else it is refused, and the message names the piece.
 * 3. A file that only the store names is written, never made.
 */
import type { ByteSource } from '../image/contract.js';
import { quietly } from '../store/failure.js';
import { asReadable, readWhole } from './bytes.js';
import { hashRange } from './check.js';
import type { StartContext } from './context.js';
import type { Baseline } from './contract.js';
import { type Earlier, earlierFile, type SavedBytes } from './earlier.js';
import { fileError } from './failure.js';
import { type Inspected, openInspected, type Place, withInspected } from './inspect.js';
import { planContent } from './plan-content.js';
import type { Facts, Outcome } from './plan-types.js';
import { assertIdentity, attemptOn, type Expected } from './verify.js';

export interface WantedEarlier {
  readonly place: Place;
  /** What it was; `size` bytes of it are wanted. */
  readonly expected: Expected;
  /** From the one that counts on. */
  readonly entries: readonly Baseline[];
  /** Permissions of a file that has to be made. */
  readonly mode: number;
}

/** Why an earlier file cannot be put together. */
class NotToBeHad {
  readonly found: string;

  constructor(found: string) {
    this.found = found;
  }
}

/**
 * @returns undefined where the file as it is decides by itself
 * @throws CheckpointError ERR_CKPT_FILE_CHANGED, _FILE_MISSING, _FILE_UNSAFE
 */
export async function planEarlier(wanted: WantedEarlier, context: StartContext, facts: Facts): Promise<Outcome | undefined> {
  const { place, expected, entries, mode } = wanted;
  const { size } = expected;
  const earlier = earlierFile(entries, size);
  if (earlier?.size === size && earlier.own === size) return undefined;
  const failure = await verified(wanted, earlier, context);
  if (failure !== undefined && (await provesItself(wanted, earlier?.own ?? 0, context))) return undefined; // invariant 2
  const found = await withInspected(context, place, true, async ({ stat }) => {
    await assertIdentity(context.fileSystem, place, stat, expected);
    return true;
  });
  if (failure !== undefined) throw await refusal(wanted, failure, context);
  if (found !== true && place.trust === 'image-only') throw notMade(wanted); // invariant 3
  facts.prefix = 'matches';
  const last = earlier?.pieces.at(-1)?.saved?.file ?? '';
  const content = async (): Promise<ByteSource> => {
    const source = await putTogether(earlier, place, context);
    if (!(source instanceof NotToBeHad)) return source;
    throw await refusal(wanted, source, context);
  };
  const put = (from: number | undefined) => ({ do: 'copy-back', copy: last, size, from }) as const;
  return planContent({ place, content, mode, put }, context, facts);
}

/** Invariant 1. */
async function verified({ place, expected: { size, check } }: WantedEarlier, earlier: Earlier | undefined, context: StartContext) {
  const source = await putTogether(earlier?.size === size ? earlier : undefined, place, context);
  if (source instanceof NotToBeHad) return source;
  try {
    const before = (earlier?.pieces ?? []).flatMap(({ saved }) => saved?.prefix ?? []);
    for (const { from, to, hash } of [...before, check]) {
      if ((await hashRange(asReadable(source), from, to)) !== hash)
        return new NotToBeHad(`that the bytes ${from} to ${to} of it, put together from what was kept, are others`);
    }
    return undefined;
  } finally {
    await quietly(() => source.close());
  }
}

/** The earlier file, its saved pieces verified. */
async function putTogether(earlier: Earlier | undefined, place: Place, context: StartContext): Promise<ByteSource | NotToBeHad> {
  if (earlier === undefined) return new NotToBeHad('that nothing in the store tells what it was');
  const own = await openInspected(context, place, true);
  const sources: ByteSource[] = own === undefined ? [] : [sourceOf(own)];
  const close = async (): Promise<void> => {
    for (const source of sources) await quietly(() => source.close());
  };
  const parts: Part[] = [];
  try {
    for (const { from, to, saved } of earlier.pieces) {
      const opened = saved === undefined ? ofFile(own, to) : await openSaved(saved, own, context, sources);
      if (opened instanceof NotToBeHad) {
        await close();
        return opened;
      }
      parts.push({ from, to, ...opened });
    }
  } catch (cause) {
    await close();
    throw cause;
  }
  return { size: earlier.size, label: place.path, read: (target, position) => readParts(parts, target, position), close };
}

async function readParts(parts: readonly Part[], target: Uint8Array, position: number): Promise<void> {
  for (const { from, to, source, at } of parts) {
    const [begin, end] = [Math.max(from, position), Math.min(to, position + target.byteLength)];
    if (begin < end) await source.read(target.subarray(begin - position, end - position), begin - at);
  }
}

interface Part extends Opened {
  readonly from: number;
  readonly to: number;
}

interface Opened {
  readonly source: ByteSource;
  /** Where its first byte lies in the earlier file. */
  readonly at: number;
}

function ofFile(own: Inspected | undefined, to: number): Opened | NotToBeHad {
  if (own !== undefined && own.stat.size >= to) return { source: sourceOf(own), at: 0 };
  return new NotToBeHad(own === undefined ? 'no file' : `${own.stat.size} bytes`);
}

/** What was kept; or the same bytes in the file itself, which a program that does everything again has written again. */
async function openSaved(
  { file, at, size, hash }: SavedBytes,
  own: Inspected | undefined,
  { journal }: StartContext,
  sources: ByteSource[],
): Promise<Opened | NotToBeHad> {
  const source = await journal.open(file);
  if (source !== undefined) sources.push(source);
  if (source?.size === size && (await hashRange(asReadable(source), 0, size)) === hash) return { source, at };
  if (own !== undefined && own.stat.size >= at + size && (await hashRange(own.file, at, at + size)) === hash)
    return { source: sourceOf(own), at: 0 };
  const found = source === undefined ? 'is not there' : 'holds other bytes';
  const now = own === undefined ? 'no file' : `${own.stat.size} bytes`;
  return new NotToBeHad(`${now}, and ${journal.whereSaved(file)}, where the ${size} bytes from ${at} on were kept, ${found}`);
}

function sourceOf({ file, stat: { size } }: Inspected): ByteSource {
  return {
    size,
    label: 'the file',
    read: (target, position) => readWhole(file, target, position),
    close: () => file.close(),
  };
}

/** Whether the hash that was recorded covers all that may be of another branch, and fits. */
async function provesItself({ place, expected: { size, check } }: WantedEarlier, own: number, context: StartContext): Promise<boolean> {
  if (check.from > own || check.to < size) return false;
  const matches = await withInspected(
    context,
    place,
    true,
    async ({ file, stat }) => stat.size >= size && (await hashRange(file, check.from, check.to)) === check.hash,
  );
  return matches === true;
}

async function refusal({ place, expected: { size, by } }: WantedEarlier, { found }: NotToBeHad, context: StartContext): Promise<Error> {
  const now = await withInspected(context, place, true, async ({ stat }) => stat.size);
  return fileError(now === undefined || now < size ? 'ERR_CKPT_FILE_MISSING' : 'ERR_CKPT_FILE_CHANGED', attemptOn(place), {
    expected: `${size} bytes, as ${by}, from which a life went on in another way since`,
    found,
    remedy: 'put back what is missing, or restart from another image; nothing was changed',
  });
}

function notMade({ place, expected: { size, by } }: WantedEarlier): Error {
  return fileError('ERR_CKPT_FILE_UNSAFE', attemptOn(place), {
    expected: `${size} bytes, as ${by}; they are kept, but a file that only the store names is not made`,
    found: 'no file',
    remedy: 'declare the file before start(); nothing was changed',
  });
}
