/**
 * What an image holds of files beside the open ones that the program declared: standard streams, files of libraries, files
 * that it has not declared again, and what the audit is told at each capture.
 *
 * Invariants
 * 1. A capture holds each file once, under one name.
 * 2. A record that is carried on says where the start found its file and as which, so that a run that was moved or copied
 *    is told about it once.
 * 3. Options that need /proc are refused at the open where there is none, instead of doing nothing.
 */
// biome-ignore lint/style/noRestrictedImports: the program stands meanwhile, and ports have no synchronous look
import { lstatSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { CheckpointError } from '../base/errors.js';
import type { AuditRequest, OpenFilesMode } from './audit.js';
import { countingCensus, takeCensus } from './census.js';
import type { StartContext } from './context.js';
import type { FileDeclaration, TrackedFileRecord } from './contract.js';
import { listDescriptors, openNumbers, realFolder } from './descriptors.js';
import { isLibraryRecord, LibraryFiles } from './library-files.js';
import type { Root } from './mapped-paths.js';
import { realFile, realRules } from './matching-files.js';
import { recordedOpeners } from './openers.js';
import { planLibrary } from './plan-library.js';
import type { PlannedFile } from './plan-types.js';
import { isWithinRoots } from './roots.js';
import { compileRules, type FileRule, folderOf } from './rules.js';
import { captureStdio, declareStdio, isStdioRecord, unfitStdio } from './stdio.js';
import type { CapturedFiles } from './table.js';

export interface UntrackedOptions {
  readonly rules: readonly FileRule[];
  readonly stdio: 'ignore' | 'track';
  readonly openFiles: OpenFilesMode;
}

export interface UntrackedParts extends UntrackedOptions {
  readonly member: string;
  /** What the source image recorded, all of it. */
  readonly records: readonly TrackedFileRecord[];
  /** Where a recorded file lies now. */
  readonly locate: (record: TrackedFileRecord) => string;
  /** Where other recorded paths lie now. */
  readonly mapped: readonly Root[];
  /** Folder of the store. */
  readonly store: string;
  /** Files that the program has declared and not closed. */
  readonly declared: () => readonly FileDeclaration[];
  /** Descriptors of the channels to forked members. */
  readonly channels: () => readonly number[];
  readonly warn: (message: string) => void;
}

export class UntrackedFiles {
  readonly #parts: UntrackedParts;
  readonly #library: LibraryFiles;
  readonly #workingDirectory = process.cwd();
  readonly #carried = new Map<string, TrackedFileRecord>();
  readonly #real = new Map<string, string>();
  #warned = false;

  /** @throws CheckpointError ERR_CKPT_FILE (invariant 3) */
  constructor(parts: UntrackedParts) {
    assertPossible(parts);
    const workingDirectory = this.#workingDirectory;
    const rules = realRules(parts.rules, workingDirectory);
    this.#parts = { ...parts, rules };
    const { member, records, locate, store } = parts;
    const searched = { rules, policyOf: compileRules(rules, workingDirectory), workingDirectory, store: realFolder(store) };
    this.#library = new LibraryFiles(member, searched, records.filter(isLibraryRecord).map(locate));
  }

  /** What the source image recorded of them and this start puts back. */
  get records(): readonly TrackedFileRecord[] {
    const { records, stdio } = this.#parts;
    return records.filter((record) => isLibraryRecord(record) || (stdio === 'track' && isStdioRecord(record)));
  }

  /** The standard streams as declared files, for the plan of the start. @throws CheckpointError ERR_CKPT_FILE */
  declareStdio(): FileDeclaration[] {
    return this.#parts.stdio === 'track' ? declareStdio(this.#parts.records) : [];
  }

  /** Plans what libraries have written that the source does not record. @throws CheckpointError ERR_CKPT_FILE, _STORE_UNSAFE */
  async planLibrary(declared: readonly FileDeclaration[], context: StartContext): Promise<PlannedFile[]> {
    if (!this.#counts) return [];
    const census = await countingCensus(context, this.#workingDirectory, this.#parts.mapped);
    return census === undefined ? [] : planLibrary(this.#library.find('plan'), this.#known(declared), census, context);
  }

  /** Everything is put back and libraries have not gone on: durably records what lies under the rules. */
  async takeCensus(declared: readonly FileDeclaration[], context: StartContext): Promise<void> {
    if (!this.#counts) return;
    this.#warnOfRoots(context.roots);
    const found = this.#library.find('plan');
    const census = await takeCensus(found, this.#known(declared), { ...this.#parts, workingDirectory: this.#workingDirectory }, context);
    this.#library.compareWith(census);
  }

  /** A restart will refuse what lies there: told while the program can still be told. */
  #warnOfRoots(roots: readonly string[]): void {
    for (const { pattern, policy } of this.#parts.rules) {
      const folder = resolve(this.#workingDirectory, folderOf(pattern).folder);
      if (policy !== 'append' || isWithinRoots(join(folder, '*'), roots)) continue;
      this.#parts.warn(
        `the option files: '${pattern}' leads to ${folder}, which is not below one of the program's roots (${roots.join(', ')}): ` +
          'a restart will refuse to put files back there; add the folder to the option roots',
      );
    }
  }

  get #counts(): boolean {
    return this.#parts.rules.some(({ policy }) => policy === 'append');
  }

  /** Paths that are put back, if at all, by their records or declarations. */
  #known(declared: readonly FileDeclaration[]): ReadonlySet<string> {
    const { records, locate } = this.#parts;
    return this.#bothWays([...records.map(locate), ...declared.map(({ path }) => path)]);
  }

  /** The paths as they were given, and where they really lie: looked up once. */
  #bothWays(paths: readonly string[]): ReadonlySet<string> {
    return new Set(
      paths.flatMap((path) => {
        const real = this.#real.get(path) ?? realFile(path);
        this.#real.set(path, real);
        return [path, real];
      }),
    );
  }

  /** Adds to what a capture took of the declared files. Synchronous, in the pause. */
  capture(tracked: CapturedFiles): CapturedFiles {
    const { member, rules, stdio, openFiles } = this.#parts;
    const declared = [...this.#bothWays(this.#parts.declared().map(({ path }) => path))];
    const streams = stdio === 'track' ? captureStdio(member) : [];
    if (stdio === 'track') this.#warnOnce();
    const taken = new Set([...declared, ...streams.map(({ declaration }) => declaration.path)]);
    const library = rules.length === 0 ? [] : this.#library.capture(taken);
    const audit: AuditRequest = {
      mode: openFiles,
      declared,
      rules,
      workingDirectory: this.#workingDirectory,
      channels: [...channelDescriptor(), ...this.#parts.channels()],
      open: openFiles === 'ignore' ? undefined : openNumbers(),
      openers: recordedOpeners(),
    };
    const carried = tracked.carried.map((record) => this.#whereItLies(record));
    return { ...tracked, open: [...tracked.open, ...streams, ...library], carried, audit };
  }

  /** Looked at once, after the start has verified it: what becomes of the file later is for the next start to find out. */
  #whereItLies(record: TrackedFileRecord): TrackedFileRecord {
    const known = this.#carried.get(record.name);
    if (known !== undefined) return known;
    const path = this.#parts.locate(record);
    const stat = lstatSync(path, { throwIfNoEntry: false });
    const same = stat === undefined || (path === record.path && stat.ino === record.identity.ino);
    const carried = same ? { ...record, path } : { ...record, path, identity: { dev: stat.dev, ino: stat.ino }, mtimeMs: stat.mtimeMs };
    this.#carried.set(record.name, carried);
    return carried;
  }

  #warnOnce(): void {
    if (this.#warned) return;
    this.#warned = true;
    for (const message of unfitStdio()) this.#parts.warn(message);
  }
}

/** Records that belong to handles of the program: what the table of declared files is to know. */
export function declarable(records: readonly TrackedFileRecord[]): readonly TrackedFileRecord[] {
  return records.filter((record) => !isLibraryRecord(record) && !isStdioRecord(record));
}

function assertPossible({ rules, stdio }: UntrackedOptions): void {
  if ((rules.length === 0 && stdio === 'ignore') || listDescriptors() !== undefined) return;
  const option = rules.length === 0 ? "stdio: 'track'" : 'files';
  throw new CheckpointError(
    'ERR_CKPT_FILE',
    `openCheckpointer: the option ${option} needs /proc/self/fd, which this system lacks: leave it out`,
    {
      phase: 'open',
    },
  );
}

/** The channel of a forked process; the type of `process.channel` does not tell that it has a number. */
function channelDescriptor(): readonly number[] {
  const channel: unknown = process.channel;
  if (typeof channel !== 'object' || channel === null || !('fd' in channel)) return [];
  return typeof channel.fd === 'number' && channel.fd >= 0 ? [channel.fd] : [];
}
