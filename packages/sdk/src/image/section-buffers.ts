/**
 * The memory that a section refers to, by the numbers that its bytes use.
 *
 * Invariant: a section refers to the buffers of its own member only.
 */
import type { Manifest, SectionRecord } from './contract.js';

/** By which number the section's bytes refer to each of its buffers. */
export function numbersOf({ buffers }: Pick<Manifest, 'buffers'>, { member, numbers, buffers: uses }: SectionRecord): readonly number[] {
  if (numbers !== undefined) return numbers;
  const places = new Map<number, number>();
  for (const [index, buffer] of buffers.entries()) if (buffer.member === member) places.set(index, places.size);
  return uses.map((index) => places.get(index) ?? 0);
}

/** @param memory the restored buffers of the image, by index; what is not there must not be referred to */
export function buffersOf(
  manifest: Pick<Manifest, 'buffers'>,
  section: SectionRecord,
  memory: readonly ArrayBufferLike[],
): readonly ArrayBufferLike[] {
  const numbered: ArrayBufferLike[] = [];
  for (const [position, number] of numbersOf(manifest, section).entries()) {
    const found = memory[section.buffers[position] ?? -1];
    if (found !== undefined) numbered[number] = found;
  }
  return numbered;
}
