/**
 * Files that libraries open, followed by the rules of the option `files`: what a capture records of them.
 *
 * Invariants
 * 1. The size is that of the capture's instant: what a library still holds in its own buffers does not belong to it.
 * 2. A path that was seen open once, in this life or in the source image, is followed from then on by its path, so that a
 *    library may close its file and open it again between two captures; until its rule is gone. So is a file that differs
 *    from the census of this life: a library may have it open for the time of a line only.
 * 3. A file that the program has declared itself is not recorded a second time, also when it was closed.
 * 4. Where nobody could tell which files differ, there is no start and no image: what it does not record would be put back.
 */
// biome-ignore lint/style/noRestrictedImports: the program stands meanwhile, and ports have no synchronous look
import { lstatSync } from 'node:fs';
import { CheckpointError } from '../base/errors.js';
import type { Counted } from './census.js';
import type { CapturedFile, FileDeclaration, TrackedFileRecord } from './contract.js';
import { canWrite, describeDescriptor, listDescriptors } from './descriptors.js';
import { findMatching, type Searched } from './matching-files.js';
import type { RulePolicy } from './rules.js';

/** Names of such records begin with this; a program cannot declare one. */
export const LIBRARY_PREFIX = 'fd:';

export class LibraryFiles {
  readonly #member: string;
  readonly #searched: Searched;
  readonly #followed = new Set<string>();
  /** Every path that the program has declared so far. */
  readonly #declared = new Set<string>();
  #census: ReadonlyMap<string, Counted | undefined> | undefined;

  /** @param recorded where the files of the source image that were recorded by rule lie now */
  constructor(member: string, searched: Searched, recorded: readonly string[]) {
    this.#member = member;
    this.#searched = searched;
    for (const path of recorded) this.#followed.add(path);
  }

  /** What lies under the rules with policy `append` now. @throws CheckpointError ERR_CKPT_FILE (invariant 4) */
  find(phase: 'plan' | 'capture'): ReadonlySet<string> {
    const found = findMatching(this.#searched);
    if (found !== undefined) return found;
    throw new CheckpointError(
      'ERR_CKPT_FILE',
      'looking for the files of libraries: expected folders that can be looked through at each checkpoint, found that the patterns of the option ' +
        'files lead to too many entries; narrow the patterns',
      { phase },
    );
  }

  /** From now on files that differ from this are followed. */
  compareWith(census: ReadonlyMap<string, Counted | undefined>): void {
    this.#census = census;
  }

  /** Synchronous, in the pause. @param declared paths that the program has declared itself */
  capture(declared: ReadonlySet<string>): CapturedFile[] {
    const open = this.#findOpen();
    for (const path of declared) this.#declared.add(path);
    if (this.#census !== undefined) this.#followChanged(this.#census);
    return [...this.#followed].flatMap((path) => {
      const policy = this.#searched.policyOf(path);
      if (policy === undefined || policy === 'ignore' || declared.has(path)) return [];
      return this.#captureOne(path, policy, open.get(path)) ?? [];
    });
  }

  /** Positions of the open ones; remembers their paths. */
  #findOpen(): ReadonlyMap<string, number | undefined> {
    const open = new Map<string, number | undefined>();
    for (const link of listDescriptors() ?? []) {
      if (!link.target.startsWith('/') || this.#searched.policyOf(link.target) === undefined) continue;
      const descriptor = describeDescriptor(link);
      if (descriptor?.kind !== 'file' || !canWrite(descriptor)) continue;
      this.#followed.add(link.target);
      open.set(link.target, Math.max(descriptor.position ?? 0, open.get(link.target) ?? 0));
    }
    return open;
  }

  #followChanged(census: ReadonlyMap<string, Counted | undefined>): void {
    for (const path of this.find('capture')) {
      if (this.#followed.has(path) || this.#declared.has(path)) continue;
      const was = census.get(path);
      if (was === undefined && census.has(path)) continue;
      const stat = was === undefined ? undefined : lstatSync(path, { throwIfNoEntry: false });
      if (was === undefined || stat?.size !== was.size || stat.ino !== was.identity.ino) this.#followed.add(path);
    }
  }

  #captureOne(path: string, policy: RulePolicy, position: number | undefined): CapturedFile | undefined {
    const stat = lstatSync(path, { throwIfNoEntry: false });
    if (stat?.isFile() !== true) return undefined;
    const { size, dev, ino, mode } = stat;
    const declaration: FileDeclaration = {
      name: LIBRARY_PREFIX + path,
      given: path,
      path,
      flags: 'a',
      mode: mode & 0o7777,
      policy,
      verify: 'tail',
    };
    return { declaration, member: this.#member, position: position ?? size, size, identity: { dev, ino }, pending: [], created: true };
  }
}

export function isLibraryRecord({ name }: Pick<TrackedFileRecord, 'name'>): boolean {
  return name.startsWith(LIBRARY_PREFIX);
}
