/**
 * The capture of one member: every provider's state into memory that the writer owns, in one synchronous block.
 *
 * Invariants
 * 1. No turn of the event loop between the first provider and the last copied byte: the state is of one instant.
 * 2. Nothing is hashed, compressed or written here.
 * 3. A failure names the provider and leaves the program's state as it was.
 */
import { CheckpointError, inPhase, isCheckpointError, messageOf } from '../base/errors.js';
import { encodeMember } from '../codec/codec.js';
import type { FoundBuffer } from '../codec/contract.js';
import type { CapturedFiles } from '../files/table.js';
import type { BufferInput, SectionInput } from '../image/contract.js';
import { PAGE } from '../image/format.js';
import { lengthOf } from '../image/writer.js';
import type { Provider } from '../state/provider.js';
import { isStaged } from './incremental.js';
import type { Shadows } from './shadow.js';
import type { Staging } from './staging.js';
import type { StagedBuffer } from './thread-protocol.js';

export interface Captured {
  readonly sections: readonly SectionInput[];
  readonly buffers: readonly (BufferInput | StagedBuffer)[];
  readonly files: CapturedFiles;
  /** Bytes of structured and bulk state together. */
  readonly stateBytes: number;
  /** Those of them that are not known to be in the last acknowledged image. */
  readonly dirtyBytes: number;
}

/** Where a capture copies to. */
export interface CaptureMemory {
  readonly staging: Staging;
  readonly shadows: Shadows;
}

/** @throws CheckpointError ERR_CKPT_PROVIDER, ERR_CKPT_UNSUPPORTED_VALUE, ERR_CKPT_MEMORY */
export function captureMember(
  member: string,
  providers: readonly Provider[],
  memory: CaptureMemory,
  captureFiles: () => CapturedFiles,
): Captured {
  const roots = new Map<string, unknown>();
  for (const provider of providers) roots.set(provider.name, captureProvider(provider));
  try {
    const encoded = encodeMember(roots);
    const byName = new Map(providers.map((provider) => [provider.name, provider]));
    const sections = encoded.sections.map((section): SectionInput => {
      const provider = byName.get(section.name);
      return {
        member,
        name: section.name,
        kind: provider?.kind ?? 'state',
        version: provider?.version ?? 1,
        encoding: section.encoding,
        buffers: section.buffers,
        chunks: [section.bytes],
      };
    });
    const buffers = stageBuffers(member, encoded.buffers, memory);
    const files = captureFiles();
    const structured = sections.reduce((total, section) => total + lengthOf(section), 0);
    return { sections, buffers, files, ...countBytes(structured, buffers) };
  } catch (error) {
    throw asCaptureError(error);
  }
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
  return value;
}

function stageBuffers(member: string, found: readonly FoundBuffer[], { staging, shadows }: CaptureMemory): (BufferInput | StagedBuffer)[] {
  shadows.begin();
  const staged = found.map((buffer) => shadows.stage(buffer));
  shadows.end();
  const small = found.filter((_, index) => staged[index] === undefined);
  staging.reserve(small.reduce((total, buffer) => total + Math.ceil(buffer.byteLength / PAGE) * PAGE, 0));
  return found.map((buffer, index): BufferInput | StagedBuffer => {
    const common = { member, kind: buffer.kind, ...(buffer.maxByteLength === undefined ? {} : { maxLength: buffer.maxByteLength }) };
    const shadow = staged[index];
    return shadow === undefined ? { ...common, chunks: staging.copy(buffer.memory, 0, buffer.byteLength) } : { ...common, ...shadow };
  });
}

function countBytes(structured: number, buffers: readonly (BufferInput | StagedBuffer)[]): Pick<Captured, 'stateBytes' | 'dirtyBytes'> {
  let [stateBytes, dirtyBytes] = [structured, structured];
  for (const buffer of buffers) {
    const length = lengthOf(buffer);
    stateBytes += length;
    dirtyBytes += isStaged(buffer) ? Math.min(length, buffer.dirty.reduce((sum, page) => sum + page, 0) * PAGE) : length;
  }
  return { stateBytes, dirtyBytes };
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
