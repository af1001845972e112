/**
 * The capture of one member: every provider's state into memory that the writer owns, in one synchronous block.
 *
 * Invariants
 * 1. No turn of the event loop between the first provider and the last copied byte: the state is of one instant.
 * 2. Nothing is hashed, compressed or written here.
 * 3. A failure names the provider and leaves the program's state as it was.
 */
import { CheckpointError, inPhase, isCheckpointError, messageOf } from '../base/errors.js';
import type { Staging } from '../base/staging.js';
import type { ClassRegistry } from '../codec/classes.js';
import { encodeMember } from '../codec/codec.js';
import type { EncodedMember, FoundBuffer } from '../codec/contract.js';
import type { CapturedFiles } from '../files/table.js';
import type { BufferInput, SectionInput } from '../image/contract.js';
import { PAGE } from '../image/format.js';
import { lengthOf } from '../image/writer.js';
import type { CarriedSections } from '../state/carried.js';
import type { CapturedSection, Provider } from '../state/provider.js';
import { assertFits } from '../state/versions.js';
import type { Shadows } from './shadow.js';
import { isStaged, type StagedBuffer, type UncopiedBuffer } from './thread-protocol.js';
import { isUncopied, type Uncopied } from './uncopied.js';

export interface Captured {
  readonly sections: readonly CapturedSection[];
  readonly buffers: readonly (BufferInput | StagedBuffer | UncopiedBuffer)[];
  readonly files: CapturedFiles;
  /** Bytes of structured and bulk state together. */
  readonly stateBytes: number;
  /** Those of them that are not known to be in the last acknowledged image. */
  readonly dirtyBytes: number;
  /** Those of which there is no copy: the program stands until they are written. */
  readonly uncopiedBytes: number;
  /** Resolves when the parts of members are all here; rejects when one will not be. Undefined where nothing is to come. */
  readonly delivered?: Promise<void>;
}

export interface CaptureParts {
  readonly staging: Staging;
  /** Of large buffers; without it they are copied anew each time. */
  readonly shadows: Shadows | undefined;
  /** For what does not fit the budget; without it everything is copied. */
  readonly beyond: Uncopied | undefined;
  readonly classes: ClassRegistry;
  /** Sections that no provider claimed and that go along unread. */
  readonly carried: CarriedSections | undefined;
  readonly files: () => CapturedFiles;
  /** Memory that belongs to somebody else's part of the image: state that holds it is refused. */
  readonly foreign: readonly SharedArrayBuffer[];
}

/** @throws CheckpointError ERR_CKPT_PROVIDER, ERR_CKPT_UNSUPPORTED_VALUE, ERR_CKPT_MEMORY */
export function captureMember(
  member: string,
  providers: readonly Provider[],
  { staging, shadows, beyond, classes, carried, files: captureFiles, foreign }: CaptureParts,
): Captured {
  const roots = new Map<string, unknown>();
  for (const provider of providers) if (provider.log === undefined) roots.set(provider.name, captureProvider(provider));
  try {
    const dropping = new Set(providers.flatMap(({ name, onUnsupported }) => (onUnsupported === 'drop' ? [name] : [])));
    const encoded = withMemories(encodeMember(roots, classes, { dropping, foreign: new Set(foreign) }), providers);
    const byName = new Map(providers.map((provider) => [provider.name, provider]));
    const values = encoded.sections.map((section): SectionInput => {
      const provider = byName.get(section.name);
      return {
        member,
        name: section.name,
        kind: provider?.kind ?? 'state',
        version: provider?.version ?? 1,
        encoding: section.encoding,
        buffers: section.buffers,
        ...(section.imports.length === 0 ? {} : { imports: section.imports }),
        ...(section.dropped === undefined ? {} : { dropped: section.dropped }),
        chunks: [section.bytes],
      };
    });
    const logs = providers.flatMap((provider) => captureLog(member, provider));
    const own = [...values, ...logs];
    const unread = carried?.parts(own.length, encoded.buffers.length);
    const sections = [...own, ...(unread?.sections ?? [])];
    const buffers = [...stageBuffers(member, encoded.buffers, { staging, shadows, beyond }), ...(unread?.buffers ?? [])];
    const files = captureFiles();
    return { sections, buffers, files, ...countBytes(sections, buffers) };
  } catch (error) {
    throw asCaptureError(error);
  }
}

function captureLog(member: string, { name, kind, version, log }: Provider): CapturedSection[] {
  if (log === undefined) return [];
  return [{ member, name, kind, version, buffers: [], ...log.capture() }];
}

/** Bulk memory that a provider has beside its value; views of it in other state would come back as views of a copy. */
function withMemories(encoded: EncodedMember, providers: readonly Provider[]): EncodedMember {
  const buffers = [...encoded.buffers];
  const places = new Map<string, number>();
  for (const { name, kind, memory } of providers) {
    if (memory === undefined) continue;
    const found = memory();
    const known = encoded.buffers.findIndex((buffer) => buffer.memory === found.memory);
    const holder = encoded.sections.find((section) => section.buffers.includes(known));
    if (holder !== undefined) throw viewOfMemory(holder.name, `${kind}('${name}')`);
    places.set(name, buffers.push(found) - 1);
  }
  const sections = encoded.sections.map((section) => {
    const place = places.get(section.name);
    return place === undefined ? section : { ...section, buffers: [...section.buffers, place] };
  });
  return { sections, buffers };
}

