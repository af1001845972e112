/**
 * Persist and commit one captured image, then prune: the work of the helper thread, as plain functions of a job.
 *
 * Invariants
 * 1. Tracked files are durable up to their recorded sizes before the image that records them exists.
 * 2. Resolves only when the image is acknowledged (docs/commit-protocol.md).
 * 3. A fenced life writes neither files nor images.
 * 4. Pruning comes after the commit and never makes it fail.
 */
import { CheckpointError, isCheckpointError, messageOf } from '../base/errors.js';
import type { FileSystem, Ports } from '../base/ports.js';
import type { Audit } from '../files/audit.js';
import type { SecuredFile } from '../files/contents.js';
import { secureFile } from '../files/secure.js';
import type { ImageInput, ImageRef, StreamedBuffer } from '../image/contract.js';
import { lengthOf, writeImage } from '../image/writer.js';
import type { ImageWriter, Published, Store } from '../store/contract.js';
import { type BuildParts, buildUpon } from './built-upon.js';
import type { CompressionChoice } from './choose-compression.js';
import type { PersistedImage, PersistJob } from './thread-protocol.js';

const SMALL_BYTES = 2 ** 16;

export interface PersistParts extends BuildParts {
  readonly writer: ImageWriter;
  readonly ports: Ports;
  readonly audit: Audit;
  readonly compression: CompressionChoice;
}

export async function persist(job: PersistJob<StreamedBuffer>, parts: PersistParts): Promise<PersistedImage> {
  const { clock } = parts.ports;
  const start = clock.monotonic();
  try {
    const { path, size } = await publish(job, parts);
    return { path, size, persistMs: clock.monotonic() - start };
  } catch (error) {
    if (isCheckpointError(error)) throw error;
    throw new CheckpointError('ERR_CKPT_IO', `persisting image ${job.ref.id}: ${messageOf(error)}; earlier images are untouched`, {
      image: job.ref.id,
      phase: 'persist',
      cause: error,
    });
  }
}

async function publish(job: PersistJob<StreamedBuffer>, parts: PersistParts): Promise<Published> {
  const { writer, ports, audit, compression } = parts;
  const { head } = job.input;
  const openFiles = job.files.audit === undefined ? [] : audit.run(job.files.audit, job.files.open);
  const provenance = { ...head.provenance, openFiles };
  const secured = await secureFiles(job, writer, ports.fileSystem);
  const built = await buildUpon(job, secured, parts);
  try {
    const { files, buffers, bases } = built;
    const methods = await compression.of(job.input.sections);
    const sections = built.sections.map((section, index) => ({ ...section, compression: methods[index] }));
    const input: ImageInput = { head: { ...head, provenance, files }, sections, buffers, bases };
    const published = await writer.publish({ ref: job.ref, names: job.names, write: (sink) => writeImage(sink, input) });
    compression.wrote(published.size, published.writeMs ?? 0);
    await built.committed(published);
    return published;
  } catch (error) {
    built.failed(error);
    throw error;
  } finally {
    await built.release();
  }
}

async function secureFiles({ files }: Pick<PersistJob, 'files'>, writer: ImageWriter, fs: FileSystem): Promise<SecuredFile[]> {
  const secured: SecuredFile[] = [];
  if (files.open.length > 0) await writer.assertNewest();
  for (const captured of files.open) secured.push({ captured, record: await secureFile(captured, fs) });
  return secured;
}

/** Whether the disk's syncs are nearly all that its image takes. */
export function isSmall({ input, files }: PersistJob): boolean {
  if (files.open.length > 0 || files.carried.length > 0) return false;
  return [...input.sections, ...input.buffers].reduce((sum, record) => sum + lengthOf(record), 0) <= SMALL_BYTES;
}

/** @returns what was deleted; a failure is a warning, because the image itself is safe */
export async function pruneAfter(job: PersistJob, store: Store, warn: (message: string) => void): Promise<readonly ImageRef[]> {
  try {
    return await store.prune({ keep: job.keep }, job.ref.epoch, warn);
  } catch (error) {
    warn(`retention: ${messageOf(error)}; nothing more was deleted`);
    return [];
  }
}
