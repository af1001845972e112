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
import type { Contents, SecuredFile } from '../files/contents.js';
import { secureFile } from '../files/secure.js';
import type { ImageInput, ImageRef } from '../image/contract.js';
import { MAX_BASES } from '../image/format.js';
import { lengthOf, writeImage } from '../image/writer.js';
import type { ImageWriter, Published, Store } from '../store/contract.js';
import type { Incremental } from './incremental.js';
import type { PersistedImage, PersistJob } from './thread-protocol.js';

/** Bases that are left for the contents of tracked files. */
const BASES_FOR_FILES = 8;

export interface PersistParts {
  readonly writer: ImageWriter;
  readonly ports: Ports;
  /** What the images before hold of the contents of files. */
  readonly contents: Contents;
  /** What they hold of large buffers. */
  readonly incremental: Incremental;
  readonly audit: Audit;
  /** The content of every file that is changed in place is copied. */
  readonly filesCopied: () => void;
}

export async function persist(job: PersistJob, parts: PersistParts): Promise<PersistedImage> {
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

async function publish(job: PersistJob, { writer, ports, contents, incremental, audit, filesCopied }: PersistParts): Promise<Published> {
  const { head, sections, buffers } = job.input;
  const openFiles = job.files.audit === undefined ? [] : audit.run(job.files.audit, job.files.open);
  const provenance = { ...head.provenance, openFiles };
  const secured = await secureFiles(job, writer, ports.fileSystem);
  const contented = job.files.open.length + job.files.carried.length > 0;
  const plan = await incremental.plan(buffers, contented ? MAX_BASES - BASES_FOR_FILES : MAX_BASES);
  const kept = await contents.prepare({
    secured,
    carried: job.files.carried,
    parent: head.image.parent,
    otherBytes: [...sections, ...buffers].reduce((sum, record) => sum + lengthOf(record), 0),
    mostBases: MAX_BASES - plan.bases.length,
    copied: filesCopied,
  });
  try {
    const files = kept.records.map((record) => ({ ...record }));
    const bases = [...kept.bases, ...plan.bases.filter(({ id }) => !kept.bases.some((base) => base.id === id))];
    const input: ImageInput = {
      head: { ...head, provenance, files },
      sections: [...sections, ...kept.sections],
      buffers: plan.buffers(bases),
      bases,
    };
    const published = await writer.publish({ ref: job.ref, names: job.names, write: (sink) => writeImage(sink, input) });
    kept.committed(published);
    await plan.committed(published);
    return published;
  } catch (error) {
    plan.failed(error);
    throw error;
  } finally {
    await kept.release();
  }
}

async function secureFiles({ files }: PersistJob, writer: ImageWriter, fs: FileSystem): Promise<SecuredFile[]> {
  const secured: SecuredFile[] = [];
  if (files.open.length > 0) await writer.assertNewest();
  for (const captured of files.open) secured.push({ captured, record: await secureFile(captured, fs) });
  return secured;
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