function viewOfMemory(name: string, owner: string): CheckpointError {
  return new CheckpointError(
    'ERR_CKPT_UNSUPPORTED_VALUE',
    `state of ${name}: a view of the memory of ${owner}; after a restart it would be one of a copy: keep its offset and length, and make the view anew`,
    { provider: name, path: name },
  );
}

function captureProvider(provider: Provider): unknown {
  let value: unknown;
  try {
    value = provider.capture();
  } catch (error) {
    throw new CheckpointError(
      'ERR_CKPT_PROVIDER',
      `capturing '${provider.name}' (registered at ${provider.place}): its capture function threw: ${messageOf(error)}`,
      { provider: provider.name, phase: 'capture', cause: error },
    );
  }
  if (value instanceof Promise) {
    value.catch(() => {});
    throw new CheckpointError(
      'ERR_CKPT_PROVIDER',
      `capturing '${provider.name}' (registered at ${provider.place}): its capture function returned a promise; ` +
        'capture is synchronous: read in an atCheckpoint handler what can only be read asynchronously, and hand it over here',
      { provider: provider.name, phase: 'capture' },
    );
  }
  if (provider.validateAtCapture === true) assertFits(provider, value, 'capture');
  return value;
}

function stageBuffers(
  member: string,
  found: readonly FoundBuffer[],
  { staging, shadows, beyond }: Pick<CaptureParts, 'staging' | 'shadows' | 'beyond'>,
): Captured['buffers'] {
  const staged = shadows?.stage(found) ?? [];
  const others = found.filter((_, index) => staged[index] === undefined);
  const copied = beyond === undefined ? new Set(others) : fitting(others, beyond.budget - (shadows?.bytes ?? 0));
  staging.reserve([...copied].reduce((total, buffer) => total + roomFor(buffer), 0));
  return found.map((buffer, index): Captured['buffers'][number] => {
    const { kind, memory, byteLength, maxByteLength } = buffer;
    const common = { member, kind, ...(maxByteLength === undefined ? {} : { maxLength: maxByteLength }) };
    const shadow = staged[index];
    if (shadow !== undefined) return { ...common, ...shadow };
    if (beyond === undefined || copied.has(buffer)) return { ...common, chunks: staging.copy(memory, 0, byteLength) };
    return { ...common, ...beyond.add(memory, byteLength) };
  });
}

/** As many buffers as there is room for: the smallest first, because each that is written without a copy costs a round trip. */
function fitting(buffers: readonly FoundBuffer[], budget: number): Set<FoundBuffer> {
  const chosen = new Set<FoundBuffer>();
  let room = budget;
  for (const buffer of [...buffers].sort((one, other) => one.byteLength - other.byteLength)) {
    room -= roomFor(buffer);
    if (room < 0) break;
    chosen.add(buffer);
  }
  return chosen;
}

function roomFor({ byteLength }: FoundBuffer): number {
  return Math.ceil(byteLength / PAGE) * PAGE;
}

function countBytes(
  sections: readonly CapturedSection[],
  buffers: Captured['buffers'],
): Pick<Captured, 'stateBytes' | 'dirtyBytes' | 'uncopiedBytes'> {
  let dirtyBytes = sections.reduce((sum, section) => sum + lengthOf(section), 0);
  let stateBytes = sections.reduce((sum, { follows = 0 }) => sum + follows, dirtyBytes);
  let uncopiedBytes = 0;
  for (const buffer of buffers) {
    const length = lengthOf(buffer);
    stateBytes += length;
    if (isUncopied(buffer)) uncopiedBytes += length;
    dirtyBytes += isStaged(buffer) ? Math.min(length, countPages(buffer.dirty) * PAGE) : length;
  }
  return { stateBytes, dirtyBytes, uncopiedBytes };
}

/** Pages are marked by a 1. Four are counted at a time: the program stands meanwhile, and a GiB has a quarter of a million. */
function countPages(dirty: Uint8Array): number {
  const fours = new Uint32Array(dirty.buffer, dirty.byteOffset, dirty.length >>> 2);
  let pages = 0;
  for (let i = 0; i < fours.length; i++) pages += Math.imul(fours[i] ?? 0, 0x01010101) >>> 24;
  for (let page = fours.length * 4; page < dirty.length; page++) pages += dirty[page] ?? 0;
  return pages;
}

/** Running out of memory shows as a RangeError of an allocation; everything else is passed on with its phase. */
function asCaptureError(error: unknown): CheckpointError {
  if (isCheckpointError(error)) return inPhase(error, 'capture');
  if (error instanceof RangeError) {
    return new CheckpointError(
      'ERR_CKPT_MEMORY',
      `capture: not enough memory for a copy of the state: ${error.message}; nothing was written`,
      {
        cause: error,
        phase: 'capture',
      },
    );
  }
  return new CheckpointError('ERR_CKPT_PROVIDER', `capture: ${messageOf(error)}`, { cause: error, phase: 'capture' });
}
