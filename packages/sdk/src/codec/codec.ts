/**
 * The codec's way in: the values of a member to sections, and back (contract.ts).
 *
 * Invariants
 * 1. All providers of a member are walked before the first is packed: a Buffer on the pool whose memory turns out to be
 *    shared is written differently in an earlier section too.
 * 2. What is left out of a section is left out for its provider alone: another one that reaches the same object without
 *    having asked for that refuses it.
 */
import { CheckpointError, isCheckpointError, messageOf } from '../base/errors.js';
import { type ClassRegistry, NO_CLASSES } from './classes.js';
import type { DecodedSection, EncodedMember, SectionToDecode } from './contract.js';
import { decodeTree } from './decode.js';
import { Drops } from './drops.js';
import type { KnownClasses } from './graph-classes.js';
import { decodeGraph } from './graph-decode.js';
import { GRAPH_1 } from './graph-format.js';
import type { GraphSection } from './graph-section.js';
import { GraphWalk } from './graph-walk.js';
import { type HiddenClasses, hiddenClasses } from './hidden-class.js';
import { packMsgpack, packsBytes, TooLarge } from './msgpack.js';
import { MAX_SECTION_BYTES, TREE_1 } from './tags.js';

export interface EncodeOptions {
  /** Names of those that asked to leave out what cannot be carried; each object is looked at in full then. */
  readonly dropping?: ReadonlySet<string>;
  /** Memory that is captured elsewhere: values that hold it are refused. */
  readonly foreign?: ReadonlySet<ArrayBufferLike>;
  /** null: every object is looked at in full. */
  readonly hidden?: HiddenClasses | null;
}

/**
 * @param roots the value of each provider of one member
 * @throws CheckpointError ERR_CKPT_UNSUPPORTED_VALUE with `provider` and `path`; ERR_CKPT_MEMORY
 */
export function encodeMember(
  roots: ReadonlyMap<string, unknown>,
  classes: ClassRegistry = NO_CLASSES,
  { dropping = new Set(), foreign = new Set(), hidden = hiddenClasses }: EncodeOptions = {},
): EncodedMember {
  return inMemory('', () => {
    const walk = walkAll(roots, classes, { dropping, foreign, hidden });
    for (const name of importersOfDropped(walk.sections)) assertEncodable(name, roots.get(name), classes);
    assertPacksBytes([...roots.keys()]);
    const sections = walk.sections.map((section) => {
      const dropped = walk.dropped(section);
      return {
        name: section.name,
        encoding: GRAPH_1,
        bytes: inMemory(section.name, () => pack(walk, section)),
        buffers: [...section.buffers].sort((a, b) => a - b),
        imports: section.imports,
        ...(dropped === undefined ? {} : { dropped }),
      };
    });
    return { sections, buffers: walk.memory.buffers };
  });
}

/** Walks until no more objects are met that cannot be carried. */
function walkAll(
  roots: ReadonlyMap<string, unknown>,
  classes: ClassRegistry,
  { dropping, foreign, hidden }: Required<EncodeOptions>,
): GraphWalk {
  const drops = new Drops(dropping);
  for (;;) {
    const known = drops.size;
    const walk = new GraphWalk(roots, { classes, drops, foreign, hidden: dropping.size === 0 ? hidden : null });
    for (const [name, value] of roots) inMemory(name, () => walk.section(name, value));
    walk.assertRegistered();
    if (drops.size === known) return walk;
  }
}

/** Invariant 2: sections that refuse, and that refer to objects of sections out of which something was left. */
function importersOfDropped(sections: readonly GraphSection[]): string[] {
  const tainted = sections.map(({ drops }) => drops !== undefined && drops.count > 0);
  return sections.flatMap(({ name, position, imports, drops }) => {
    if (!imports.some((other) => tainted[other])) return [];
    tainted[position] = true;
    return drops === undefined ? [name] : [];
  });
}

/**
 * Checks that a provider's value can be carried, and throws as encodeMember would.
 * @throws CheckpointError ERR_CKPT_UNSUPPORTED_VALUE, ERR_CKPT_MEMORY
 */
export function assertEncodable(name: string, value: unknown, classes: ClassRegistry = NO_CLASSES, dropping = false): void {
  inMemory(name, () => {
    const options = { dropping: new Set(dropping ? [name] : []), foreign: new Set<ArrayBufferLike>(), hidden: hiddenClasses };
    const walk = walkAll(new Map([[name, value]]), classes, options);
    for (const section of walk.sections) walk.wire(section);
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
  let bytes: number;
  try {
    const packed = packMsgpack(walk.wire(section));
    if (packed.length <= MAX_SECTION_BYTES) return packed;
    bytes = packed.length;
  } catch (error) {
    if (!(error instanceof TooLarge)) throw error;
    bytes = error.bytes;
  }
  const { name } = section;
  const message =
    `state of ${name}: ${bytes} bytes of structured data, more than the ${MAX_SECTION_BYTES} one section may have; ` +
    'keep large data in typed arrays, or spread it over several providers';
  throw new CheckpointError('ERR_CKPT_UNSUPPORTED_VALUE', message, { provider: name, path: name });
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
