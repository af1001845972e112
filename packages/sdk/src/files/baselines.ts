/**
 * Baselines: what each file was before a life changed it, kept in the journal so that a later start can bring it back when
 * that change is no part of the history of its source: before its first write (`base`), and before a put-back (`put`).
 *
 * Invariants
 * 1. An entry is durable before the file is made or written, that of a put-back before the put-back is over; `made` before
 *    the first byte goes into a file that was made.
 * 2. Entries are in order of time. The one that counts for a source is the first of those that are no part of its history
 *    and behind the last that is: it tells what the file was before it was changed for nothing, and those behind it where
 *    the bytes of that lie now (earlier.ts). That may be long ago: a life that does not open the file leaves it as it is.
 * 3. An entry goes only when without it every image and this life would bring the file back from the same entries; the tail
 *    of a put-back goes with its entry, and neither before another start.
 * 4. What a `w` handle empties is kept with its entry where an image may need it, whatever `keepTails` says.
 * 5. A file that a life has opened is its own from then on: nothing puts it back any more before the next start.
 */
import { isAbsolute } from 'node:path';
import { CheckpointError } from '../base/errors.js';
import type { FileStat } from '../base/ports.js';
import type { ImageRef } from '../image/contract.js';
import type { Journal } from '../store/contract.js';
import { BASELINE, inOrder, MADE, type Made } from './baseline-record.js';
import type { Baseline, FileDeclaration } from './contract.js';
import { shaping } from './earlier.js';
import { goesOnFrom, isPartOf, type Moment, type Sources, withSource } from './history.js';

export type KnownFile = Pick<FileDeclaration, 'name' | 'given' | 'path'>;

export interface ChangedFile {
  readonly file: KnownFile;
  /** By a life that did not go on from there: whoever does need not come to the file again. */
  readonly elsewhere: boolean;
}

interface Entry extends Baseline {
  /** Name of the journal's record. */
  readonly record: string;
}

export class Baselines {
  readonly #journal: Journal;
  readonly #epoch: number;
  readonly #sources: Sources;
  #entries: Entry[] = [];
  readonly #made = new Map<string, Made>();
  readonly #settled = new Set<string>();
  #count = 0;

  private constructor(journal: Journal, epoch: number, sources: Sources) {
    this.#journal = journal;
    this.#epoch = epoch;
    this.#sources = sources;
  }

  /**
   * Reads what earlier lives left.
   * @param sources what earlier lives started from
   * @param source what this life starts from: it is not sealed yet, and without it all that was ever abandoned would count as
   * part of the history of its images
   * @throws CheckpointError ERR_CKPT_STORE_UNSAFE when a record is damaged
   */
  static async load(journal: Journal, epoch: number, sources: Sources, source: ImageRef | null): Promise<Baselines> {
    const baselines = new Baselines(journal, epoch, withSource(sources, epoch, source));
    for (const { record, kind, epoch: ofEpoch } of inOrder(await journal.list())) {
      if (kind === 'made') baselines.#know(record, await journal.read(record, MADE));
      else baselines.#add(record, ofEpoch, await journal.read(record, BASELINE));
    }
    return baselines;
  }

