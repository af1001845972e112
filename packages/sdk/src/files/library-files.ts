/**
 * Files that libraries open, followed by the rules of the option `files`: what a capture records of them.
 *
 * Invariants
 * 1. The size is that of the capture's instant: what a library still holds in its own buffers does not belong to it.
 * 2. A path that was seen open once, in this life or in the source image, is followed from then on by its path, so that a
 *    library may close its file and open it again between two captures; until its rule is gone.
 * 3. A file that the program has declared itself is not recorded a second time.
 */
// biome-ignore lint/style/noRestrictedImports: the program stands meanwhile, and ports have no synchronous look
import { lstatSync } from 'node:fs';
import type { CapturedFile, FileDeclaration, TrackedFileRecord } from './contract.js';
import { canWrite, describeDescriptor, listDescriptors } from './descriptors.js';
import type { PolicyOf, RulePolicy } from './rules.js';

/** Names of such records begin with this; a program cannot declare one. */
export const LIBRARY_PREFIX = 'fd:';

export class LibraryFiles {
  readonly #member: string;
  readonly #policyOf: PolicyOf;
  readonly #followed = new Set<string>();

  /** @param recorded where the files of the source image that were recorded by rule lie now */
  constructor(member: string, policyOf: PolicyOf, recorded: readonly string[]) {
    this.#member = member;
    this.#policyOf = policyOf;
    for (const path of recorded) this.#followed.add(path);
  }

  /** Synchronous, in the pause. @param declared paths that the program has declared itself */
  capture(declared: ReadonlySet<string>): CapturedFile[] {
    const open = this.#findOpen();
    return [...this.#followed].flatMap((path) => {
      const policy = this.#policyOf(path);
      if (policy === undefined || policy === 'ignore' || declared.has(path)) return [];
      return this.#captureOne(path, policy, open.get(path)) ?? [];
    });
  }

  /** Positions of the open ones; remembers their paths. */
  #findOpen(): ReadonlyMap<string, number | undefined> {
    const open = new Map<string, number | undefined>();
    for (const link of listDescriptors() ?? []) {
      if (!link.target.startsWith('/') || this.#policyOf(link.target) === undefined) continue;
      const descriptor = describeDescriptor(link);
      if (descriptor?.kind !== 'file' || !canWrite(descriptor)) continue;
      this.#followed.add(link.target);
      open.set(link.target, Math.max(descriptor.position ?? 0, open.get(link.target) ?? 0));
    }
    return open;
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
