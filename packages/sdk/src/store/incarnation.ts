/**
 * An incarnation's hold on a directory store: the marks of its epoch, on top of the writer.
 *
 * Invariants
 * 1. Each mark is made once, durably, and not by a fenced life: what is asked after being fenced is ERR_CKPT_FENCED.
 * 2. The seal's frontier comes from a listing made after the claim; whatever appears above it later is late.
 */
import { CheckpointError } from '../base/errors.js';
import { recordChild } from './children.js';
import type { StoreContext } from './context.js';
import type { EpochRecord, Incarnation, RunRecord, Seal, SealSource } from './contract.js';
import { putMark } from './epochs.js';
import { listRefs } from './lineage.js';
import { EpochWriter } from './writer.js';

export class DirectoryIncarnation extends EpochWriter implements Incarnation {
  readonly record: EpochRecord;
  readonly run: RunRecord;
  readonly previousSignOfLife: number | undefined;
  readonly #store: StoreContext;

  constructor(store: StoreContext, run: RunRecord, record: EpochRecord, previousSignOfLife: number | undefined) {
    super(record.epoch, () => Promise.resolve(store));
    this.#store = store;
    this.run = run;
    this.record = record;
    this.previousSignOfLife = previousSignOfLife;
  }

  async seal(source: SealSource): Promise<Seal> {
    await this.assertNewest();
    const images = await listRefs(this.#store);
    const from = source.kind === 'image' ? source.generation : 0;
    const frontier = images.reduce((highest, { generation }) => Math.max(highest, generation), from);
    const seal: Seal = { epoch: this.epoch, source, frontier };
    if (!(await putMark(this.#store, this.epoch, 'sealed', seal))) {
      throw new CheckpointError(
        'ERR_CKPT_PHASE',
        `cannot seal epoch ${this.epoch} of ${this.#store.paths.root}: expected it to be open, found that it is sealed; seal once`,
        { phase: 'apply' },
      );
    }
    await this.assertNewest();
    return seal;
  }

  async void(): Promise<void> {
    await putMark(this.#store, this.epoch, 'void', { epoch: this.epoch });
  }

  async ready(how: { readonly signals: readonly string[]; readonly requests: boolean }): Promise<void> {
    await this.assertNewest();
    await putMark(this.#store, this.epoch, 'ready', { signals: how.signals, requests: how.requests });
  }

  child(pid: number): Promise<() => Promise<void>> {
    return recordChild(this.#store, this.epoch, pid);
  }
}
