/**
 * What a restart from an image would do to each tracked file, told without the program.
 *
 * Invariants
 * 1. The plan is made by the same code as in the program; nothing is changed.
 * 2. Which files the program will declare is not known here: those below its working directory are taken for declared,
 *    any other is planned as one that only the image names, which must lie within the roots.
 */
import { isAbsolute, relative, sep } from 'node:path';
import type { FileSystem } from '../base/ports.js';
import { Baselines } from '../files/baselines.js';
import { contentsOf } from '../files/content-sections.js';
import type { StartContext } from '../files/context.js';
import type { FileDeclaration, FilePlan, TrackedFileRecord } from '../files/contract.js';
import { isLibraryRecord } from '../files/library-files.js';
import { locate, type Moved, type Root } from '../files/mapped-paths.js';
import { planFiles, shownPlan } from '../files/plan.js';
import { parseFileRecord } from '../files/record.js';
import type { ImageContents } from '../image/contract.js';
import type { Store } from '../store/contract.js';

export interface FilesOfImage {
  readonly contents: ImageContents;
  readonly store: Store;
  readonly fileSystem: FileSystem;
  /** The program's working directory, mapped already. */
  readonly cwd: string;
  readonly roots: readonly Root[];
}

/** @throws CheckpointError ERR_CKPT_IMAGE_CORRUPT for a record that is none; refusals of files are in their plans */
export async function planFilesOf(image: FilesOfImage): Promise<FilePlan[]> {
  const { manifest } = image.contents;
  if (manifest.image.finished) return [];
  const records = manifest.files.map((file) => parseFileRecord(file, manifest.image.id));
  const declared = records.flatMap((record) => declarationOf(record, image) ?? []);
  const plans = await planFiles(records, declared, await contextOf(image));
  return plans.map(shownPlan);
}

/** As the program would declare it (invariant 2); a library's file is never declared. */
function declarationOf(record: TrackedFileRecord, { contents, cwd, roots }: FilesOfImage): FileDeclaration | undefined {
  const { name, given, flags, mode, policy, verify } = record;
  const path = locate(record, movedOf(contents, cwd, roots));
  if (isLibraryRecord(record) || !isBelow(path, cwd)) return undefined;
  return { name, given, path, flags, mode, policy, verify };
}

function movedOf({ manifest }: ImageContents, now: string, roots: readonly Root[]): Moved {
  return { roots, recorded: manifest.provenance.cwd, now };
}

function isBelow(path: string, folder: string): boolean {
  const way = relative(folder, path);
  return way !== '' && way !== '..' && !way.startsWith(`..${sep}`) && !isAbsolute(way);
}

async function contextOf({ contents, store, fileSystem, cwd, roots }: FilesOfImage): Promise<StartContext> {
  const { id, epoch, generation } = contents.manifest.image;
  const source = { id, epoch, generation };
  const journal = store.journal();
  const next = ((await store.owner())?.record.epoch ?? epoch) + 1;
  return {
    fileSystem,
    journal,
    baselines: await Baselines.load(journal, next, await store.sources(), source),
    roots: [cwd],
    epoch: next,
    source,
    generation: () => generation,
    keepTails: true,
    copied: await store.isCopiedSince(epoch),
    contents: (section) => contentsOf(contents, section),
    locate: (record) => locate(record, movedOf(contents, cwd, roots)),
    ready: new Set(),
    assertNewest: async () => {},
    log: () => {},
  };
}
