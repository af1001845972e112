/**
 * The writer of one claimed epoch: commits images, answers whether it is still the newest, gives signs of life, lets go.
 *
 * Invariants
 * 1. It is made from (store, epoch) in any thread of the owner and claims nothing by itself.
 * 2. Commits of one writer happen one after the other.
 */
import type { StoreContext } from './context.js';
import type { ImageWriter, Published, PublishRequest } from './contract.js';
import { Fence, putMark, writeHeartbeat } from './epochs.js';
import { type Commit, publish } from './publish.js';

export class EpochWriter implements ImageWriter {
  readonly epoch: number;
  readonly #commit: () => Promise<Commit>;
  #last: Promise<unknown> = Promise.resolve();
  #beats = 0;

  constructor(epoch: number, open: () => Promise<StoreContext>) {
    this.epoch = epoch;
    let commit: Commit | undefined;
    this.#commit = async () => {
      const store = await open();
      commit ??= { store, epoch, fence: new Fence(store, epoch), marked: false, sealed: false };
      return commit;
    };
  }

  publish(request: PublishRequest): Promise<Published> {
    const run = async (): Promise<Published> => publish(await this.#commit(), request);
    const done = this.#last.then(run, run);
    this.#last = done.catch(() => {});
    return done;
  }

  async assertNewest(): Promise<void> {
    const { fence } = await this.#commit();
    await fence.assert();
  }

  async beat(): Promise<void> {
    const { store } = await this.#commit();
    this.#beats += 1;
    await writeHeartbeat(store, this.epoch, { count: this.#beats, at: store.clock.now() });
  }

  async release(): Promise<void> {
    const { store } = await this.#commit();
    await putMark(store, this.epoch, 'closed', { epoch: this.epoch, at: store.clock.now() });
  }
}
