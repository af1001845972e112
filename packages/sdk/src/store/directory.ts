/**
 * The directory store: the Store contract over one directory. Wiring only; each job has a file of its own.
 *
 * Invariants
 * 1. Construction does nothing; the root is resolved at the first use and stays resolved.
 * 2. Only `open` creates anything that belongs to the store as a whole.
 */
import { resolve } from 'node:path';
import { someAtOnce } from '../base/at-once.js';
import { CheckpointError, messageOf, systemCode } from '../base/errors.js';
import type { FileSystem, Ports } from '../base/ports.js';
import type { ByteSource, ImageRef } from '../image/contract.js';
import { adoptImage, checkAdoptable } from './adopt.js';
import { blamedImages, blameImage } from './blame.js';
import { claimEpoch } from './claim.js';
import { directoryIdentity, isCopied, resolveRoot, type StoreContext } from './context.js';
import type {
  Adopted,
  AdoptRequest,
  ClaimOptions,
  ImageEntry,
  ImageWriter,
  Incarnation,
  Journal,
  Lease,
  Lineage,
  OwnerIdentity,
  Retention,
  RunRecord,
  SealSource,
  Store,
} from './contract.js';
import { readClaim, readEpochs, readHeartbeat, readReady } from './epochs.js';
import { storeError, storeFailure } from './failure.js';
import { DirectoryIncarnation } from './incarnation.js';
import { DirectoryJournal } from './journal.js';
import { imagePath } from './layout.js';
import { acquireLease, leasedImages } from './leases.js';
import { removeLeftovers } from './leftovers.js';
import { type History, highestGeneration, type ImageFile, listImages, listRefs, readHistory, walkLineage } from './lineage.js';
import { currentNames, repairNamesOf } from './names.js';
import { currentOwner, livenessOf } from './owner.js';
import { patientFileSystem } from './patient.js';
import { makeRoot, prepareStore, readRun } from './prepare.js';
import { resolveImage } from './resolve.js';
import { prune, removeImage } from './retention.js';
import { openSource } from './source.js';
import { knowImage } from './verified.js';
import { EpochWriter } from './writer.js';

/** How long the heartbeat of an owner that cannot be looked at must stand still. */
const HEARTBEAT_SILENCE_MS = 60_000;

export interface DirectoryStoreOptions {
  /** Who claims; default: this process. */
  readonly owner?: OwnerIdentity;
  /** Default: 60 s. */
  readonly heartbeatSilenceMs?: number;
}

/** @param root the directory; made absolute now, so that a later chdir does not move the store */
export function openDirectoryStore(root: string, ports: Ports, options: DirectoryStoreOptions = {}): Store {
  return new DirectoryStore(resolve(root), ports, options);
}

class DirectoryStore implements Store {
  readonly #ports: Ports;
  readonly #fs: FileSystem;
  readonly #options: DirectoryStoreOptions;
  #location: string;
  #context: StoreContext | undefined;
  #run: RunRecord | undefined;
  #warn: (message: string) => void = () => {};

  constructor(root: string, ports: Ports, options: DirectoryStoreOptions) {
    this.#location = root;
    this.#ports = ports;
    this.#fs = patientFileSystem(ports);
    this.#options = options;
  }

  get location(): string {
    return this.#location;
  }

