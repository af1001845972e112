/**
 * Baselines: what each file was before a life first wrote to it, kept in the journal so that a later start can put it
 * back when its source image does not know the file.
 *
 *   base-<epoch>-<n>   what the file was      made-<epoch>-<n>   a file of that path that this run made
 *
 * Invariants
 * 1. An entry is durable before the file is made or written; `made` before the first byte goes into a file that was made.
 * 2. Entries are in order of time by epoch and number. The one that counts for a source is the first of those that are no
 *    part of its history and behind the last that is: it tells what the file was before it was written to for nothing.
 *    That may be long ago: a life that does not open the file leaves it as it is.
 * 3. An entry goes only when without it the same one counts for every image and for this life.
 * 4. What a `w` handle empties is kept with its entry where an image may need it, whatever `keepTails` says.
 * 5. A file that a life has opened is its own from then on: nothing puts it back any more before the next start.
 */
import { isAbsolute } from 'node:path';
import { z } from 'zod';
import { CheckpointError } from '../base/errors.js';
import type { FileStat } from '../base/ports.js';
import type { Journal } from '../store/contract.js';
import type { Baseline, FileDeclaration } from './contract.js';
import { isPartOf, type Moment, type Sources } from './history.js';

type KnownFile = Pick<FileDeclaration, 'name' | 'given' | 'path'>;

/** A file's content of some moment, whole, in `tails/`. */
export type KeptContent = Extract<Baseline['was'], { kind: 'present' }> & { readonly copy: string };

interface Made {
  readonly path: string;
  readonly ino: number;
  /** 0 where the file system does not keep it; with it a reused inode is told from ours. */
  readonly birthtimeMs: number;
}

interface Entry extends Baseline {
  /** Name of the journal's record. */
  readonly record: string;
}

const bytes = z.int().nonnegative();
const check = z.object({ from: bytes, to: bytes, hash: z.string() });
const present = z.object({
  kind: z.literal('present'),
  size: bytes,
  identity: z.object({ dev: bytes, ino: bytes }),
  check,
  copy: z.string().exactOptional(),
});
const BASELINE: z.ZodType<Baseline> = z
  .object({
    name: z.string(),
    given: z.string(),
    path: z.string(),
    epoch: z.int().positive(),
    generation: bytes,
    was: z.discriminatedUnion('kind', [z.object({ kind: z.literal('absent') }), present]),
  })
  .refine(({ was }) => was.kind === 'absent' || was.check.to <= was.size, 'expected a check within the file');
const MADE: z.ZodType<Made> = z.object({ path: z.string(), ino: bytes, birthtimeMs: z.number() });
const RECORD = /^(base|made)-([1-9]\d{0,14})-([1-9]\d{0,14})$/;

export class Baselines {
  readonly #journal: Journal;
  readonly #epoch: number;
  readonly #sources: Sources;
  readonly #entries: Entry[] = [];
  readonly #made = new Map<string, Made>();
  readonly #settled = new Set<string>();
  #count = 0;

  private constructor(journal: Journal, epoch: number, sources: Sources) {
    this.#journal = journal;
    this.#epoch = epoch;
    this.#sources = sources;
  }

  /** Reads what earlier lives left. @throws CheckpointError ERR_CKPT_STORE_UNSAFE when a record is damaged */
  static async load(journal: Journal, epoch: number, sources: Sources): Promise<Baselines> {
    const baselines = new Baselines(journal, epoch, sources);
    const found = (await journal.list()).flatMap((record) => {
      const [, kind, ofEpoch, count] = RECORD.exec(record) ?? [];
      return kind === undefined ? [] : [{ record, kind, epoch: Number(ofEpoch), count: Number(count) }];
    });
    found.sort((a, b) => a.epoch - b.epoch || a.count - b.count);
    for (const { record, kind, epoch: ofEpoch } of found) {
      if (kind === 'made') baselines.#know(record, await journal.read(record, MADE));
      else baselines.#add(record, ofEpoch, await journal.read(record, BASELINE));
    }
    return baselines;
  }

