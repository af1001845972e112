/**
 * The capture of one member: every provider's state into memory that the writer owns, in one synchronous block.
 *
 * Invariants
 * 1. No turn of the event loop between the first provider and the last copied byte: the state is of one instant.
 * 2. Nothing is hashed, compressed or written here.
 * 3. A failure names the provider and leaves the program's state as it was.
 */
import { CheckpointError, inPhase, isCheckpointError, messageOf } from '../base/errors.js';
import type { ClassRegistry } from '../codec/classes.js';
import { encodeMember } from '../codec/codec.js';
import type { EncodedMember, FoundBuffer } from '../codec/contract.js';
import type { CapturedFiles } from '../files/table.js';
import type { BufferInput, SectionInput } from '../image/contract.js';
import type { CarriedSections } from '../state/carried.js';
import type { CapturedSection, Provider } from '../state/provider.js';
import { assertFits } from '../state/versions.js';
import type { Staging } from './staging.js';

export interface Captured {
  readonly sections: readonly CapturedSection[];
  readonly buffers: readonly BufferInput[];
  readonly files: CapturedFiles;
  /** Bytes of structured and bulk state together. */
  readonly stateBytes: number;
  /** Of these, what was captured now. */
  readonly dirtyBytes: number;
}

export interface CaptureParts {
  readonly staging: Staging;
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
  { staging, classes, carried, files: captureFiles, foreign }: CaptureParts,
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
    const buffers = [...stageBuffers(member, encoded.buffers, staging), ...(unread?.buffers ?? [])];
    const files = captureFiles();
    const dirtyBytes = sum(sections) + sum(buffers);
    const stateBytes = logs.reduce((total, { follows = 0 }) => total + follows, dirtyBytes);
    return { sections, buffers, files, stateBytes, dirtyBytes };
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

function stageBuffers(member: string, found: readonly FoundBuffer[], staging: Staging): BufferInput[] {
  staging.reserve(found.reduce((total, buffer) => total + Math.ceil(buffer.byteLength / 4096) * 4096, 0));
  return found.map(
    (buffer): BufferInput => ({
      member,
      kind: buffer.kind,
      ...(buffer.maxByteLength === undefined ? {} : { maxLength: buffer.maxByteLength }),
      chunks: staging.copy(buffer.memory, 0, buffer.byteLength),
    }),
  );
}

function sum(inputs: readonly { readonly chunks: readonly Uint8Array[] }[]): number {
  let total = 0;
  for (const input of inputs) for (const chunk of input.chunks) total += chunk.byteLength;
  return total;
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