  async open(app: { readonly name: string }, warn: (message: string) => void): Promise<RunRecord> {
    this.#warn = warn;
    await makeRoot(this.#fs, this.#location);
    const store = await this.#store('open');
    this.#run = await prepareStore(store, app.name, warn);
    return this.#run;
  }

  async inspect(): Promise<RunRecord> {
    const run = await readRun(await this.#store('select'));
    if (run === undefined) throw this.#absent();
    this.#run = run;
    return run;
  }

  async claim(options: ClaimOptions): Promise<Incarnation> {
    const run = this.#run ?? (await this.inspect());
    const store = await this.#store('open');
    const { record, stale, previousSignOfLife } = await claimEpoch(store, options);
    await removeLeftovers(store, record.epoch, stale, options.warn);
    const incarnation = new DirectoryIncarnation(store, run, record, previousSignOfLife);
    await incarnation.beat().catch((cause: unknown) => options.warn(messageOf(cause)));
    return incarnation;
  }

  async owner(): ReturnType<Store['owner']> {
    const store = await this.#store('select');
    const index = await readEpochs(store);
    if (index.newest === 0) return undefined;
    const record = await readClaim(store, index.newest);
    const copied = isCopied(record.directory, await directoryIdentity(store));
    let liveness = copied ? 'dead' : livenessOf(record.owner, store.owner);
    if (liveness === 'unknown') {
      // For information only: a claim watches the heartbeat with its own clock.
      const { at } = await readHeartbeat(store, index.newest);
      liveness = at !== undefined && Math.abs(store.clock.now() - at) < store.silenceMs ? 'alive' : 'dead';
    }
    return {
      record,
      alive: liveness === 'alive',
      released: index.has(index.newest, 'closed'),
      ready: await readReady(store, index.newest),
    };
  }

  async isCopiedSince(epoch: number): Promise<boolean> {
    const store = await this.#store('select');
    const index = await readEpochs(store);
    if (!index.has(epoch, 'claim')) return true;
    const { imported, directory } = await readClaim(store, epoch);
    return imported !== undefined || isCopied(directory, await directoryIdentity(store));
  }

  async adopt(request: AdoptRequest, options: Omit<ClaimOptions, 'command'>): Promise<Adopted> {
    checkAdoptable(request);
    await makeRoot(this.#fs, this.#location);
    const store = await this.#store('open');
    this.#run = await prepareStore(store, request.run.app.name, options.warn, request.run.id);
    return adoptImage(store, request, options);
  }

  writer(epoch: number): ImageWriter {
    return new EpochWriter(epoch, () => this.#store('commit'));
  }

  async lineage(): Promise<Lineage> {
    const store = await this.#store('select');
    const files = await listImages(store);
    const history = await readHistory(store);
    const { candidates, ...rest } = walkLineage(history, files);
    const images = await this.#entries(store, history, files);
    const byId = new Map(images.map((image) => [image.id, image]));
    return { newestSeal: history.newestSeal, candidates: candidates.flatMap(({ id }) => byId.get(id) ?? []), ...rest, images };
  }

  async images(): Promise<ImageEntry[]> {
    const store = await this.#store('select');
    const files = await listImages(store);
    return this.#entries(store, await readHistory(store), files);
  }

  async refs(): Promise<ImageRef[]> {
    return listRefs(await this.#store('select'));
  }

  async resolve(nameOrId: string): Promise<ImageEntry> {
    const store = await this.#store('select');
    const files = await listImages(store);
    const found = await resolveImage(store, nameOrId, files);
    const [entry] = await this.#entries(store, await readHistory(store), files, [found]);
    if (entry === undefined) throw this.#absent();
    return entry;
  }

  async openImage(image: ImageRef): Promise<ByteSource> {
    const store = await this.#store('read');
    const path = imagePath(store.paths, image);
    const source = await openSource(store.fs, path);
    if (source === undefined) throw storeError('ERR_CKPT_NOT_FOUND', { operation: 'open', path, phase: 'read' }, 'the image', 'nothing');
    return source;
  }

  async lease(image: ImageRef, purpose: string): Promise<Lease> {
    return acquireLease(await this.#store('select'), image, purpose);
  }

  async leased(): Promise<ReadonlyMap<string, string>> {
    return leasedImages(await this.#store('select'));
  }

  async sources(): Promise<ReadonlyMap<number, SealSource>> {
    const store = await this.#store('select');
    const { seals } = await readHistory(store);
    const sources = new Map<number, SealSource>();
    for (const { epoch, source } of seals.values()) {
      const unknown = source.kind === 'fresh' && (await readClaim(store, epoch)).imported !== undefined;
      if (!unknown) sources.set(epoch, source);
    }
    return sources;
  }

  async highestGeneration(): Promise<number> {
    const store = await this.#store('select');
    const images = await listRefs(store);
    return highestGeneration(await readHistory(store), images);
  }

  async repairNames(): Promise<void> {
    const store = await this.#store('select');
    const { newestSeal } = await readHistory(store);
    if (newestSeal === undefined) return;
    const newest = await listImages(store, newestSeal.epoch);
    // A damaged image gets no name from here: selection reports it.
    const known = await someAtOnce(newest, (file) => knowImage(store, file).catch(() => undefined));
    for (const [index, file] of newest.entries()) await repairNamesOf(store, file, known[index]?.names ?? []);
  }

  async prune(retention: Retention, currentEpoch: number, warn: (message: string) => void = this.#warn): Promise<ImageRef[]> {
    return prune(await this.#store('retention'), retention, currentEpoch, warn);
  }

  async remove(image: ImageRef): Promise<void> {
    await removeImage(await this.#store('retention'), image);
  }

  async blame(image: ImageRef, epoch: number, why: string): Promise<number> {
    return blameImage(await this.#store('apply'), image, epoch, why);
  }

  async blamed(): Promise<ReadonlySet<string>> {
    return blamedImages(await this.#store('select'));
  }

  journal(epoch?: number): Journal {
    return new DirectoryJournal(
      () => this.#store('apply'),
      () => this.#location,
      epoch,
    );
  }

  async #entries(store: StoreContext, history: History, files: readonly ImageFile[], picked = files): Promise<ImageEntry[]> {
    const names = await currentNames(store, history, files);
    return picked.map((file) => ({ ...file, names: names.get(file.id) ?? [] }));
  }

  async #store(phase: 'open' | 'select' | 'read' | 'commit' | 'retention' | 'apply'): Promise<StoreContext> {
    if (this.#context !== undefined) return this.#context;
    try {
      const paths = await resolveRoot(this.#fs, this.#location);
      this.#location = paths.root;
      this.#context ??= {
        fs: this.#fs,
        clock: this.#ports.clock,
        paths,
        owner: this.#options.owner ?? currentOwner(this.#ports),
        silenceMs: this.#options.heartbeatSilenceMs ?? HEARTBEAT_SILENCE_MS,
        seals: new Map(),
        known: new Map(),
      };
      return this.#context;
    } catch (cause) {
      if (systemCode(cause) === 'ENOENT' && phase !== 'commit') throw this.#absent();
      throw storeFailure(cause, { operation: 'open', path: this.#location, phase: phase === 'select' ? 'open' : phase });
    }
  }

  #absent(): CheckpointError {
    return new CheckpointError(
      'ERR_CKPT_NO_IMAGE',
      `cannot find a store in ${this.#location}: expected the directory of a run, found none; start the program once, or name another directory`,
      { path: this.#location, phase: 'select' },
    );
  }
}
