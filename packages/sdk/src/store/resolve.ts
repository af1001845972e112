/**
 * From what a person typed (a name, an id, the beginning of an id) to one image.
 *
 * Invariants
 * 1. A name wins over the beginning of an id; a whole id is never taken for a name.
 * 2. A late image is found by its id only.
 * 3. Several candidates are an error that lists them; nothing is picked for the caller.
 */
import { CheckpointError } from '../base/errors.js';
import { isId, isImageName } from '../base/ids.js';
import type { StoreContext } from './context.js';
import { type History, type ImageFile, readHistory } from './lineage.js';
import { findName } from './names.js';

const PREFIX = /^[0-9a-f]{6,31}$/;

export async function resolveImage(store: StoreContext, text: string, files: readonly ImageFile[]): Promise<ImageFile> {
  const found = await find(store, text, await readHistory(store), files);
  const [only] = found;
  if (only !== undefined && found.length === 1) return only;
  const what = found.length === 0 ? 'none' : `${found.length}: ${found.map((file) => file.id).join(', ')}`;
  throw new CheckpointError(
    'ERR_CKPT_NOT_FOUND',
    `cannot find the image '${text}' in ${store.paths.root}: expected one with that name or id, found ${what}; see what there is with: ckpt list`,
    { image: text, path: store.paths.root, phase: 'select' },
  );
}

async function find(store: StoreContext, text: string, history: History, files: readonly ImageFile[]): Promise<ImageFile[]> {
  if (isId(text)) return files.filter((file) => file.id === text);
  const named = isImageName(text) ? await findName(store, text, history, files) : undefined;
  if (named !== undefined) return [named];
  return PREFIX.test(text) ? files.filter((file) => file.id.startsWith(text)) : [];
}
