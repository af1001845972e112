/**
 * Power loss: from the recorded operations, the states in which the disk may be found afterwards, in real folders.
 *
 * What is durable: the content of a file as of its last fsync, the entries of a directory as of its last fsync.
 * Everything after may be there, or not, in any order and combination; unsynced content may be torn as well. All
 * combinations are too many, so of the entries: none, all, each one alone, all but each one; of the contents: the
 * synced one, all of it, the first half of what is new, zeros in its place.
 *
 * Invariants
 * 1. Every state that is built is legal: synced things are always in it.
 * 2. Entries of tmp/ are never synced and mean nothing; they are kept or dropped together.
 */
import { constants, mkdirSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { Operation } from './fault-file-system.mjs';

type Content = 'synced' | 'all' | 'half' | 'zeros';
const CONTENTS: readonly Content[] = ['synced', 'all', 'half', 'zeros'];

interface FileNode {
  readonly kind: 'file';
  synced: Buffer;
  current: Buffer;
}

interface DirectoryNode {
  readonly kind: 'directory';
  readonly synced: Map<string, Node>;
  readonly current: Map<string, Node>;
  /** Changes since the last fsync; a removal has no node. */
  pending: { readonly name: string; readonly node: Node | undefined }[];
  readonly scratch: boolean;
}

type Node = FileNode | DirectoryNode;

/** One possible disk: which pending changes it has, and what of unsynced contents. */
export interface DiskState {
  readonly describe: string;
  /** Equal for equal disks. */
  readonly key: string;
  build(root: string): void;
}

function directory(scratch: boolean): DirectoryNode {
  return { kind: 'directory', synced: new Map(), current: new Map(), pending: [], scratch };
}

export class PowerLoss {
  readonly #root: string;
  readonly #directories = new Map<string, DirectoryNode>();
  readonly #handles = new Map<number, FileNode>();

  /** @param root the directory all operations lie below; it exists and is empty when the recording begins */
  constructor(root: string) {
    this.#root = root;
    this.#directories.set(root, directory(false));
  }

  /** Takes the next recorded operation. */
  apply(operation: Operation): void {
    const { name, path } = operation;
    if (!path.startsWith(this.#root) || operation.error !== undefined) return;
    switch (name) {
      case 'open':
        this.#open(operation);
        break;
      case 'write':
        this.#write(operation);
        break;
      case 'mkdir':
        this.#mkdir(path);
        break;
      case 'link':
        this.#change(operation.to ?? '', this.#find(path));
        break;
      case 'unlink':
      case 'rmdir':
        this.#change(path, undefined);
        break;
      case 'fsync':
        this.#syncFile(operation);
        break;
      case 'fsync-directory':
        this.#sync(path);
        break;
      case 'rename':
      case 'truncate':
        throw new Error(`power loss knows nothing of ${name}`);
    }
  }

  #mkdir(path: string): void {
    const made = directory(basename(path) === 'tmp');
    this.#directories.set(path, made);
    this.#change(path, made);
  }

  #syncFile({ handle = 0 }: Operation): void {
    const file = this.#handles.get(handle);
    if (file !== undefined) file.synced = file.current;
  }

  /** Every disk state to be tried if the power fails now. */
  *states(): Generator<DiskState> {
    const dirty = this.#isDirty();
    for (const [describe, has] of this.#choices()) {
      for (const content of dirty ? CONTENTS : CONTENTS.slice(0, 1)) yield this.#state(`${describe}, content ${content}`, has, content);
    }
  }

  #open({ path, flags = 0, handle = 0 }: Operation): void {
    let file = this.#find(path);
    if (file === undefined && (flags & constants.O_CREAT) !== 0) {
      file = { kind: 'file', synced: Buffer.alloc(0), current: Buffer.alloc(0) };
      this.#change(path, file);
    }
    if (file?.kind === 'file') this.#handles.set(handle, file);
  }

  #write({ handle = 0, bytes, position, result }: Operation): void {
    const file = this.#handles.get(handle);
    if (file === undefined || bytes === undefined) return;
    const start = position ?? file.current.length;
    const written = bytes.subarray(0, Number(result));
    const next = Buffer.alloc(Math.max(file.current.length, start + written.length));
    file.current.copy(next);
    next.set(written, start);
    file.current = next;
  }

  #find(path: string): Node | undefined {
    return this.#directories.get(dirname(path))?.current.get(basename(path));
  }

  #change(path: string, node: Node | undefined): void {
    const parent = this.#directories.get(dirname(path));
    if (parent === undefined) return;
    const name = basename(path);
    if (node === undefined) parent.current.delete(name);
    else parent.current.set(name, node);
    parent.pending.push({ name, node });
  }

  #sync(path: string): void {
    const node = this.#directories.get(path);
    if (node === undefined) return;
    node.synced.clear();
    for (const [name, child] of node.current) node.synced.set(name, child);
    node.pending = [];
  }

  #isDirty(): boolean {
    return [...this.#directories.values()].some((node) =>
      [...node.current.values()].some((child) => child.kind === 'file' && child.synced !== child.current),
    );
  }

  *#choices(): Generator<[string, (change: object, scratch: boolean) => boolean]> {
    const changes = [...this.#directories.values()].filter((node) => !node.scratch).flatMap((node) => node.pending);
    yield ['no unsynced entry', () => false];
    yield ['all unsynced entries', () => true];
    if (changes.length < 2) return;
    for (const one of changes) {
      yield [`only ${one.name}`, (change, scratch) => scratch || change === one];
      yield [`all but ${one.name}`, (change, scratch) => !scratch && change !== one];
    }
  }

  #state(describe: string, has: (change: object, scratch: boolean) => boolean, content: Content): DiskState {
    const files: [string, Buffer | undefined][] = [];
    const visit = (node: DirectoryNode, path: string): void => {
      const entries = new Map(node.synced);
      for (const change of node.pending) {
        if (!has(change, node.scratch)) continue;
        if (change.node === undefined) entries.delete(change.name);
        else entries.set(change.name, change.node);
      }
      for (const [name, child] of entries) {
        const below = join(path, name);
        files.push([below, child.kind === 'file' ? contentOf(child, content) : undefined]);
        if (child.kind === 'directory') visit(child, below);
      }
    };
    const root = this.#directories.get(this.#root);
    if (root !== undefined) visit(root, '');
    return {
      describe,
      key: files
        .map(([path, bytes]) => `${path} ${bytes?.toString('base64') ?? ''}`)
        .sort()
        .join('\n'),
      build: (target) => {
        for (const [path, bytes] of files) {
          if (bytes === undefined) mkdirSync(join(target, path), { mode: 0o700 });
          else writeFileSync(join(target, path), bytes, { mode: 0o600 });
        }
      },
    };
  }
}

function contentOf({ synced, current }: FileNode, content: Content): Buffer {
  if (content === 'synced' || synced === current) return synced;
  if (content === 'all') return current;
  const half = synced.length + Math.floor((current.length - synced.length) / 2);
  if (content === 'half') return current.subarray(0, half);
  const torn = Buffer.alloc(current.length);
  synced.copy(torn);
  return torn;
}
