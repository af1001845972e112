/**
 * The tip of the lineage: which image comes next, after which one, under which names.
 *
 * Invariants
 * 1. A generation number is used once, also when its checkpoint fails: highest ever seen + 1.
 * 2. `parent` is the last acknowledged image of this incarnation, else the image it started from.
 * 3. Within one incarnation a name is given once, unless `replace` is asked for; names of earlier lives may move. A name
 *    is free again when its checkpoint failed, unless an image of this incarnation has it.
 */
import { CheckpointError } from '../base/errors.js';
import type { ImageHead, ImageRef } from '../image/contract.js';
import type { ImageInfo } from './request.js';

/** What stays the same for all images of an incarnation, and what is asked anew for each. */
export interface TipFacts {
  readonly epoch: number;
  readonly keep: number;
  readonly highestGeneration: number;
  readonly source: ImageRef | null;
  readonly run: ImageHead['run'];
  readonly producer: ImageHead['producer'];
  readonly describe: () => Pick<ImageHead, 'provenance' | 'members' | 'files'> & { readonly createdAt: number; readonly clockMs: number };
}

export interface NextImage {
  readonly id: string;
  readonly names: readonly string[];
  readonly reason: string;
  readonly finished: boolean;
}

export class LineageTip {
  readonly keep: number;
  readonly #facts: TipFacts;
  /** Names that images of this incarnation have. */
  readonly #given = new Set<string>();
  /** How many requests under way ask for a name. */
  readonly #reserved = new Map<string, number>();
  #generation: number;
  #parent: ImageRef | null;

  constructor(facts: TipFacts) {
    this.#facts = facts;
    this.keep = facts.keep;
    this.#generation = facts.highestGeneration;
    this.#parent = facts.source;
  }

  /** Sets a name aside for a request; the error when it cannot be had. */
  reserve(name: string, replace: boolean): CheckpointError | undefined {
    const reservations = this.#reserved.get(name) ?? 0;
    if ((this.#given.has(name) || reservations > 0) && !replace) {
      return new CheckpointError(
        'ERR_CKPT_NAME_TAKEN',
        `checkpoint('${name}'): this incarnation has already given that name; choose another, or pass { replace: true } to move it`,
        { phase: 'request' },
      );
    }
    this.#reserved.set(name, reservations + 1);
    return undefined;
  }

  /** Ends reservations, one for each entry: the request was withdrawn, or its checkpoint is over. */
  release(names: readonly string[]): void {
    for (const name of names) {
      const left = (this.#reserved.get(name) ?? 0) - 1;
      if (left > 0) this.#reserved.set(name, left);
      else this.#reserved.delete(name);
    }
  }

  /** The newest generation that was captured, committed or not. */
  get generation(): number {
    return this.#generation;
  }

  /** The head of the next image. Counts its generation as used. */
  next({ id, names, reason, finished }: NextImage): ImageHead {
    const { epoch, run, producer } = this.#facts;
    const { createdAt, clockMs, ...rest } = this.#facts.describe();
    const generation = ++this.#generation;
    return { image: { id, epoch, generation, names, reason, createdAt, clockMs, finished, parent: this.#parent }, run, producer, ...rest };
  }

  committed(head: ImageHead, path: string): ImageInfo {
    const { id, epoch, generation } = head.image;
    this.#parent = { id, epoch, generation };
    for (const name of head.image.names) this.#given.add(name);
    return imageInfo(head, path);
  }
}

export function imageInfo(head: ImageHead, path: string): ImageInfo {
  const { id, names, generation, epoch, createdAt, parent, finished } = head.image;
  return { id, name: names[0], names, generation, epoch, path, createdAt, parent: parent?.id, finished };
}
