/**
 * The audit of open descriptors: what the process holds open that no restart brings back. Runs in the helper thread, where
 * reading /proc does not stop the program.
 *
 * Invariants
 * 1. Every descriptor that was open at the capture is listed but those that nobody can miss: event loops, pipes of which the process holds both ends,
 *    devices, the store's own files.
 * 2. Reported are regular files open for writing that nobody tracks, sockets and pipes; each once, MOST_REPORTS in all.
 *    Not reported is what came from whoever started the program: stdin, stdout, stderr, the channel of a forked
 *    process; nor the channels to members.
 * 3. With `error` the checkpoint is refused before anything of it is written.
 */
import { CheckpointError } from '../base/errors.js';
import type { OpenDescriptor } from '../image/contract.js';
import type { CapturedFile, FileIdentity } from './contract.js';
import { canWrite, type Descriptor, describeDescriptor, isInherited, listDescriptors, realFolder } from './descriptors.js';
import type { NotedOpener } from './openers.js';
import { compileRules, type FileRule } from './rules.js';

export type OpenFilesMode = 'warn' | 'error' | 'ignore';

/** What the program tells its helper thread; plain data. */
export interface AuditRequest {
  readonly mode: OpenFilesMode;
  /** Paths of all declared files, also of those that are not recorded. */
  readonly declared: readonly string[];
  readonly rules: readonly FileRule[];
  readonly workingDirectory: string;
  /** Descriptors of the channels to the process that forked the program, and to forked members. */
  readonly channels: readonly number[];
  /** The numbers that were open at the capture: what the program has opened since, such as the channel to a member that it has forked since, is no matter of this image. */
  readonly open: readonly number[] | undefined;
  /** Where files were opened, by descriptor, as far as somebody has watched. */
  readonly openers: readonly NotedOpener[];
}

type Judged = { readonly descriptor: Descriptor; readonly tracked?: string; readonly report: boolean };

const STDIO: readonly (string | undefined)[] = ['stdin', 'stdout', 'stderr'];
const MOST_REPORTS = 100;
const MOST_NAMED = 5;
const REMEDY = "declare it with ckpt.file(), give it a rule in the option `files`, close it before, or set openFiles: 'ignore'";
const GONE = 'after a restart it is not there';

export class Audit {
  readonly #store: string;
  readonly #warn: (message: string) => void;
  readonly #reported = new Set<string>();
  /** By number, at the checkpoint before. */
  #seen: ReadonlyMap<number, Descriptor> = new Map();

  /** @param store its folder: what lies below is its own */
  constructor(store: string, warn: (message: string) => void) {
    this.#store = store;
    this.#warn = warn;
  }

  /** @throws CheckpointError ERR_CKPT_FILE when the mode is `error` and there is something to report */
  run(request: AuditRequest, captured: readonly CapturedFile[]): OpenDescriptor[] {
    const judged = this.#judge(request, captured);
    const untracked = judged.filter(({ report }) => report).map(({ descriptor }) => descriptor);
    const place = placesOf(request.openers);
    if (request.mode === 'error' && untracked.length > 0) throw refusal(untracked, place);
    if (request.mode === 'warn') this.#report(untracked, place);
    return judged.map(({ descriptor, tracked }) => recordOf(descriptor, tracked, place(descriptor)));
  }

