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
import type { Provider } from '../state/provider.js';
import type { Staging } from './staging.js';

export interface Captured {
  readonly sections: readonly SectionInput[];
  readonly buffers: readonly BufferInput[];
  readonly files: CapturedFiles;
  /** Bytes of structured and bulk state together. */
  readonly stateBytes: number;
}

/**
 * @param foreign memory that belongs to somebody else's part of the image: state that holds it is refused
 * @throws CheckpointError ERR_CKPT_PROVIDER, ERR_CKPT_UNSUPPORTED_VALUE, ERR_CKPT_MEMORY
 */
export function captureMember(
  member: string,
  providers: readonly Provider[],
  staging: Staging,
  captureFiles: () => CapturedFiles,
  foreign: readonly SharedArrayBuffer[] = [],
): Captured {
  const roots = new Map<string, unknown>();
  for (const provider of providers) roots.set(provider.name, captureProvider(provider));
  try {
    refuseForeign(member, roots, foreign);
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
    const buffers = stageBuffers(member, encoded.buffers, staging);
    const files = captureFiles();
    return { sections, buffers, files, stateBytes: sum(sections) + sum(buffers) };
  } catch (error) {
    throw asCaptureError(error);
  }
}

/** Small memory shows only when it is met twice, so it is made a root of its own here; nothing is copied. */
function refuseForeign(member: string, roots: ReadonlyMap<string, unknown>, foreign: readonly SharedArrayBuffer[]): void {
  if (foreign.length === 0) return;
  const { sections, buffers } = encodeMember(new Map([...roots, ['ckpt:foreign', foreign]]));
  const found = sections.find(({ name, buffers: used }) => {
    return name !== 'ckpt:foreign' && used.some((index) => foreign.some((memory) => memory === buffers[index]?.memory));
  });
  if (found === undefined) return;
  throw new CheckpointError(
    'ERR_CKPT_UNSUPPORTED_VALUE',
    `state of ${found.name} in member '${member}': it holds shared memory of the set, which is captured once, with the program; ` +
      'keep views on it outside of the registered state, and ask for it with shared(name)',
    { member, provider: found.name, phase: 'capture' },
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
