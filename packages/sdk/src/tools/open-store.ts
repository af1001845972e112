/**
 * The store a tool works on: which directory it is, and that it is a store.
 *
 * Invariants
 * 1. A tool creates nothing by looking: a folder that is no store is refused, never turned into one.
 * 2. The directory comes from the argument, else from CKPT_DIR, else it is ./ckpt; the default stands only here.
 */
import { resolve } from 'node:path';
import type { Ports } from '../base/ports.js';
import { PromptFileSystem } from '../base/prompt-file-system.js';
import { loadPorts } from '../base/system-ports.js';
import type { Lineage, RunRecord, Store } from '../store/contract.js';
import { openDirectoryStore } from '../store/directory.js';

export interface OpenedStore {
  /** Absolute path of the store directory. */
  readonly root: string;
  readonly store: Store;
  readonly run: RunRecord;
  readonly ports: Ports;
}

/** @throws TypeError when `dir` is given and is not a path */
export function storeDirectory(dir: string | undefined, call: string): string {
  if (dir !== undefined && (typeof dir !== 'string' || dir === '' || dir.includes('\0'))) {
    throw new TypeError(`${call}: dir: expected the path of a store directory, got ${JSON.stringify(dir) ?? String(dir)}`);
  }
  return resolve(dir ?? (process.env['CKPT_DIR'] || './ckpt'));
}

/** @throws CheckpointError ERR_CKPT_NO_IMAGE when there is no store in the directory */
export async function openStore(dir: string | undefined, call: string): Promise<OpenedStore> {
  const root = storeDirectory(dir, call);
  const ports = { ...(await loadPorts(undefined)), fileSystem: new PromptFileSystem(true) };
  const store = openDirectoryStore(root, ports);
  const run = await store.inspect();
  return { root, store, run, ports };
}

/** Who owns the store now. */
export interface ProgramOwner {
  readonly pid: number;
  readonly host: string;
}

/** What is on the lineage, as sets that a listing can ask. */
export interface LineageView {
  readonly lineage: Lineage;
  readonly ids: ReadonlySet<string>;
  /** Id of the image the newest sealed epoch started from. */
  readonly source: string | undefined;
  /** By id: what leases are for, whose holders live. */
  readonly leased: ReadonlyMap<string, string>;
}

export async function viewLineage(store: Store): Promise<LineageView> {
  const lineage = await store.lineage();
  const source = lineage.newestSeal?.source;
  return {
    lineage,
    ids: new Set(lineage.candidates.map((image) => image.id)),
    source: source?.kind === 'image' ? source.id : undefined,
    leased: await store.leased(),
  };
}
