/**
 * Which sections of two images are compared, and which are compared together.
 *
 * Invariants
 * 1. Sections go by member and name. Those of the kind `carried` are compared only through what imports them.
 * 2. Sections that share objects or memory in one of the images are one group: identity never crosses groups.
 * 3. A group is unchanged only when everything that it reaches has the same bytes in both, related in the same way;
 *    nothing is read to know it.
 */
import type { SectionRecord } from '../image/contract.js';
import type { LazyImage } from '../image/lazy.js';
import { numbersOf } from '../image/section-buffers.js';
import { CARRIED_KIND } from '../state/carried.js';
import { changedRanges, placedBuffer } from './changed-ranges.js';

/** A section by its index in each image; undefined where there is none. */
export interface SectionPair {
  readonly member: string;
  readonly name: string;
  readonly a: number | undefined;
  readonly b: number | undefined;
}

/** Indexes of sections and buffers. */
export interface Reach {
  readonly sections: ReadonlySet<number>;
  readonly buffers: ReadonlySet<number>;
}

export interface SectionGroup {
  readonly pairs: readonly SectionPair[];
  readonly unchanged: boolean;
}

export async function groupSections(a: LazyImage, b: LazyImage): Promise<SectionGroup[]> {
  const pairs = pairSections(a, b);
  const joined = new Joined(pairs.length);
  for (const side of ['a', 'b'] as const) {
    const users = new Map<string, number>();
    for (const [place, pair] of pairs.entries()) {
      const index = pair[side];
      if (index === undefined) continue;
      for (const thing of reached(side === 'a' ? a : b, index)) {
        const other = users.get(thing);
        if (other === undefined) users.set(thing, place);
        else joined.join(place, other);
      }
    }
  }
  const groups = new Map<number, SectionPair[]>();
  for (const [place, pair] of pairs.entries()) {
    const first = joined.first(place);
    groups.set(first, [...(groups.get(first) ?? []), pair]);
  }
  const result: SectionGroup[] = [];
  for (const members of groups.values()) result.push({ pairs: members, unchanged: await isUnchanged(a, b, members) });
  return result;
}

/** In the order of `a`; what only `b` has comes last. */
function pairSections(a: LazyImage, b: LazyImage): SectionPair[] {
  const rights = new Map(roots(b).map(([index, section]) => [keyOf(section), index]));
  const pairs: SectionPair[] = [];
  for (const [index, section] of roots(a)) {
    const { member, name } = section;
    pairs.push({ member, name, a: index, b: rights.get(keyOf(section)) });
    rights.delete(keyOf(section));
  }
  for (const [index, section] of roots(b)) {
    const { member, name } = section;
    if (rights.has(keyOf(section))) pairs.push({ member, name, a: undefined, b: index });
  }
  return pairs;
}

function roots({ manifest }: LazyImage): [index: number, section: SectionRecord][] {
  return [...manifest.sections.entries()].filter(([, { kind }]) => kind !== CARRIED_KIND);
}

function keyOf({ member, name }: SectionRecord): string {
  return JSON.stringify([member, name]);
}

/** The section, what it imports, and the buffers of all these. */
export function reachOf({ manifest }: LazyImage, index: number): Reach {
  const sections = new Set([index]);
  const buffers = new Set<number>();
  for (const one of sections) {
    const record = manifest.sections[one];
    for (const other of record?.imports ?? []) sections.add(other);
    for (const buffer of record?.buffers ?? []) buffers.add(buffer);
  }
  return { sections, buffers };
}

function reached(image: LazyImage, index: number): string[] {
  const { sections, buffers } = reachOf(image, index);
  return [...[...sections].map((one) => `section ${one}`), ...[...buffers].map((one) => `buffer ${one}`)];
}

async function isUnchanged(a: LazyImage, b: LazyImage, pairs: readonly SectionPair[]): Promise<boolean> {
  const sections = new Partners();
  const buffers = new Partners();
  for (const pair of pairs) {
    if (pair.a === undefined || pair.b === undefined || !sections.join(pair.a, pair.b)) return false;
  }
  for (const [left, right] of sections.pairs) {
    const [one, other] = [a.manifest.sections[left], b.manifest.sections[right]];
    if (one === undefined || other === undefined || !sameRecord(a, b, one, other)) return false;
    const imports = one.imports ?? [];
    if (!imports.every((index, place) => sections.join(index, other.imports?.[place] ?? -1))) return false;
    if (!one.buffers.every((index, place) => buffers.join(index, other.buffers[place] ?? -1))) return false;
  }
  for (const [left, right] of buffers.pairs) {
    const [one, other] = [a.manifest.buffers[left], b.manifest.buffers[right]];
    if (one === undefined || other === undefined) return false;
    if (one.kind !== other.kind || one.length !== other.length || one.maxLength !== other.maxLength) return false;
    if (changedRanges(await placedBuffer(a, left), await placedBuffer(b, right)).length > 0) return false;
  }
  return true;
}

function sameRecord(a: LazyImage, b: LazyImage, one: SectionRecord, other: SectionRecord): boolean {
  if (one.kind !== other.kind || one.version !== other.version || one.encoding !== other.encoding) return false;
  if (one.length !== other.length || one.buffers.length !== other.buffers.length) return false;
  if ((one.imports ?? []).length !== (other.imports ?? []).length) return false;
  const numbers = numbersOf(b.manifest, other);
  if (numbersOf(a.manifest, one).some((number, place) => number !== numbers[place])) return false;
  return changedRanges({ image: a, ...one }, { image: b, ...other }).length === 0;
}

/** One partner each, on both sides. */
class Partners {
  readonly pairs = new Map<number, number>();
  readonly #back = new Map<number, number>();

  /** False when one of them has another partner. */
  join(a: number, b: number): boolean {
    if (!this.pairs.has(a) && !this.#back.has(b)) {
      this.pairs.set(a, b);
      this.#back.set(b, a);
    }
    return this.pairs.get(a) === b;
  }
}

/** Disjoint sets of numbers; each is known by its lowest. */
class Joined {
  readonly #parents: number[];

  constructor(count: number) {
    this.#parents = Array.from({ length: count }, (_, index) => index);
  }

  first(of: number): number {
    let at = of;
    for (let parent = this.#parents[at]; parent !== undefined && parent !== at; parent = this.#parents[at]) at = parent;
    this.#parents[of] = at;
    return at;
  }

  join(a: number, b: number): void {
    const [one, other] = [this.first(a), this.first(b)];
    this.#parents[Math.max(one, other)] = Math.min(one, other);
  }
}
