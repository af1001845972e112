/**
 * The contents of tracked files, put into an exported image.
 *
 * Invariants
 * 1. An image names its paths itself and is not to be trusted: only regular files below the caller's roots are read, through
 *    no symbolic link.
 * 2. What goes into the image is what the image recorded: its size, and the hash of what was checked, compared on the way.
 *    Only of a volatile file nothing is asked but that it is long enough.
 */
import { Blake3Hasher } from '@napi-rs/blake-hash';
import { CheckpointError, isCheckpointError } from '../base/errors.js';
import type { FileSystem, OpenFile } from '../base/ports.js';
import { contentSection, contentSections, contentsName } from '../files/content-sections.js';
import type { TrackedFileRecord } from '../files/contract.js';
import { type FileAttempt, fileError, onFile } from '../files/failure.js';
import { type Inspected, openInspected } from '../files/inspect.js';
import { parseFileRecord } from '../files/record.js';
import type { FileRecord, Manifest, StreamedSection } from '../image/contract.js';

const PIECE = 2 ** 20;

export interface ExportedFile {
  readonly name: string;
  readonly path: string;
  /** Bytes that are in the image. */
  readonly size: number;
}

export interface FilesToExport {
  /** The records of the image, each that has its content there saying so. */
  readonly files: readonly FileRecord[];
  readonly sections: readonly StreamedSection[];
  readonly exported: readonly ExportedFile[];
  /** Volatile files that are not there as they would be needed. */
  readonly leftOut: readonly { readonly name: string; readonly path: string; readonly why: string }[];
  close(): Promise<void>;
}

type Reader = { readonly fileSystem: FileSystem; readonly roots: readonly string[] };

/** @throws CheckpointError ERR_CKPT_FILE_MISSING, _FILE_CHANGED, _FILE_UNSAFE (outside the roots) */
export async function filesToExport(manifest: Manifest, reader: Reader): Promise<FilesToExport> {
  const files: FileRecord[] = [];
  const sections: StreamedSection[] = [];
  const exported: ExportedFile[] = [];
  const leftOut: FilesToExport['leftOut'][number][] = [];
  const opened: OpenFile[] = [];
  const close = async (): Promise<void> => {
    for (const file of opened) await file.close();
  };
  try {
    for (const raw of manifest.files) {
      const record = parseFileRecord(raw, manifest.image.id);
      const { name, path, size, member } = record;
      const inspected = wantsContent(record) ? await openRecorded(record, reader) : undefined;
      if (inspected === undefined || inspected instanceof CheckpointError) {
        if (inspected !== undefined) leftOut.push({ name, path, why: inspected.message });
        files.push(raw);
        continue;
      }
      opened.push(inspected.file);
      files.push({ ...raw, contents: contentsName(name) });
      exported.push({ name, path, size });
      const check = new Check(record, inspected.file);
      for (const part of contentSections(name, size)) sections.push(contentSection(member, part.name, check.read(part.from, part.to)));
    }
    return { files, sections, exported, leftOut, close };
  } catch (error) {
    await close();
    throw error;
  }
}

function wantsContent({ policy, contents }: TrackedFileRecord): boolean {
  return policy !== 'ignore' && contents === undefined;
}

/** @returns an error for a volatile file that is not as needed; it is thrown for others */
async function openRecorded(record: TrackedFileRecord, reader: Reader): Promise<Inspected | CheckpointError> {
  const { name, path } = record;
  try {
    const inspected = await openInspected(reader, { name, path, trust: 'image-only' }, false);
    if (inspected === undefined) throw missing(record);
    try {
      assertSize(record, inspected.stat.size);
      return inspected;
    } catch (error) {
      await inspected.file.close();
      throw error;
    }
  } catch (error) {
    if (record.policy === 'volatile' && isCheckpointError(error) && error.code !== 'ERR_CKPT_FILE_UNSAFE') return error;
    throw error;
  }
}

function attemptOn({ name, path }: TrackedFileRecord): FileAttempt {
  return { operation: 'export', name, path, phase: 'read' };
}

function missing(record: TrackedFileRecord): CheckpointError {
  const remedy = 'put it back, or export without files';
  return fileError('ERR_CKPT_FILE_MISSING', attemptOn(record), { expected: `${record.size} bytes`, found: 'no file', remedy });
}

function assertSize(record: TrackedFileRecord, found: number): void {
  const { size, flags, policy } = record;
  const exact = flags === 'r' && policy !== 'volatile';
  if (exact ? found === size : found >= size) return;
  throw fileError(found < size ? 'ERR_CKPT_FILE_MISSING' : 'ERR_CKPT_FILE_CHANGED', attemptOn(record), {
    expected: `${exact ? '' : 'at least '}${size} bytes, as the image recorded it`,
    found: `${found}`,
    remedy: 'put it back as it was, export a newer image, or export without files',
  });
}

/** Reads a file once, in order, and holds it against its record on the way. */
class Check {
  readonly #record: TrackedFileRecord;
  readonly #file: OpenFile;
  readonly #hasher = new Blake3Hasher();

  constructor(record: TrackedFileRecord, file: OpenFile) {
    this.#record = record;
    this.#file = file;
  }

  async *read(from: number, to: number): AsyncGenerator<Uint8Array> {
    for (let at = from; at < to; ) {
      const piece = Buffer.allocUnsafeSlow(Math.min(PIECE, to - at));
      const got = await onFile(attemptOn(this.#record), () => this.#file.read(piece, 0, piece.length, at));
      if (got === 0) throw this.#changed(`that it ends at ${at}`);
      this.#take(piece.subarray(0, got), at);
      yield piece.subarray(0, got);
      at += got;
    }
    if (to === this.#record.size) this.#compare();
  }

  #take(piece: Buffer, at: number): void {
    const { from, to } = this.#record.check;
    const [start, end] = [Math.max(from - at, 0), Math.min(to - at, piece.length)];
    if (start < end) this.#hasher.update(piece.subarray(start, end));
  }

  #compare(): void {
    const { policy, check } = this.#record;
    if (policy === 'volatile' || this.#hasher.digestBuffer().toString('hex') === check.hash) return;
    throw this.#changed(`other bytes from ${check.from} to ${check.to}`);
  }

  #changed(found: string): CheckpointError {
    return fileError('ERR_CKPT_FILE_CHANGED', attemptOn(this.#record), {
      expected: `its first ${this.#record.size} bytes as the image recorded them`,
      found,
      remedy: 'put it back as it was, export a newer image, or export without files',
    });
  }
}
