/**
 * Bytes of one section in `graph-1` back to its value. The bytes are hostile until proven otherwise.
 *
 * Invariants
 * 1. Scanned before anything is built; what is built is bounded by the bytes.
 * 2. What does not follow docs/image-format.md to the letter is refused (ERR_CKPT_DECODE), never repaired.
 */
import { CheckpointError, isCheckpointError, messageOf } from '../base/errors.js';
import type { DecodedSection, SectionToDecode } from './contract.js';
import { BadMemory } from './decode-memory.js';
import { assertKnown, type KnownClasses } from './graph-classes.js';
import { Filler } from './graph-fill.js';
import { GRAPH_1, GRAPH_LIMITS } from './graph-format.js';
import { readGraph } from './graph-read.js';
import { unpackMsgpack } from './msgpack.js';
import { BadGraph } from './read-columns.js';

/** @throws CheckpointError ERR_CKPT_DECODE, ERR_CKPT_IMAGE_LIMIT, ERR_CKPT_SCHEMA, ERR_CKPT_RESTORE */
export function decodeGraph(section: SectionToDecode, buffers: readonly ArrayBufferLike[], classes: KnownClasses): DecodedSection {
  const { name, bytes } = section;
  try {
    const unpacked = unpackMsgpack(bytes, GRAPH_LIMITS);
    if (unpacked.fault === 'limit') {
      throw new CheckpointError('ERR_CKPT_IMAGE_LIMIT', `decode section ${name}: ${unpacked.reason}; nothing was built from it`, {
        section: name,
      });
    }
    if (unpacked.fault !== undefined) throw new BadGraph(unpacked.reason);
    if (unpacked.entries > 0) throw new BadGraph('a map, where there are none');
    const graph = readGraph(unpacked.value);
    assertKnown(
      classes,
      graph.groups.map(({ of }) => of),
      name,
    );
    const imports = section.imports.map(({ objects }) => objects);
    const filler = new Filler(graph, { section: name, size: bytes.length, buffers, imports, classes });
    const value = filler.fill();
    return { value, objects: filler.objects, instances: graph.groups.some(({ of }) => of.of === 'class') };
  } catch (error) {
    if (isCheckpointError(error)) throw error;
    const known = error instanceof BadGraph || error instanceof BadMemory;
    const message = `decode section ${name}: expected ${GRAPH_1}, found ${messageOf(error)}; the image cannot be used`;
    throw new CheckpointError('ERR_CKPT_DECODE', message, { section: name, ...(known ? {} : { cause: error }) });
  }
}