  /**
   * The entry that counts for `source` and those behind it (invariant 2); null: a fresh start. Empty when the file is as it is
   * to be.
   */
  since(file: KnownFile, source: Moment | null): readonly Baseline[] {
    if (this.#settled.has(file.path)) return [];
    return behind(this.#of(file), (entry) => isPartOf(source, entry, this.#sources));
  }

  /** Files that the history of `source` has opened, and that lives have changed since. */
  changedSince(source: Moment): readonly ChangedFile[] {
    const isPart = (entry: Entry): boolean => isPartOf(source, entry, this.#sources);
    return [...this.#byPath().values()].flatMap((known) => {
      const [file] = known;
      if (file === undefined || known.every(isPart)) return [];
      const entries = this.since(file, source);
      if (entries.length === 0 || !this.isOfHistory(file, source)) return [];
      return { file, elsewhere: entries.some((entry) => !goesOnFrom(source, entry, this.#sources)) };
    });
  }

  /** True when the history that leads to `source` has opened the file for writing. */
  isOfHistory(file: KnownFile, source: Moment | null): boolean {
    return this.#of(file).some((entry) => isPartOf(source, entry, this.#sources));
  }

  /** True when no life has ever opened the file for writing. */
  isNew(file: KnownFile): boolean {
    return this.#of(file).length === 0;
  }

  /** True when nobody has written it under another name: for a library's file, that no handle ever had it. */
  isOnlyKnownAs(file: KnownFile): boolean {
    return this.#of(file).every(({ name }) => name === file.name);
  }

  /** A saved copy of content with that hash, so that it need not be saved again. */
  copyOf(declaration: FileDeclaration, hash: string): string | undefined {
    const known = this.#of(declaration).findLast(({ was }) => was.kind === 'present' && was.copy !== undefined && was.check.hash === hash);
    return known?.was.kind === 'present' ? known.was.copy : undefined;
  }

  /**
   * Durably records what the file is now, unless this life has done so since the last capture: then nothing but what was
   * appended meanwhile goes, unless the handle empties the file or changes it in place.
   */
  async record(declaration: FileDeclaration, generation: number, measure: () => Promise<Baseline['was']>): Promise<void> {
    const { name, given, path } = declaration;
    const known = this.#entries.findLast(
      (entry) => entry.record.startsWith('base-') && entry.path === path && entry.epoch === this.#epoch && entry.generation === generation,
    );
    const changesBytes = declaration.flags === 'w' || declaration.flags === 'r+';
    const needsCopy = changesBytes && known?.was.kind === 'present' && known.was.copy === undefined;
    if (known !== undefined && !needsCopy) return;
    const baseline: Baseline = { name, given, path, epoch: this.#epoch, generation, was: await measure() };
    const record = await this.#put('base', baseline);
    this.#entries.push({ ...baseline, record });
  }

  /** Durably records what a file was before a put-back. @param number what tells it from others: `<epoch>-<n>-<i>` */
  async recordPutBack(number: string, baseline: Baseline): Promise<void> {
    const record = `put-${number}`;
    await this.#journal.put(record, baseline); // there already when an earlier start was killed behind it
    const entries = [...this.#entries.filter((entry) => entry.record !== record), { ...baseline, record }];
    const order = new Map(inOrder(entries.map((entry) => entry.record)).map((name, index) => [name.record, index]));
    this.#entries = entries.sort((one, other) => (order.get(one.record) ?? 0) - (order.get(other.record) ?? 0));
  }

  /** A put-back of that life was undone: what it recorded of those files afterwards tells of nothing. */
  async withdrawAll(epoch: number, paths: ReadonlySet<string>): Promise<void> {
    for (const entry of this.#entries.filter((other) => other.epoch === epoch && paths.has(other.path))) await this.#forget(entry);
  }

  /** Durably records that the file at `path` was made by this run. */
  async made(path: string, { ino, birthtimeMs }: FileStat): Promise<void> {
    const made: Made = { path, ino, birthtimeMs };
    this.#made.set(await this.#put('made', made), made);
  }

  /** Whether this run made what lies at the declared path, or at the path that it had before the run was moved. */
  isOurs(declaration: KnownFile, stat: FileStat): boolean {
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

  /** A number that nothing else of this life has. */
  nextNumber(): number {
    this.#count += 1;
    return this.#count;
  }

  /** A name for a copy in `tails/` that nothing else has. */
  copyName(): string {
    return `copy-${this.#epoch}-${this.nextNumber()}`;
  }

  /**
   * Removes what no restart can need (invariant 3). Not while a file is being opened.
   * @param images those that there are, and any that is being written
   * @param source what this life started from
   */
  async clean(images: readonly Moment[], source: Moment | null): Promise<void> {
    // What this life does is part of the history of its images to come.
    const toCome: Moment = { epoch: this.#epoch, generation: Number.POSITIVE_INFINITY };
    const histories = [null, source, ...images, toCome].map((image) => (entry: Entry) => isPartOf(image, entry, this.#sources));
    for (const own of this.#byPath().values()) {
      while (await this.#forgetOne(own, histories)); // one that goes may have been all that another was there for
    }
    const made = new Set(this.#entries.flatMap(({ path, was }) => (was.kind === 'present' ? [] : [path])));
    for (const [record, { path }] of [...this.#made]) {
      if (made.has(path)) continue;
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

  /** Invariant 3. @returns false when all that are left are needed */
  async #forgetOne(own: Entry[], histories: readonly ((entry: Entry) => boolean)[]): Promise<boolean> {
    const without = (entry: Entry): Entry[] => own.filter((other) => other !== entry);
    const superfluous = own.findLast((entry) => {
      if (entry.was.kind === 'cut' && entry.epoch === this.#epoch) return false; // the log has just named its tail
      return histories.every((isPart) => sameEntries(shaping(behind(own, isPart)), shaping(behind(without(entry), isPart))));
    });
    if (superfluous === undefined) return false;
    if (superfluous.was.kind === 'cut') await this.#journal.drop(superfluous.was.tail.file);
    await this.#forget(superfluous);
    own.splice(own.indexOf(superfluous), 1);
    return true;
  }

  #byPath(): ReadonlyMap<string, Entry[]> {
    const files = new Map<string, Entry[]>();
    for (const entry of this.#entries) {
      const own = files.get(entry.path);
      if (own === undefined) files.set(entry.path, [entry]);
      else own.push(entry);
    }
    return files;
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
      const name = `${kind}-${this.#epoch}-${this.nextNumber()}`;
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
function behind<T extends Moment>(entries: readonly T[], isPart: (entry: T) => boolean): readonly T[] {
  return entries.slice(entries.findLastIndex(isPart) + 1);
}

function sameEntries(some: readonly Baseline[], others: readonly Baseline[]): boolean {
  return some.length === others.length && some.every((entry, index) => entry === others[index]);
}
