/**
 * The codec's way in: the values of a member to sections, and back (contract.ts).
 *
 * Invariants
 * 1. All providers of a member are walked before the first is packed: a Buffer on the pool whose memory turns out to be
 *    shared is written differently in an earlier section too.
 */
import { CheckpointError, isCheckpointError, messageOf } from '../base/errors.js';
import { type ClassRegistry, NO_CLASSES } from './classes.js';
import type { DecodedSection, EncodedMember, SectionToDecode } from './contract.js';
import { decodeTree } from './decode.js';
import type { KnownClasses } from './graph-classes.js';
import { decodeGraph } from './graph-decode.js';
import { GRAPH_1 } from './graph-format.js';
import type { GraphSection } from './graph-section.js';
import { GraphWalk } from './graph-walk.js';
import { packMsgpack, packsBytes } from './msgpack.js';
import { MAX_SECTION_BYTES, TREE_1 } from './tags.js';

const NONE: ReadonlySet<ArrayBufferLike> = new Set();

/**
 * @param roots the value of each provider of one member
 * @param foreign memory that is captured elsewhere: values that hold it are refused
 * @throws CheckpointError ERR_CKPT_UNSUPPORTED_VALUE with `provider` and `path`; ERR_CKPT_MEMORY
 */
export function encodeMember(
  roots: ReadonlyMap<string, unknown>,
  classes: ClassRegistry = NO_CLASSES,
  foreign: ReadonlySet<ArrayBufferLike> = NONE,
): EncodedMember {
  const walk = new GraphWalk(roots, classes, foreign);
  return inMemory('', () => {
    for (const [name, value] of roots) inMemory(name, () => walk.section(name, value));
    assertPacksBytes([...roots.keys()]);
    const sections = walk.sections.map((section) => ({
      name: section.name,
      encoding: GRAPH_1,
      bytes: inMemory(section.name, () => pack(walk, section)),
      buffers: [...section.buffers].sort((a, b) => a - b),
      imports: section.imports,
    }));
    return { sections, buffers: walk.memory.buffers };
  });
}

/**
 * Checks that a provider's value can be carried, and throws as encodeMember would.
 * @throws CheckpointError ERR_CKPT_UNSUPPORTED_VALUE, ERR_CKPT_MEMORY
 */
export function assertEncodable(name: string, value: unknown, classes: ClassRegistry = NO_CLASSES): void {
  inMemory(name, () => {
    const walk = new GraphWalk(new Map([[name, value]]), classes, NONE);
    walk.wire(walk.section(name, value));
  });
}

/**
 * @param buffers the member's restored memory, by index
 * @param classes those of the program; 'tagged': instances come as Tagged
 * @throws CheckpointError ERR_CKPT_DECODE, ERR_CKPT_IMAGE_LIMIT, ERR_CKPT_SCHEMA, ERR_CKPT_RESTORE (a decode function threw)
 */
export function decodeSection(
  section: SectionToDecode,
  buffers: readonly ArrayBufferLike[],
  classes: KnownClasses = NO_CLASSES,
): DecodedSection {
  const { name, encoding, bytes } = section;
  if (encoding === GRAPH_1) return decodeGraph(section, buffers, classes);
  if (encoding === TREE_1) return { value: decodeTree(bytes, buffers, name), objects: [], instances: false };
  const message = `decode section ${name}: expected encoding ${GRAPH_1} or ${TREE_1}, found ${encoding}; a newer version may read it`;
  throw new CheckpointError('ERR_CKPT_DECODE', message, { section: name });
}

function assertPacksBytes([name]: readonly string[]): void {
  if (name === undefined || packsBytes()) return;
  const message =
    `state of ${name}: this program has added an extension for Uint8Array to msgpackr, so bytes cannot be written in ` +
    'standard msgpack; register the extension for a class of your own';
  throw new CheckpointError('ERR_CKPT_UNSUPPORTED_VALUE', message, { provider: name, path: name });
}

function pack(walk: GraphWalk, section: GraphSection): Uint8Array {
  const { name } = section;
  const bytes = packMsgpack(walk.wire(section));
  if (bytes.length > MAX_SECTION_BYTES) {
    const message =
      `state of ${name}: ${bytes.length} bytes of structured data, more than the ${MAX_SECTION_BYTES} one section may have; ` +
      'keep large data in typed arrays, or spread it over several providers';
    throw new CheckpointError('ERR_CKPT_UNSUPPORTED_VALUE', message, { provider: name, path: name });
  }
  return bytes;
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
