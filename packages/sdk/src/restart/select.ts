/**
 * Which image a start continues from: the newest valid one of the lineage, a named one, or none.
 *
 * Invariants
 * 1. Automatic selection follows the lineage and nothing else; what is passed over is told, loudly.
 * 2. Damage falls back; a newer format, an unknown feature, another run or program refuse, because an older image in
 *    their place would silently undo work that is whole.
 * 3. A named image is never replaced by another.
 * 4. Images that were acknowledged but are not there refuse a fresh start.
 * 5. All of the image is read, verified and decoded here, before any user code sees a value of it.
 */
import { CheckpointError, type ErrorCode, isCheckpointError, systemCode } from '../base/errors.js';
import type { ClassRegistry } from '../codec/classes.js';
import type { ImageContents, ImageRef } from '../image/contract.js';
import { readImage } from '../image/reader.js';
import type { ImageEntry, RunRecord, Store } from '../store/contract.js';
import { decodeSections, type Sections } from './sections.js';

export type RestartChoice = { readonly mode: 'auto' | 'must' | 'never' } | { readonly mode: 'named'; readonly image: string };

export interface PassedOver {
  readonly id: string;
  readonly path: string;
  readonly code: ErrorCode;
  readonly message: string;
}

export interface ChosenImage {
  readonly kind: 'image';
  readonly entry: ImageEntry;
  readonly contents: ImageContents;
  readonly sections: Sections;
  readonly passedOver: readonly PassedOver[];
}

export type Selection = { readonly kind: 'fresh' } | ChosenImage;

export interface SelectParts {
  readonly store: Store;
  readonly run: RunRecord;
  /** The program's classes: asked for when a value is. */
  readonly classes: ClassRegistry;
  /** Told when decoding an intact image failed: it is blamed, and passed over from the second time on. */
  readonly blame: (image: ImageRef, why: string) => Promise<void>;
}

const DAMAGE: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'ERR_CKPT_IMAGE_CORRUPT',
  'ERR_CKPT_IMAGE_INCOMPLETE',
  'ERR_CKPT_IMAGE_LIMIT',
  'ERR_CKPT_BASE_MISSING',
  'ERR_CKPT_NOT_FOUND',
  // In its place lies a link, a pipe or a directory.
  'ERR_CKPT_STORE_UNSAFE',
]);

export async function selectImage(parts: SelectParts, choice: RestartChoice): Promise<Selection> {
  if (choice.mode === 'never') return { kind: 'fresh' };
  if (choice.mode === 'named') return { ...(await load(parts, await parts.store.resolve(choice.image))), passedOver: [] };
  return await alongLineage(parts, choice.mode);
}

async function alongLineage(parts: SelectParts, mode: 'auto' | 'must'): Promise<Selection> {
  const { candidates, acknowledged, lost } = await parts.store.lineage();
  const blamed = await parts.store.blamed();
  const passedOver: PassedOver[] = [];
  for (const entry of candidates) {
    if (blamed.has(entry.id)) {
      passedOver.push({
        id: entry.id,
        path: entry.path,
        code: 'ERR_CKPT_DECODE',
        message: `decoding or restoring image ${entry.path} failed in two restarts; once that is mended, name it: CKPT_RESTART=${entry.id}`,
      });
      continue;
    }
    try {
      return { ...(await load(parts, entry)), passedOver: [...lost.map((epoch) => lostEpoch(parts, epoch)), ...passedOver] };
    } catch (error) {
      if (!isCheckpointError(error) || !fallsBack(error)) throw error;
      passedOver.push({ id: entry.id, path: entry.path, code: error.code, message: error.message });
    }
  }
  if (passedOver.length > 0) throw allDamaged(parts, passedOver);
  if (acknowledged) throw imagesMissing(parts);
  if (mode === 'must') {
    throw new CheckpointError(
      'ERR_CKPT_NO_IMAGE',
      `restart: the store ${parts.store.location} holds no image to start from, and one was asked for (restart: 'must', CKPT_RESTART=latest); start without that to begin anew`,
      {
        phase: 'select',
      },
    );
  }
  return { kind: 'fresh' };
}

async function load({ store, run, blame, classes }: SelectParts, entry: ImageEntry): Promise<Omit<ChosenImage, 'passedOver'>> {
  const source = await store.openImage(entry);
  let contents: ImageContents;
  try {
    contents = await readImage(source, (base) => store.openImage(base), entry);
  } finally {
    await source.close();
  }
  assertOurs(contents, run, entry);
  try {
    return { kind: 'image', entry, contents, sections: decodeSections(contents, 'main', classes) };
  } catch (error) {
    if (isCheckpointError(error, 'ERR_CKPT_DECODE')) await blame(entry, error.message);
    throw error;
  }
}

function assertOurs({ manifest }: ImageContents, run: RunRecord, entry: ImageEntry): void {
  const found = manifest.run;
  if (found.app.name !== run.app.name) {
    throw new CheckpointError(
      'ERR_CKPT_WRONG_APP',
      `selecting image ${entry.path}: it was written by the program '${found.app.name}', the store is of '${run.app.name}'; remove the image or name another`,
      { image: entry.id, path: entry.path, phase: 'select' },
    );
  }
  if (found.id !== run.id) {
    throw new CheckpointError(
      'ERR_CKPT_WRONG_RUN',
      `selecting image ${entry.path}: it belongs to run ${found.id}, the store to run ${run.id}; remove the image or name another`,
      { image: entry.id, path: entry.path, phase: 'select' },
    );
  }
}

/** Damage and bad sectors fall back; other failures of the system may pass and must not undo work. */
function fallsBack(error: CheckpointError): boolean {
  if (error.code === 'ERR_CKPT_IO') return systemCode(error.cause) === 'EIO';
  return DAMAGE.has(error.code);
}

/** Retention always leaves the newest images of the lineage, so somebody or something else took these. */
function lostEpoch({ store }: SelectParts, epoch: number): PassedOver {
  return {
    id: `epoch ${epoch}`,
    path: store.location,
    code: 'ERR_CKPT_IMAGE_MISSING',
    message: `incarnation ${epoch} acknowledged images, but none of them is found; put them back to go on from there`,
  };
}

function allDamaged({ store }: SelectParts, passedOver: readonly PassedOver[]): CheckpointError {
  const list = passedOver.map(({ message }) => `\n  ${message}`).join('');
  return new CheckpointError(
    'ERR_CKPT_ALL_DAMAGED',
    `restart from ${store.location}: no image of the lineage can be used; put the store back from a copy, name another image, ` +
      `or begin anew with CKPT_RESTART=never:${list}`,
    { phase: 'select' },
  );
}

function imagesMissing({ store }: SelectParts): CheckpointError {
  return new CheckpointError(
    'ERR_CKPT_IMAGE_MISSING',
    `restart from ${store.location}: images were acknowledged in this store, but none is found; is it mounted and complete? ` +
      `Put the images back, or begin anew with CKPT_RESTART=never`,
    { path: store.location, phase: 'select' },
  );
}
