/**
 * The two ends of a handle: what reads and what writes, how they are put onto the file once it is open, and let go of.
 *
 * Invariants
 * 1. There is an end for what the flags allow, and no other; what is changed in place is read behind what was written.
 * 2. What was written is durable before the descriptor is closed, the directory entry of a file that was made included.
 */
import { dirname } from 'node:path';
import type { FileSystem, OpenFile } from '../base/ports.js';
import { syncFolder } from '../store/durable.js';
import type { FileDeclaration, FileIdentity } from './contract.js';
import { reads, writes } from './declaration.js';
import { fileFailure } from './failure.js';
import { Reading } from './reading.js';
import type { TakeGate } from './taken.js';
import { readBehind, WriteBehind, type WriteBehindParts } from './write-behind.js';

/** An opened file and where the handle begins in it. */
export interface OpenedFile {
  readonly file: OpenFile;
  readonly identity: FileIdentity;
  readonly position: number;
  /** Bytes that belong to the run so far. */
  readonly size: number;
  /** True when this life made the file. */
  readonly created: boolean;
}

export interface Ends {
  readonly writer: WriteBehind | undefined;
  readonly reader: Reading | undefined;
}

export interface EndsParts extends Pick<WriteBehindParts, 'clock' | 'allowed' | 'allowedSync' | 'waitReleased' | 'notOpen'> {
  readonly gate: TakeGate;
}

/** @param ready resolves after `openEnds`; what is asked for before waits for it */
export function makeEnds(declaration: FileDeclaration, parts: EndsParts, ready: Promise<void>): Ends {
  const { name, path, flags } = declaration;
  const failure = (operation: string) => (cause: unknown) => fileFailure(cause, { operation, name, path });
  const writer = writes(flags) ? new WriteBehind({ ...parts, failure: failure('write') }) : undefined;
  if (!reads(flags)) return { writer, reader: undefined };
  const taken = (position: number): void => writer?.seek(position);
  return { writer, reader: new Reading({ gate: parts.gate, prefetch: writer === undefined, taken, failure: failure('read') }, ready) };
}

export function openEnds({ writer, reader }: Ends, { file, position }: OpenedFile): void {
  writer?.open(file, position);
  reader?.open(writer === undefined ? file : readBehind(writer, file), position);
}

export function positionOf({ writer, reader }: Ends): number {
  return writer?.position ?? reader?.position ?? 0;
}

/** Invariant 2. @param created its directory entry is not known to be durable */
export async function letGo(
  { name, path, policy }: FileDeclaration,
  { file, writer, created }: { readonly file: OpenFile; readonly writer: WriteBehind | undefined; readonly created: boolean },
  fileSystem: FileSystem,
): Promise<void> {
  try {
    await writer?.close();
    if (writer !== undefined && policy !== 'ignore') {
      await file.sync();
      if (created) await syncFolder(fileSystem, dirname(path));
    }
  } catch (cause) {
    throw fileFailure(cause, { operation: 'close', name, path });
  } finally {
    await file.close();
  }
}
