/**
 * Which pages of the program's large buffers the next image holds itself, and which it takes from older images.
 *
 * Invariants
 * 1. Only what was committed is built upon, by this thread, for the same shadow: anything else is written again. A base is
 *    leased from before it is relied on until no image is built upon it any more.
 * 2. At most `most` bases; beyond that the images with the fewest live pages are folded: their pages are written again, from
 *    the shadow. So are those that keep less than 1/LEAST_SHARE of their bytes alive.
 * 3. Zero pages are stored nowhere.
 */
import { isCheckpointError } from '../base/errors.js';
import type { BaseRecord, BufferInput, ImageInput, PagedBuffer, PageSource, StreamedBuffer, WrittenImage } from '../image/contract.js';
import { PAGE } from '../image/format.js';
import { countCodes, FIRST_SOURCE, OWN_PAGE, pageLength, ZERO_PAGE } from '../image/page-map.js';
import type { Lease, Store } from '../store/contract.js';
import { quietly } from '../store/failure.js';
import { BASE_LEASE } from '../store/leases.js';
import { isZeroPage, ownPages } from './own-pages.js';
import { isStaged, type StagedBuffer } from './thread-protocol.js';

const LEAST_SHARE = 16;

interface Holder {
  readonly image: BaseRecord;
  /** Index of the buffer in that image. */
  readonly buffer: number;
  /** Of the whole image file. */
  readonly size: number;
}

/** Where the pages of a shadow lie in the last committed image; codes are those of a page map, with holders as sources. */
interface Known {
  readonly map: Uint8Array;
  readonly holders: readonly Holder[];
  readonly length: number;
}

interface Planned {
  readonly staged: StagedBuffer;
  readonly map: Uint8Array;
  readonly holders: readonly Holder[];
}

export interface IncrementalPlan {
  readonly bases: readonly BaseRecord[];
  /** @param bases of the whole image, those of the plan among them */
  buffers(bases: readonly BaseRecord[]): ImageInput['buffers'];
  committed(image: WrittenImage): Promise<void>;
  failed(error: unknown): void;
}

export class Incremental {
  readonly #store: Pick<Store, 'lease'>;
  readonly #leases = new Map<string, Lease>();
  #known = new Map<number, Known>();

  constructor(store: Pick<Store, 'lease'>) {
    this.#store = store;
  }

