/**
 * The journal of a directory store: small records in `journal/`, and the files of any size that they speak of in `tails/`.
 *
 * Invariants
 * 1. What is written is complete, fsynced and has its final name before the call returns; no name is overwritten.
 * 2. A journal of an epoch writes only while that epoch is the newest: asked before, and again once the record has its
 *    name, so that a fenced life's record does not stay.
 * 3. Whatever is read is untrusted: of limited size, of the shape that the caller knows, no link followed.
 */
import type { ByteSink, ByteSource } from '../image/contract.js';
import { epochTemporary, processTemporary, type StoreContext } from './context.js';
import type { Journal, RecordShape } from './contract.js';
import { createDurable, linkOnce, putRecord, syncFolder } from './durable.js';
import { Fence } from './epochs.js';
import { ifPresent, quietly, storeError, translated } from './failure.js';
import { isJournalName, journalPath, layout, tailPath } from './layout.js';
import { JOURNAL_LIMIT, parseJournal } from './records.js';
import { openSource, readRecord } from './source.js';

export class DirectoryJournal implements Journal {
  readonly #open: () => Promise<StoreContext>;
  readonly #location: () => string;
  readonly #epoch: number | undefined;
  #fence: Fence | undefined;

  constructor(open: () => Promise<StoreContext>, location: () => string, epoch: number | undefined) {
    this.#open = open;
    this.#location = location;
    this.#epoch = epoch;
  }

  async list(): Promise<string[]> {
    const store = await this.#open();
    return names(store, store.paths.journal);
  }

  async read<T>(file: string, shape: RecordShape<T>): Promise<T | undefined> {
    const store = await this.#open();
    const path = journalPath(store.paths, file);
    const bytes = await readRecord(store.fs, path, JOURNAL_LIMIT);
    return bytes === undefined ? undefined : parseJournal(bytes, path, shape);
  }

  async put(file: string, record: object): Promise<boolean> {
    const store = await this.#open();
    const path = journalPath(store.paths, file);
    await this.#assertNewest(store);
    if (!(await putRecord(store, path, record, this.#epoch))) return false;
    await this.#assertStillNewest(store, path);
    return true;
  }

  async remove(file: string): Promise<void> {
    const store = await this.#open();
    await unlinkDurably(store, journalPath(store.paths, file), store.paths.journal);
  }

  async saved(): Promise<string[]> {
    const store = await this.#open();
    return names(store, store.paths.tails);
  }

  async save(file: string, fill: (sink: ByteSink) => Promise<void>): Promise<number> {
    const store = await this.#open();
    const path = tailPath(store.paths, file);
    await this.#assertNewest(store);
    const temporary = this.#epoch === undefined ? processTemporary(store) : epochTemporary(store, this.#epoch);
    const { size } = await createDurable(store.fs, temporary, fill);
    try {
      if (!(await linkOnce(store.fs, temporary, path)))
        throw storeError('ERR_CKPT_STORE_UNSAFE', { operation: 'save', path, phase: 'apply' }, 'nothing of that name', 'a file');
    } finally {
      await quietly(() => store.fs.unlink(temporary));
    }
    await syncFolder(store.fs, store.paths.tails);
    await this.#assertStillNewest(store, path);
    return size;
  }

  async open(file: string): Promise<ByteSource | undefined> {
    const store = await this.#open();
    return openSource(store.fs, tailPath(store.paths, file));
  }

  async drop(file: string): Promise<void> {
    const store = await this.#open();
    await unlinkDurably(store, tailPath(store.paths, file), store.paths.tails);
  }

  whereSaved(file: string): string {
    return tailPath(layout(this.#location()), file);
  }

  async #assertNewest(store: StoreContext): Promise<void> {
    if (this.#epoch === undefined) return;
    this.#fence ??= new Fence(store, this.#epoch);
    await this.#fence.assert();
  }

  async #assertStillNewest(store: StoreContext, path: string): Promise<void> {
    try {
      await this.#assertNewest(store);
    } catch (cause) {
      await quietly(() => store.fs.unlink(path));
      throw cause;
    }
  }
}

async function names(store: StoreContext, folder: string): Promise<string[]> {
  const files = await translated({ operation: 'list', path: folder }, () => ifPresent(() => store.fs.readdir(folder)));
  return (files ?? []).filter(isJournalName);
}

async function unlinkDurably(store: StoreContext, path: string, folder: string): Promise<void> {
  await translated({ operation: 'remove', path }, () => ifPresent(() => store.fs.unlink(path)));
  await syncFolder(store.fs, folder);
}
