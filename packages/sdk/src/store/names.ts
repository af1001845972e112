/**
 * Names of images: `names/<name>/<epoch>-<generation>`, whose content is the image's id.
 *
 * Invariants
 * 1. An entry is never overwritten: a name moves by a newer entry, and the highest (epoch, generation) wins.
 * 2. The entry of a late image does not count. Any other decides, its image being there or not: a name never falls back
 *    to an older image by itself.
 * 3. The manifest carries the names too, so that an entry lost to a kill can be made again.
 */
import { dirname, join } from 'node:path';
import { someAtOnce } from '../base/at-once.js';
import { CheckpointError } from '../base/errors.js';
import { isImageName } from '../base/ids.js';
import type { ImageRef } from '../image/contract.js';
import type { StoreContext } from './context.js';
import { makeFolder, putRecord, syncFolder } from './durable.js';
import { ifPresent, storeError, translated } from './failure.js';
import { imagePath, nameEntryPath, parseNameEntry } from './layout.js';
import { type History, type ImageFile, isLate } from './lineage.js';
import { parseNameRecord, RECORD_LIMIT } from './records.js';
import { readRecord } from './source.js';

interface NameEntry {
  readonly path: string;
  readonly epoch: number;
  readonly generation: number;
}

/** Gives an image a name, durably. @returns the path of the entry */
export async function addName(store: StoreContext, name: string, ref: ImageRef): Promise<string> {
  const path = nameEntryPath(store.paths, name, ref);
  await makeFolder(store.fs, dirname(path));
  if (await putRecord(store, path, { image: ref.id }, ref.epoch)) return path;
  const holder = await readName(store, path);
  if (holder !== ref.id)
    throw storeError('ERR_CKPT_IO', { operation: 'name', path, phase: 'commit' }, `the entry of ${ref.id}`, `that of ${holder}`);
  return path;
}

async function readName(store: StoreContext, path: string): Promise<string | undefined> {
  const bytes = await readRecord(store.fs, path, RECORD_LIMIT);
  return bytes === undefined ? undefined : parseNameRecord(bytes, path).image;
}

async function allNames(store: StoreContext): Promise<string[]> {
  const { names } = store.paths;
  const found = await translated({ operation: 'list', path: names }, () => ifPresent(() => store.fs.readdir(names)));
  return (found ?? []).filter(isImageName).sort();
}

/** The entries of a name, the one that would win first. */
async function entriesOf(store: StoreContext, name: string): Promise<NameEntry[]> {
  const folder = join(store.paths.names, name);
  const stat = await translated({ operation: 'look at', path: folder }, () => ifPresent(() => store.fs.lstat(folder)));
  if (stat?.isDirectory() !== true) return [];
  const files = (await translated({ operation: 'list', path: folder }, () => ifPresent(() => store.fs.readdir(folder)))) ?? [];
  const entries = files.flatMap((file) => {
    const place = parseNameEntry(file);
    return place === undefined ? [] : [{ ...place, path: join(folder, file) }];
  });
  return entries.sort((a, b) => b.epoch - a.epoch || b.generation - a.generation);
}

/** Images by where they stand in the run: a zombie may have written a second one there. */
type Places = ReadonlyMap<string, readonly ImageFile[]>;

function placeOf({ epoch, generation }: Pick<ImageRef, 'epoch' | 'generation'>): string {
  return `${epoch}-${generation}`;
}

function placesOf(files: readonly ImageFile[]): Places {
  const places = new Map<string, ImageFile[]>();
  for (const file of files) {
    const there = places.get(placeOf(file));
    if (there === undefined) places.set(placeOf(file), [file]);
    else there.push(file);
  }
  return places;
}

/** What a name's entries say against these files: the newest image that is there, and a newer entry whose image is not. */
async function holderOf(
  store: StoreContext,
  name: string,
  history: History,
  places: Places,
): Promise<{ readonly image?: ImageFile; readonly lost?: NameEntry }> {
  let lost: NameEntry | undefined;
  for (const entry of await entriesOf(store, name)) {
    if (isLate(history, entry)) continue;
    const there = places.get(placeOf(entry)) ?? [];
    const id = there.length === 0 ? undefined : await readName(store, entry.path);
    const image = there.find((file) => file.id === id);
    if (image !== undefined) return lost === undefined ? { image } : { image, lost };
    lost ??= entry;
  }
  return lost === undefined ? {} : { lost };
}