  #judge(request: AuditRequest, captured: readonly CapturedFile[]): Judged[] {
    const links = listDescriptors();
    if (links === undefined) {
      if (request.mode !== 'error') return [];
      throw new CheckpointError(
        'ERR_CKPT_FILE',
        "checkpoint: openFiles: 'error' needs /proc/self/fd, which this system lacks: set 'warn'",
        {
          phase: 'persist',
        },
      );
    }
    const open = new Set(request.open);
    const atCapture = request.open === undefined ? links : links.filter(({ fd }) => open.has(fd));
    const all = atCapture.flatMap((link) => describeDescriptor(link, this.#seen.get(link.fd)) ?? []);
    this.#seen = new Map(all.map((descriptor) => [descriptor.fd, descriptor]));
    const store = realFolder(this.#store);
    const others = all.filter((descriptor) => !isOwn(descriptor, all, store)).sort((a, b) => a.fd - b.fd);
    return others.map(judgement(request, captured, all));
  }

  #report(untracked: readonly Descriptor[], place: PlaceOf): void {
    for (const descriptor of untracked) {
      if (this.#reported.size > MOST_REPORTS) return;
      const key = `${descriptor.identity.dev}:${descriptor.identity.ino}:${descriptor.target}`;
      if (this.#reported.has(key)) continue;
      this.#reported.add(key);
      if (this.#reported.size > MOST_REPORTS) this.#warn('more descriptors are not tracked; they are no longer told here: see ckpt stat');
      else this.#warn(`not tracked: ${describe(descriptor, place)}: ${descriptor.kind === 'file' ? REMEDY : `${GONE}; ${LATER}`}`);
    }
  }
}

const LATER = "open it again in an atRestart handler, or set openFiles: 'ignore'";

/** Invariant 1. */
function isOwn(descriptor: Descriptor, all: readonly Descriptor[], store: string): boolean {
  const { kind, target } = descriptor;
  if (kind === 'own' || target === store || target.startsWith(`${store}/`)) return true;
  if (kind !== 'pipe') return false;
  return all.some((other) => other.kind === 'pipe' && other.target === target && canWrite(other) !== canWrite(descriptor));
}

function judgement(
  request: AuditRequest,
  captured: readonly CapturedFile[],
  all: readonly Descriptor[],
): (descriptor: Descriptor) => Judged {
  const byIdentity = new Map(captured.map(({ identity, declaration }) => [keyOf(identity), declaration.name]));
  const declared = new Set(request.declared);
  const policyOf = compileRules(request.rules, request.workingDirectory);
  const given = new Map(all.filter(({ fd }) => fd < STDIO.length).map(({ fd, identity }) => [keyOf(identity), STDIO[fd] ?? '']));
  return (descriptor) => {
    const { fd, kind, target, identity } = descriptor;
    const known = byIdentity.get(keyOf(identity)) ?? (declared.has(target) ? target : undefined) ?? given.get(keyOf(identity));
    if (known !== undefined) return { descriptor, tracked: known, report: false };
    if (kind === 'folder' || request.channels.includes(fd)) return { descriptor, report: false };
    if (kind === 'file') return { descriptor, report: canWrite(descriptor) && policyOf(target) === undefined };
    return { descriptor, report: !isInherited(descriptor) };
  };
}

function keyOf({ dev, ino }: FileIdentity): string {
  return `${dev}:${ino}`;
}

type PlaceOf = (descriptor: Descriptor) => string | undefined;

/** The number of a closed descriptor is given again: a place counts only when the path is that of the file. */
function placesOf(openers: readonly NotedOpener[]): PlaceOf {
  const byNumber = new Map(openers.map((opener) => [opener.fd, opener]));
  return ({ fd, target }) => {
    const opener = byNumber.get(fd);
    return opener?.path === target ? opener.place : undefined;
  };
}

function recordOf(
  { fd, target, kind, position, flags }: Descriptor,
  tracked: string | undefined,
  openedAt: string | undefined,
): OpenDescriptor {
  return {
    fd,
    target,
    // The position of a folder is a number of the file system's own.
    ...(position === undefined || kind !== 'file' ? {} : { position }),
    flags: `0${flags.toString(8)}`,
    ...(tracked === undefined ? {} : { tracked }),
    ...(openedAt === undefined ? {} : { openedAt }),
  };
}

function describe(descriptor: Descriptor, place: PlaceOf): string {
  const { fd, kind, target, position } = descriptor;
  const opened = place(descriptor);
  const what = kind === 'file' ? `${target}, open for writing at ${position ?? '?'}` : `a ${kind} (${target})`;
  return `${what} (descriptor ${fd}${opened === undefined ? '' : `, opened at ${opened}`})`;
}

function refusal(untracked: readonly Descriptor[], place: PlaceOf): CheckpointError {
  const named = untracked.slice(0, MOST_NAMED).map((descriptor) => describe(descriptor, place));
  const more = untracked.length > MOST_NAMED ? ` and ${untracked.length - MOST_NAMED} more` : '';
  const [first] = untracked;
  return new CheckpointError(
    'ERR_CKPT_FILE',
    `checkpoint: openFiles: 'error': not tracked: ${named.join('; ')}${more}: for each, ${REMEDY}`,
    { phase: 'persist', ...(first === undefined ? {} : { path: first.target }) },
  );
}
