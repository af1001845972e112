/**
 * Where everything lies in a store directory, and the file names that carry meaning.
 *
 * Invariants
 * 1. A path is made here or not at all; what is parsed from a listing is numbers and ids, never a path.
 * 2. Names are written with leading zeros for people and parsed as numbers, so order never depends on the width.
 * 3. A file whose name does not parse is somebody else's: ignored, never deleted.
 */
import { join } from 'node:path';
import type { ImageRef } from '../image/contract.js';

export interface Layout {
  readonly root: string;
  /** The run's record; the last thing written when a store is made. */
  readonly run: string;
  readonly epochs: string;
  readonly images: string;
  readonly names: string;
  readonly pins: string;
  readonly leases: string;
  readonly journal: string;
  readonly tails: string;
  readonly requests: string;
  readonly tmp: string;
}

/** The folders of a store, in the order in which they are made. */
export const FOLDERS = ['epochs', 'images', 'names', 'pins', 'leases', 'journal', 'tails', 'requests', 'tmp'] as const;

/** What can be recorded about an epoch: one file each in `epochs/`. */
export type EpochMark = 'claim' | 'sealed' | 'void' | 'images' | 'ready' | 'closed' | 'heartbeat';

/** @param root absolute path of the store directory */
export function layout(root: string): Layout {
  return {
    root,
    run: join(root, 'run.json'),
    epochs: join(root, 'epochs'),
    images: join(root, 'images'),
    names: join(root, 'names'),
    pins: join(root, 'pins'),
    leases: join(root, 'leases'),
    journal: join(root, 'journal'),
    tails: join(root, 'tails'),
    requests: join(root, 'requests'),
    tmp: join(root, 'tmp'),
  };
}

const IMAGE_FILE = /^(\d{1,15})-(\d{1,15})-([0-9a-f]{32})\.ckpt$/;
const NAME_ENTRY = /^(\d{1,15})-(\d{1,15})$/;
const EPOCH_FILE = /^([1-9]\d{0,14})\.(claim|sealed|void|images|ready|closed|heartbeat)$/;
const BLAME_FILE = /^blame-([0-9a-f]{32})-(\d{1,15})$/;

function place(ref: { readonly epoch: number; readonly generation: number }): string {
  return `${String(ref.epoch).padStart(6, '0')}-${String(ref.generation).padStart(8, '0')}`;
}

export function imagePath(paths: Layout, ref: ImageRef): string {
  return join(paths.images, `${place(ref)}-${ref.id}.ckpt`);
}

export function parseImageFile(file: string): ImageRef | undefined {
  const [, epoch, generation, id] = IMAGE_FILE.exec(file) ?? [];
  return id === undefined ? undefined : { id, epoch: Number(epoch), generation: Number(generation) };
}

export function epochPath(paths: Layout, epoch: number, mark: EpochMark): string {
  return join(paths.epochs, `${epoch}.${mark}`);
}

export function parseEpochFile(file: string): { readonly epoch: number; readonly mark: EpochMark } | undefined {
  const [, epoch, mark] = EPOCH_FILE.exec(file) ?? [];
  // EPOCH_FILE matches the marks of EpochMark and no others.
  return mark === undefined ? undefined : { epoch: Number(epoch), mark: mark as EpochMark };
}

const CHILD_FILE = /^[1-9]\d{0,14}\.child-[0-9a-f]{32}$/;

/** Record of a process that the life of this epoch has forked. */
export function childPath(paths: Layout, epoch: number, id: string): string {
  return join(paths.epochs, `${epoch}.child-${id}`);
}

export function isChildFile(file: string): boolean {
  return CHILD_FILE.test(file);
}

/** File of the entry that gives a name to an image; `name` has passed isImageName. */
export function nameEntryPath(paths: Layout, name: string, ref: ImageRef): string {
  return join(paths.names, name, place(ref));
}

export function parseNameEntry(file: string): { readonly epoch: number; readonly generation: number } | undefined {
  const [, epoch, generation] = NAME_ENTRY.exec(file) ?? [];
  return generation === undefined ? undefined : { epoch: Number(epoch), generation: Number(generation) };
}

export function blamePath(paths: Layout, image: string, epoch: number): string {
  return join(paths.journal, `blame-${image}-${epoch}`);
}

export function parseBlameFile(file: string): { readonly image: string; readonly epoch: number } | undefined {
  const [, image, epoch] = BLAME_FILE.exec(file) ?? [];
  return image === undefined ? undefined : { image, epoch: Number(epoch) };
}

/** Names of records in `journal/` and of files in `tails/`: one plain file name, never a path. */
const SIDE_FILE = /^[a-z][A-Za-z0-9._-]{0,199}$/;

/** Whether a journal may use that name; blame has names of its own. */
export function isJournalName(file: string): boolean {
  return SIDE_FILE.test(file) && !file.startsWith('blame-');
}

/** @throws TypeError for anything but a plain name */
export function journalPath(paths: Layout, file: string): string {
  if (!isJournalName(file)) throw new TypeError(`journal: expected a plain file name, got ${JSON.stringify(file)}`);
  return join(paths.journal, file);
}

/** @throws TypeError for anything but a plain name */
export function tailPath(paths: Layout, file: string): string {
  if (!isJournalName(file)) throw new TypeError(`tails: expected a plain file name, got ${JSON.stringify(file)}`);
  return join(paths.tails, file);
}