/** The image that a name stands for (invariants 1, 2). @throws ERR_CKPT_NOT_FOUND when that image is gone */
export async function findName(
  store: StoreContext,
  name: string,
  history: History,
  files: readonly ImageFile[],
): Promise<ImageFile | undefined> {
  const { image, lost } = await holderOf(store, name, history, placesOf(files));
  if (lost === undefined) return image;
  // The files were listed earlier: the image may have been committed since, or removed together with its entry.
  const id = await readName(store, lost.path);
  if (id === undefined) return findName(store, name, history, files);
  const { epoch, generation } = lost;
  const path = imagePath(store.paths, { id, epoch, generation });
  const stat = await translated({ operation: 'look at', path }, () => ifPresent(() => store.fs.lstat(path)));
  if (stat !== undefined) return { id, epoch, generation, path, size: stat.size };
  throw new CheckpointError(
    'ERR_CKPT_NOT_FOUND',
    `cannot find the image '${name}': expected ${path}, which has that name, found nothing; name an older image by its id: ckpt list`,
    { image: name, path, phase: 'select' },
  );
}

/** Each image's current names, by image id; a name whose image is gone is nobody's. */
export async function currentNames(
  store: StoreContext,
  history: History,
  files: readonly ImageFile[],
): Promise<ReadonlyMap<string, readonly string[]>> {
  const names = new Map<string, string[]>();
  const places = placesOf(files);
  const held = await someAtOnce(await allNames(store), async (name) => ({ name, ...(await holderOf(store, name, history, places)) }));
  for (const { name, image, lost } of held)
    if (image !== undefined && lost === undefined) names.set(image.id, [...(names.get(image.id) ?? []), name]);
  return names;
}

/** Makes the entries that a kill between commit and name left out. @returns the names that were given */
export async function repairNamesOf(store: StoreContext, image: ImageRef, names: readonly string[]): Promise<string[]> {
  const given: string[] = [];
  for (const name of names.filter(isImageName)) {
    const path = nameEntryPath(store.paths, name, image);
    const stat = await translated({ operation: 'look at', path }, () => ifPresent(() => store.fs.lstat(path)));
    if (stat !== undefined) continue;
    await addName(store, name, image);
    given.push(name);
  }
  return given;
}

/** Ids of the images that a name stands for, or would if the newer image of that name had not gone. */
export async function namedImages(store: StoreContext, history: History, files: readonly ImageFile[]): Promise<ReadonlySet<string>> {
  const places = placesOf(files);
  const held = await someAtOnce(await allNames(store), (name) => holderOf(store, name, history, places));
  return new Set(held.flatMap(({ image }) => image?.id ?? []));
}

/** Removes the entries that `matches` picks, durably. */
export async function removeEntries(
  store: StoreContext,
  matches: (place: { epoch: number; generation: number }) => boolean,
): Promise<void> {
  for (const name of await allNames(store)) {
    const gone = (await entriesOf(store, name)).filter(matches);
    for (const { path } of gone) await translated({ operation: 'remove', path }, () => ifPresent(() => store.fs.unlink(path)));
    if (gone.length > 0) await syncFolder(store.fs, join(store.paths.names, name));
  }
}

/**
 * Removes the names of the image at this place, durably. Where an older image had a name before, the entry stays: it goes on
 * to decide that the name is nobody's, and keeps a start from making the older entry again.
 */
export async function removeNamesOf(store: StoreContext, place: { readonly epoch: number; readonly generation: number }): Promise<void> {
  for (const name of await allNames(store)) {
    const entries = await entriesOf(store, name);
    const at = entries.findIndex(({ epoch, generation }) => epoch === place.epoch && generation === place.generation);
    const path = entries[at]?.path;
    if (path === undefined || at < entries.length - 1) continue;
    await translated({ operation: 'remove', path }, () => ifPresent(() => store.fs.unlink(path)));
    await syncFolder(store.fs, join(store.paths.names, name));
  }
}
