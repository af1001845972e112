/**
 * The codec's way in: the values of a member to sections, and back (contract.ts).
 *
 * Invariants
 * 1. All providers of a member are walked before the first is packed: a small buffer that turns out to be shared
 *    still changes what stands for it in an earlier section.
 */
import { CheckpointError, isCheckpointError, messageOf } from '../base/errors.js';
import type { EncodedMember, EncodedSection } from './contract.js';
import { packsBytes } from './msgpack.js';
import { packDeep } from './pack-deep.js';
import { MAX_SECTION_BYTES, TREE_1 } from './tags.js';
import { Walk, type WalkedSection } from './walk.js';

export { decodeSection } from './decode.js';

/**
 * @param roots the value of each provider of one member
 * @throws CheckpointError ERR_CKPT_UNSUPPORTED_VALUE with `provider` and `path`; ERR_CKPT_MEMORY
 */
export function encodeMember(roots: ReadonlyMap<string, unknown>): EncodedMember {
  const walk = new Walk(roots);
  return inMemory('', () => {
    const walked: [string, WalkedSection][] = [];
    for (const [name, value] of roots) walked.push([name, inMemory(name, () => walk.section(name, value))]);
    return { sections: walked.map(([name, section]) => inMemory(name, () => pack(name, section))), buffers: walk.memory.buffers };
  });
}

/**
 * Checks that a provider's value can be carried, and throws as encodeMember would.
 * @throws CheckpointError ERR_CKPT_UNSUPPORTED_VALUE, ERR_CKPT_MEMORY
 */
export function assertEncodable(name: string, value: unknown): void {
  inMemory(name, () => new Walk(new Map([[name, value]])).section(name, value));
}

function pack(name: string, { wire, deep, buffers }: WalkedSection): EncodedSection {
  if (!packsBytes()) {
    const message =
      `state of ${name}: this program has added an extension for Uint8Array to msgpackr, so bytes cannot be written in ` +
      'standard msgpack; register the extension for a class of your own';
    throw new CheckpointError('ERR_CKPT_UNSUPPORTED_VALUE', message, { provider: name, path: name });
  }
  const bytes = packDeep(wire, deep);
  if (bytes.length > MAX_SECTION_BYTES) {
    const message =
      `state of ${name}: ${bytes.length} bytes of structured data, more than the ${MAX_SECTION_BYTES} one section may have; ` +
      'keep large data in typed arrays, or spread it over several providers';
    throw new CheckpointError('ERR_CKPT_UNSUPPORTED_VALUE', message, { provider: name, path: name });
  }
  return { name, encoding: TREE_1, bytes, buffers: [...buffers].sort((a, b) => a - b) };
}

/** Running out of memory, or of stack, shows as RangeError (or, in Node's own buffers, ERR_MEMORY_ALLOCATION_FAILED). */
function inMemory<T>(name: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (isCheckpointError(error)) throw error;
    if (!(error instanceof RangeError) && !/memory|too large|larger than/i.test(messageOf(error))) throw error;
    const message =
      `state of ${name}: not enough memory to encode it (${messageOf(error)}); ` +
      'give the process more memory, or keep large data in typed arrays, which are not encoded';
    throw new CheckpointError('ERR_CKPT_MEMORY', message, { ...(name === '' ? {} : { provider: name }), cause: error });
  }
}
