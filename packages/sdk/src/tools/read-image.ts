/**
 * Looking inside one image: what it tells of itself, and its values one section at a time.
 *
 * Invariants
 * 1. Opening reads the manifest only; a section's bytes are read, and verified, when it is asked for.
 * 2. No class of the program is needed or run.
 */
import { CheckpointError } from '../base/errors.js';
import type { Manifest } from '../image/contract.js';
import type { LazyImage } from '../image/lazy.js';
import { sectionValue } from './decode-section.js';
import { type SectionDetails, sectionDetails } from './image-details.js';
import { openAnyImage } from './open-image.js';

export interface ReadOptions {
  /** The store; default CKPT_DIR, else ./ckpt. Not used for a file. */
  readonly dir?: string | undefined;
}

/** An image that is open. */
export interface OpenedImage {
  readonly id: string;
  readonly names: readonly string[];
  readonly generation: number;
  readonly epoch: number;
  /** Wall time of the capture, ms since 1970. */
  readonly createdAt: number;
  readonly finished: boolean;
  readonly run: Manifest['run'];
  readonly sections: readonly SectionDetails[];
  /**
   * The value of a section; the content of a tracked file as a Uint8Array. Read anew at each call.
   * @param member default: the one member that has a section of this name
   * @throws CheckpointError ERR_CKPT_NOT_FOUND, _DECODE, _IMAGE_CORRUPT, _IMAGE_INCOMPLETE, _BASE_MISSING, _MEMORY
   */
  section(name: string, member?: string): Promise<unknown>;
  close(): Promise<void>;
}

/**
 * Opens an image for reading; close it afterwards.
 * @param image path of an image file (it has a separator, or ends in .ckpt), else a name, an id or six digits of one in
 *   the store; default (and `latest`): the newest on the lineage
 * @throws CheckpointError ERR_CKPT_NO_IMAGE, _NOT_FOUND, _IMAGE_CORRUPT, _IMAGE_INCOMPLETE, _IMAGE_LIMIT, _IMAGE_VERSION,
 *   _IMAGE_FEATURE, _STORE_UNSAFE, _IO
 */
export async function readImage(image?: string, { dir }: ReadOptions = {}): Promise<OpenedImage> {
  const lazy = await openAnyImage(image, dir, 'readImage');
  const { manifest } = lazy;
  const { id, names, generation, epoch, createdAt, finished } = manifest.image;
  const sections = manifest.sections.map((section) => sectionDetails(section, manifest.buffers));
  return {
    ...{ id, names, generation, epoch, createdAt, finished, run: manifest.run, sections },
    section: async (name, member) => {
      const parts = { memories: new Map(), sections: new Map() };
      return sectionValue(lazy, indexOf(lazy, name, member), parts);
    },
    close: () => lazy.close(),
  };
}

function indexOf({ manifest }: LazyImage, name: string, member: string | undefined): number {
  const found = manifest.sections.flatMap((one, index) =>
    one.name === name && (member === undefined || one.member === member) ? [index] : [],
  );
  const [index] = found;
  if (index !== undefined && found.length === 1) return index;
  const what = found.length === 0 ? 'none' : `one in each of ${found.length} members; say which`;
  throw new CheckpointError(
    'ERR_CKPT_NOT_FOUND',
    `read image ${manifest.image.id}: expected a section '${name}', found ${what}; see what there is with: ckpt get IMAGE`,
    { image: manifest.image.id, section: name, phase: 'read' },
  );
}