  /** The entry that counts for `source` (invariant 2); null: a fresh start. Undefined when the file is as it is to be. */
  earliestAfter(declaration: FileDeclaration, source: Moment | null): Baseline | undefined {
    if (this.#settled.has(declaration.path)) return undefined;
    return counting(this.#of(declaration), (entry) => isPartOf(source, entry, this.#sources));
  }

  /** True when the history that leads to `source` has opened the file for writing. */
  isOfHistory(file: KnownFile, source: Moment | null): boolean {
    return this.#of(file).some((entry) => isPartOf(source, entry, this.#sources));
  }

  /**
   * The first kept content of the file since `source`, which begins with what the file was at it: until a later handle
   * emptied the file, or changed it in place, it was only written on at its end.
   */
  keptAfter(file: KnownFile, source: Moment | null): KeptContent | undefined {
    return firstKept(this.#of(file), (entry) => isPartOf(source, entry, this.#sources));
  }

  /** True when no life has ever opened the file for writing. */
  isNew(file: KnownFile): boolean {
    return this.#of(file).length === 0;
  }

  /** A saved copy of content with that hash, so that it need not be saved again. */
  copyOf(declaration: FileDeclaration, hash: string): string | undefined {
    const known = this.#of(declaration).findLast(({ was }) => was.kind === 'present' && was.copy !== undefined && was.check.hash === hash);
    return known?.was.kind === 'present' ? known.was.copy : undefined;
  }

  /** Durably records what the file is now, unless this life has done so since the last capture. */
  async record(declaration: FileDeclaration, generation: number, measure: () => Promise<Baseline['was']>): Promise<void> {
    const { name, given, path } = declaration;
    const known = this.#entries.some((entry) => entry.path === path && entry.epoch === this.#epoch && entry.generation === generation);
    if (known) return;
    const baseline: Baseline = { name, given, path, epoch: this.#epoch, generation, was: await measure() };
    const record = await this.#put('base', baseline);
    this.#entries.push({ ...baseline, record });
  }

  /** Durably records that the file at `path` was made by this run. */
  async made(path: string, { ino, birthtimeMs }: FileStat): Promise<void> {
    const made: Made = { path, ino, birthtimeMs };
    this.#made.set(await this.#put('made', made), made);
  }

  /** Whether this run made what lies at the declared path, or at the path that it had before the run was moved. */
  isOurs(declaration: FileDeclaration, stat: FileStat): boolean {
    const paths = new Set(this.#of(declaration).map(({ path }) => path));
    return [...paths, declaration.path].some((path) => this.wasMadeAt(path, stat));
  }

  /** Device numbers change with a mount and say nothing; a birth time of 0 is one that the file system does not keep. */
  wasMadeAt(path: string, { ino, birthtimeMs }: FileStat): boolean {
    return [...this.#made.values()].some(
      (made) => made.path === path && made.ino === ino && (made.birthtimeMs === 0 || birthtimeMs === 0 || made.birthtimeMs === birthtimeMs),
    );
  }

  /** Invariant 5. */
  settle(path: string): void {
    this.#settled.add(path);
  }

  /** A name for a copy in `tails/` that nothing else has. */
  copyName(): string {
    this.#count += 1;
    return `copy-${this.#epoch}-${this.#count}`;
  }

  /**
   * Removes what no restart can need (invariant 3). Not while a file is being opened.
   * @param images those that there are, and any that is being written
   * @param source what this life started from
   */
  async clean(images: readonly Moment[], source: Moment | null): Promise<void> {
    const histories = [null, source, ...images].map((image) => (entry: Moment) => isPartOf(image, entry, this.#sources));
    // What this life does is part of the history of its images to come.
    histories.push((entry) => entry.epoch === this.#epoch || isPartOf(source, entry, this.#sources));
    for (const path of new Set(this.#entries.map((entry) => entry.path))) {
      let own = this.#entries.filter((entry) => entry.path === path);
      for (const entry of own.toReversed()) {
        const without = own.filter((other) => other !== entry);
        if (histories.some((isPart) => counting(own, isPart) !== counting(without, isPart))) continue;
        if (histories.some((isPart) => firstKept(own, isPart)?.copy !== firstKept(without, isPart)?.copy)) continue;
        await this.#forget(entry);
        own = without;
      }
    }
    for (const [record, { path }] of [...this.#made]) {
      if (this.#entries.some((entry) => entry.was.kind === 'absent' && entry.path === path)) continue;
      await this.#journal.remove(record);
      this.#made.delete(record);
    }
    const used = this.#copies();
    for (const file of await this.#journal.saved()) if (this.#isOfUs(file) && !used.has(file)) await this.#journal.drop(file);
  }

  /** What this life has recorded, newest first. */
  ofThisLife(): readonly Baseline[] {
    return this.#entries.filter(({ epoch }) => epoch === this.#epoch).reverse();
  }

  /** Takes an entry back: its file is as it was. */
  async withdraw(baseline: Baseline): Promise<void> {
    const entry = this.#entries.find((other) => other === baseline);
    if (entry !== undefined) await this.#forget(entry);
  }

  #of({ name, given, path }: KnownFile): Entry[] {
    const moved = !isAbsolute(given);
    return this.#entries.filter((entry) => entry.path === path || (moved && entry.given === given && entry.name === name));
  }

  /** A copy of this life or an earlier one; a later life may have begun meanwhile. */
  #isOfUs(file: string): boolean {
    const epoch = /^copy-([1-9]\d{0,14})-/.exec(file)?.[1];
    return epoch !== undefined && Number(epoch) <= this.#epoch;
  }

  #copies(): Set<string> {
    return new Set(this.#entries.flatMap(({ was }) => (was.kind === 'present' && was.copy !== undefined ? [was.copy] : [])));
  }

  async #forget(entry: Entry): Promise<void> {
    await this.#journal.remove(entry.record);
    this.#entries.splice(this.#entries.indexOf(entry), 1);
  }

  async #put(kind: 'base' | 'made', record: object): Promise<string> {
    for (;;) {
      this.#count += 1;
      const name = `${kind}-${this.#epoch}-${this.#count}`;
      if (await this.#journal.put(name, record)) return name;
    }
  }

  #add(record: string, epoch: number, baseline: Baseline | undefined): void {
    if (baseline === undefined) return;
    if (baseline.epoch === epoch) {
      this.#entries.push({ ...baseline, record });
      return;
    }
    throw new CheckpointError(
      'ERR_CKPT_STORE_UNSAFE',
      `cannot use ${record} of the journal: expected the record of epoch ${epoch}, found that of epoch ${baseline.epoch}; put the store back from a copy`,
      { phase: 'plan' },
    );
  }

  #know(record: string, made: Made | undefined): void {
    if (made !== undefined) this.#made.set(record, made);
  }
}

/** Invariant 2. */
function counting<T extends Moment>(entries: readonly T[], isPart: (entry: T) => boolean): T | undefined {
  return entries[entries.findLastIndex(isPart) + 1];
}

/** The first content that was kept from the entry that counts on. */
function firstKept(entries: readonly Baseline[], isPart: (entry: Moment) => boolean): KeptContent | undefined {
  for (const { was } of entries.slice(entries.findLastIndex(isPart) + 1))
    if (was.kind === 'present' && was.copy !== undefined) return { ...was, copy: was.copy };
  return undefined;
}