  async plan(buffers: readonly (BufferInput | StagedBuffer | StreamedBuffer)[], most: number): Promise<IncrementalPlan> {
    const staged = buffers.filter(isStaged);
    const usable = await this.#chooseHolders(staged, most);
    const planned = new Map(staged.map((buffer) => [buffer.key, planBuffer(buffer, this.#known.get(buffer.key), usable)]));
    const plans = [...planned.values()];
    const bases = new Map(plans.flatMap(({ holders }) => holders.map(({ image }) => [image.id, image] as const)));
    return {
      bases: [...bases.values()],
      buffers: (all) => buffers.map((buffer) => (isStaged(buffer) ? inputOf(planned.get(buffer.key), buffer, all) : buffer)),
      committed: async (image) => {
        this.#known = new Map(
          buffers.flatMap((buffer, index) => (isStaged(buffer) ? [[buffer.key, known(planned.get(buffer.key), index, image)]] : [])),
        );
        await this.#releaseUnused();
      },
      failed: (error) => {
        if (isCheckpointError(error, 'ERR_CKPT_BASE_MISSING')) this.#known = new Map();
      },
    };
  }

  /** Nothing is built upon the images any more. */
  async release(): Promise<void> {
    this.#known = new Map();
    await this.#releaseUnused();
  }

  /** Ids of the images that are built upon (invariants 1, 2). */
  async #chooseHolders(staged: readonly StagedBuffer[], most: number): Promise<ReadonlySet<string>> {
    const live = new Map<string, { readonly image: BaseRecord; readonly size: number; bytes: number }>();
    for (const buffer of staged) {
      const before = this.#known.get(buffer.key);
      if (before?.length !== buffer.length) continue;
      const clean = before.map.map((code, page) => (buffer.dirty[page] === 0 ? code : ZERO_PAGE));
      const bytes = countCodes(clean, buffer.length);
      for (const [index, { image, size }] of before.holders.entries()) {
        const known = live.get(image.id) ?? { image, size, bytes: 0 };
        known.bytes += bytes[FIRST_SOURCE + index] ?? 0;
        live.set(image.id, known);
      }
    }
    const worth = [...live.values()].filter(({ bytes, size }) => bytes > 0 && bytes * LEAST_SHARE >= size);
    const usable = new Set<string>();
    for (const { image } of worth.sort((a, b) => b.bytes - a.bytes).slice(0, most)) if (await this.#lease(image)) usable.add(image.id);
    return usable;
  }

  async #lease(image: BaseRecord): Promise<boolean> {
    if (this.#leases.has(image.id)) return true;
    try {
      this.#leases.set(image.id, await this.#store.lease(image, BASE_LEASE));
      return true;
    } catch (error) {
      if (isCheckpointError(error, 'ERR_CKPT_NOT_FOUND')) return false;
      throw error;
    }
  }

  async #releaseUnused(): Promise<void> {
    const used = new Set([...this.#known.values()].flatMap(({ holders }) => holders.map(({ image }) => image.id)));
    for (const [id, lease] of this.#leases) {
      if (used.has(id)) continue;
      this.#leases.delete(id);
      await quietly(() => lease.release());
    }
  }
}

function planBuffer(staged: StagedBuffer, before: Known | undefined, usable: ReadonlySet<string>): Planned {
  const known = before?.length === staged.length ? before : undefined;
  const holders = (known?.holders ?? []).filter(({ image }) => usable.has(image.id));
  const codes = Uint8Array.from({ length: 256 }, () => OWN_PAGE);
  codes[ZERO_PAGE] = ZERO_PAGE;
  for (const [index, holder] of (known?.holders ?? []).entries()) {
    const place = holders.indexOf(holder);
    if (place >= 0) codes[FIRST_SOURCE + index] = FIRST_SOURCE + place;
  }
  const map = new Uint8Array(staged.dirty.length);
  for (let page = 0; page < map.length; page++) {
    if (known !== undefined && staged.dirty[page] === 0) map[page] = codes[known.map[page] ?? OWN_PAGE] ?? OWN_PAGE;
    else map[page] = isZeroPage(staged, page) ? ZERO_PAGE : OWN_PAGE;
  }
  return withUsedHolders({ staged, map, holders });
}

/** Holders without a page any more are left out. */
function withUsedHolders({ staged, map, holders }: Planned): Planned {
  const bytes = countCodes(map, staged.length);
  const used = holders.filter((_, index) => (bytes[FIRST_SOURCE + index] ?? 0) > 0);
  if (used.length === holders.length) return { staged, map, holders };
  const moved = holders.map((holder) => FIRST_SOURCE + used.indexOf(holder));
  return { staged, map: map.map((code) => moved[code - FIRST_SOURCE] ?? code), holders: used };
}

function inputOf(planned: Planned | undefined, staged: StagedBuffer, bases: readonly BaseRecord[]): BufferInput | PagedBuffer {
  const { member, kind, maxLength, length, memory } = staged;
  const common = { member, kind, ...(maxLength === undefined ? {} : { maxLength }) };
  if (planned === undefined || !isWorthAMap(planned)) return { ...common, chunks: memory.map((window) => new Uint8Array(window)) };
  const bytes = countCodes(planned.map, length);
  const sources = planned.holders.map(({ image, buffer }, index): PageSource => {
    const base = bases.findIndex(({ id }) => id === image.id);
    return { base, buffer, bytes: bytes[FIRST_SOURCE + index] ?? 0 };
  });
  return { ...common, length, map: planned.map, sources, chunks: ownPages(staged, planned.map) };
}

/** Without a base, only zero pages make a map worth its bytes; whole MiBs of zeros cost nothing either way. */
function isWorthAMap({ map, holders, staged }: Planned): boolean {
  if (holders.length > 0) return true;
  const zeros = map.reduce((sum, code, page) => (code === ZERO_PAGE ? sum + pageLength(page, staged.length) : sum), 0);
  return zeros > map.length + PAGE && zeros < staged.length;
}

/** What was planned, as the next image will find it. */
function known(planned: Planned | undefined, buffer: number, { manifest, manifestHash, size }: WrittenImage): [number, Known][1] {
  if (planned === undefined) throw new Error('incremental: every staged buffer was planned');
  const { id, epoch, generation } = manifest.image;
  const { map, holders, staged } = planned;
  const own = FIRST_SOURCE + holders.length;
  return {
    map: map.map((code) => (code === OWN_PAGE ? own : code)),
    holders: [...holders, { image: { id, epoch, generation, manifestHash }, buffer, size }],
    length: staged.length,
  };
}
