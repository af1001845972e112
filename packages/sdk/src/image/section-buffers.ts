/**
 * The memory that a section refers to, by the numbers that its bytes use.
 *
 * Invariant: a section refers to the buffers of its own member only.
 */
import type { Manifest, SectionRecord } from './contract.js';

/** @param memory the restored buffers of the image, by index; what is not there must not be referred to */
export function buffersOf(
  { buffers }: Pick<Manifest, 'buffers'>,
  { member, numbers, buffers: uses }: SectionRecord,
  memory: readonly ArrayBufferLike[],
): readonly ArrayBufferLike[] {
  if (numbers === undefined) return memory.filter((_, index) => buffers[index]?.member === member);
  const numbered: ArrayBufferLike[] = [];
  for (const [position, index] of uses.entries()) {
    const number = numbers[position];
    const found = memory[index];
    if (number !== undefined && found !== undefined) numbered[number] = found;
  }
  return numbered;
}
