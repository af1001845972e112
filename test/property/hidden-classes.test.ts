import { expect, it } from 'vitest';
import { encodeMember } from '../../packages/sdk/src/codec/codec.js';
import type { HiddenClasses } from '../../packages/sdk/src/codec/hidden-class.js';
import { hiddenClasses } from '../../packages/sdk/src/codec/hidden-class.js';
import { testClasses } from '../fixtures/graph-classes.js';
import { randomRoots } from '../fixtures/random-graph.js';
import { testSeed } from '../fixtures/seeded.js';

const CLASSES = testClasses();
const GRAPHS = Number(process.env['CKPT_TEST_VALUES'] ?? 400);

/** All bytes of a member, or why and where it is refused. */
function encoded(roots: ReadonlyMap<string, unknown>, hidden: HiddenClasses | null): unknown {
  try {
    const { sections, buffers } = encodeMember(roots, CLASSES, { hidden });
    return [sections.map((section) => ({ ...section, bytes: Buffer.from(section.bytes).toString('latin1') })), buffers.length];
  } catch (error) {
    return [Reflect.get(Object(error), 'code'), Reflect.get(Object(error), 'path')];
  }
}

it('F16, F17: objects that are told by their hidden class become the same bytes as those looked at in full', () => {
  expect(hiddenClasses).not.toBeNull();
  const first = testSeed(1);
  for (let seed = first; seed < first + GRAPHS; seed++) {
    const roots = randomRoots(seed, { objects: seed % 10 === 0 ? 300 : 14, odd: seed % 3 === 0 ? 0 : 0.15 });
    const full = encoded(roots, null);
    expect(encoded(roots, hiddenClasses), `seed ${seed}`).toEqual(full);
  }
});
