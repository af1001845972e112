/**
 * One image as one file that needs nothing else.
 *
 * Invariants
 * 1. Id, epoch, generation, names and content are the image's own; only where the bytes lie differs, and with files what
 *    the records say of contents.
 * 2. Every byte is verified on the way; a damage ends the export.
 * 3. The output has its name only when it is complete and durable, and it never takes the place of another file unasked.
 */
import { randomBytes } from 'node:crypto';
import { basename, dirname, join, resolve } from 'node:path';
import { CheckpointError, isCheckpointError } from '../base/errors.js';
import type { FileSystem } from '../base/ports.js';
import type { ByteSink, ImageInput, ImageRef, WrittenImage } from '../image/contract.js';
import { copyImage } from '../image/copy.js';
import { writeImage } from '../image/writer.js';
import type { ImageEntry } from '../store/contract.js';
import { createDurable, linkOnce, syncFolder } from '../store/durable.js';
import { ifPresent, quietly, translated } from '../store/failure.js';
import { type ExportedFile, type FilesToExport, filesToExport } from './export-files.js';
import { assertWanted } from './image-file.js';
import { chooseEntry } from './inventory.js';
import { type OpenedStore, openStore, viewLineage } from './open-store.js';
import { checkNameOrId, type ExportSettings, parseExportOptions } from './tool-options.js';
import { baseOpener } from './verify-images.js';

export interface ExportOptions {
  /** Path of the file that is made. */
  readonly output: string;
  /** Put the contents of the tracked files in too, as the image recorded them. Default false. */
  readonly withFiles?: boolean;
  /** With `withFiles`: the folders that files may lie in; default: the working directory. */
  readonly roots?: readonly string[];
  /** Replace a file that is there. Default false. */
  readonly replace?: boolean;
  readonly signal?: AbortSignal;
}

export interface ExportedImage extends ImageRef {
  readonly names: readonly string[];
  /** Absolute path of the file that was made. */
  readonly output: string;
  /** Its size, bytes. */
  readonly size: number;
  /** The files whose content was put in for the export. */
  readonly files: readonly ExportedFile[];
  /** Volatile files that were not there, or too short. */
  readonly leftOut: FilesToExport['leftOut'];
}

/**
 * Makes one self-contained file of an image. The store is only read.
 * @param dir the store; default CKPT_DIR, else ./ckpt
 * @param nameOrId a name, an id or at least six digits of one; default (and `latest`): the newest on the lineage
 * @throws TypeError for a bad option; CheckpointError ERR_CKPT_EXISTS (the output), _NOT_FOUND, _NO_IMAGE, _IMAGE_CORRUPT
 *   and its kin, _BASE_MISSING, _FILE_MISSING, _FILE_CHANGED, _FILE_UNSAFE, _NO_SPACE, _IO, _ABORTED
 */
export async function exportImage(dir: string | undefined, nameOrId: string | undefined, options: ExportOptions): Promise<ExportedImage> {
  checkNameOrId(nameOrId, 'exportImage');
  const settings = parseExportOptions(options, 'exportImage');
  const opened = await openStore(dir, 'exportImage');
  const entry = await chooseEntry(opened.store, await viewLineage(opened.store), nameOrId);
  const output = resolve(settings.output);
  const { fileSystem } = opened.ports;
  if (!settings.replace) await assertFree(fileSystem, output);
  const { written, files } = await exportTo(opened, entry, output, settings);
  const { id, epoch, generation, names } = entry;
  return { id, epoch, generation, names, output, size: written.size, files: files?.exported ?? [], leftOut: files?.leftOut ?? [] };
}

async function exportTo(
  { store, ports: { fileSystem } }: OpenedStore,
  entry: ImageEntry,
  output: string,
  settings: ExportSettings,
): Promise<{ written: WrittenImage; files: FilesToExport | undefined }> {
  const source = await store.openImage(entry);
  try {
    // Everything is opened before the first byte is written: what is deleted meanwhile is still read.
    const image = await copyImage(source, baseOpener(store), entry);
    try {
      const roots = settings.roots?.map((root) => resolve(root)) ?? [process.cwd()];
      const files = settings.withFiles ? await filesToExport(image.manifest, { fileSystem, roots }) : undefined;
      try {
        const input = files === undefined ? image.input : withFiles(image.input, files);
        const written = await place(fileSystem, output, settings, (sink) => writeImage(sink, input));
        return { written, files };
      } finally {
        await files?.close();
      }
    } finally {
      await image.close();
    }
  } finally {
    await source.close();
  }
}

function withFiles(input: ImageInput, { files, sections }: FilesToExport): ImageInput {
  return { ...input, head: { ...input.head, files }, sections: [...input.sections, ...sections] };
}

/** Invariant 3. */
async function place<T>(
  fs: FileSystem,
  output: string,
  { replace, signal }: ExportSettings,
  write: (sink: ByteSink) => Promise<T>,
): Promise<T> {
  const temporary = join(dirname(output), `.${basename(output).slice(0, 100)}.${randomBytes(8).toString('hex')}`);
  const { result } = await createDurable(fs, temporary, (sink) =>
    write({
      write: async (chunk) => {
        assertWanted(signal);
        await sink.write(chunk);
      },
    }),
  );
  try {
    if (replace) await translated({ operation: 'replace', path: output }, () => fs.rename(temporary, output));
    else await giveName(fs, temporary, output);
  } catch (cause) {
    await quietly(() => fs.unlink(temporary));
    throw cause;
  }
  await syncFolder(fs, dirname(output));
  return result;
}

async function giveName(fs: FileSystem, temporary: string, output: string): Promise<void> {
  try {
    if (!(await linkOnce(fs, temporary, output))) throw taken(output);
    await quietly(() => fs.unlink(temporary));
  } catch (cause) {
    // A medium without hard links, such as a memory stick: the last look is right before the rename.
    if (!isCheckpointError(cause, 'ERR_CKPT_STORE_UNSUPPORTED')) throw cause;
    await assertFree(fs, output);
    await translated({ operation: 'rename', path: output }, () => fs.rename(temporary, output));
  }
}

async function assertFree(fs: FileSystem, output: string): Promise<void> {
  const found = await translated({ operation: 'look at', path: output }, () => ifPresent(() => fs.lstat(output)));
  if (found !== undefined) throw taken(output);
}

function taken(output: string): CheckpointError {
  return new CheckpointError(
    'ERR_CKPT_EXISTS',
    `cannot export to ${output}: expected nothing there, found something; name another file, or have it replaced (--force)`,
    { path: output },
  );
}
