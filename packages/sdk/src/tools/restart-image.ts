/**
 * Starting the program of a store from an image.
 *
 * Invariants
 * 1. What can be told beforehand is: a wrong name, an empty lineage, a live owner and a missing working directory fail
 *    before the program starts. Which image is taken in the end, and all verification, is the program's own work.
 * 2. Without a name the program is told `latest`: it never begins anew behind a restart.
 */
import { resolve } from 'node:path';
import { pause } from '../base/deadline.js';
import { CheckpointError } from '../base/errors.js';
import { loadPorts } from '../base/system-ports.js';
import { ROOTS_VARIABLE, type Root } from '../files/mapped-paths.js';
import { isAlive } from '../store/owner.js';
import { isImageFile } from './image-file.js';
import { type OpenedStore, openStore, type ProgramOwner, storeDirectory } from './open-store.js';
import { importForRestart } from './restart-file.js';
import { assertRestartable, assertUsable, planRestart, type RestartPlan } from './restart-plan.js';
import { startCommand } from './start-command.js';
import { type ProgramExit, runProgram } from './start-program.js';
import { parseRestartOptions, type RestartSettings } from './tool-options.js';

const OWNER_POLL_MS = 100;

export interface RestartOptions {
  /**
   * A name, an id or at least six digits of one; default: the newest usable image on the lineage. Or the path of an
   * exported image (with a separator, or ending in .ckpt), which is taken into the store first and wants a `command`.
   */
  readonly image?: string;
  /** Tell what would happen and start nothing. */
  readonly dryRun?: boolean;
  /**
   * With `dryRun`: start the program only to ask it what its start() would do with each provider and section. It runs its own
   * code up to start() and ends there. Without an answer the plan tells what is recorded.
   */
  readonly ask?: boolean;
  /** How long to wait for that answer, ms; default 60,000. */
  readonly askMs?: number;
  /** End a live owner of the store, after checking who it is. */
  readonly takeOver?: boolean;
  /** How long to wait for a program that still owns the store, ms; default 10,000: it may be ending. */
  readonly waitMs?: number;
  /** Told once when there is such a program. */
  readonly onWaiting?: (owner: ProgramOwner) => void;
  /** What the program's standard streams are: this process's own (the default), or none. */
  readonly stdio?: 'inherit' | 'ignore';
  /** Recorded paths below `from` lie below `to` now. */
  readonly roots?: readonly Root[];
  /** Executable and arguments to start instead of the recorded ones, in this process's working directory. */
  readonly command?: readonly string[];
}

/**
 * Starts the program of a store from an image, in its recorded working directory, and waits for its end; or with
 * `dryRun` tells what would happen.
 * @param dir the store; undefined: CKPT_DIR, else ./ckpt
 * @param options a text stands for `{ image }`
 * @throws TypeError for a bad option; CheckpointError ERR_CKPT_NO_IMAGE, _NOT_FOUND, _IMAGE_MISSING, _LOCKED,
 *   _STORE_UNSAFE (a copied store or an imported image, and no `command`), what importImage throws, _IO (working directory or executable), _IMAGE_CORRUPT and its
 *   kin for a named image, _ALL_DAMAGED (dryRun; otherwise the program says so)
 */
export function restartImage(dir: string | undefined, options: RestartOptions & { readonly dryRun: true }): Promise<RestartPlan>;
export function restartImage(dir?: string, options?: string | (RestartOptions & { readonly dryRun?: false })): Promise<ProgramExit>;
export function restartImage(dir: string | undefined, options: RestartOptions): Promise<RestartPlan | ProgramExit>;
export async function restartImage(dir?: string, given: string | RestartOptions = {}): Promise<RestartPlan | ProgramExit> {
  const options = typeof given === 'string' ? { image: given } : given;
  const parsed = parseRestartOptions(options, 'restartImage');
  const { image } = parsed;
  if (image === undefined || !(await isImageFile(image, (await loadPorts(undefined)).fileSystem))) {
    return restartFrom(await openStore(dir, 'restartImage'), image === 'latest' ? undefined : image, parsed, options);
  }
  const root = storeDirectory(dir, 'restartImage');
  const imported = await importForRestart(image, root, parsed, options.onWaiting);
  try {
    const restarted = await restartFrom(imported.opened, imported.id, parsed, options);
    return 'image' in restarted ? imported.plan(restarted) : restarted;
  } finally {
    await imported.done();
  }
}

async function restartFrom(
  opened: OpenedStore,
  image: string | undefined,
  parsed: RestartSettings,
  options: RestartOptions,
): Promise<RestartPlan | ProgramExit> {
  // The program runs in another working directory than this process.
  const roots = parsed.roots.map(({ from, to }) => ({ from: resolve(from), to: resolve(to) }));
  const environment = {
    CKPT_DIR: opened.root,
    CKPT_RESTART: image ?? 'latest',
    ...(parsed.takeOver ? { CKPT_TAKE_OVER: '1' } : {}),
    ...(roots.length > 0 ? { [ROOTS_VARIABLE]: JSON.stringify(roots) } : {}),
  };
  if (!parsed.dryRun) await assertRestartable(opened, image);
  const command = await startCommand(opened, parsed.command, roots);
  if (parsed.dryRun) {
    return planRestart(opened, image, { command, environment, roots, askMs: parsed.ask ? parsed.askMs : undefined });
  }
  if (!parsed.takeOver) await waitForOwner(opened, parsed.waitMs, options.onWaiting);
  const before = await sealedEpoch(opened);
  const exit = await runProgram({ command, environment, stdio: parsed.stdio, store: opened.store });
  // Ended before it had started: where no image can be used, that is why, and it has a code of its own.
  if (exit.exitCode === 1 && (await sealedEpoch(opened)) === before) await assertUsable(opened, image);
  return exit;
}

async function sealedEpoch({ store }: OpenedStore): Promise<number | undefined> {
  return (await store.lineage()).newestSeal?.epoch;
}

/**
 * Gives a program that is ending (after `create --exit`, say) the time to end.
 * @throws CheckpointError ERR_CKPT_LOCKED when it goes on living
 */
async function waitForOwner({ store, ports: { clock } }: OpenedStore, waitMs: number, tell: RestartOptions['onWaiting']): Promise<void> {
  const end = clock.monotonic() + waitMs;
  for (let first = true; ; first = false) {
    const owner = await store.owner();
    // An owner that cannot be looked at from here is left to the program, which watches its heartbeat.
    if (owner === undefined || !owner.alive || owner.released || !isAlive(owner.record.owner)) return;
    const { pid, host } = owner.record.owner;
    if (first) tell?.({ pid, host });
    if (clock.monotonic() >= end) {
      throw new CheckpointError(
        'ERR_CKPT_LOCKED',
        `restart: the program still runs (pid ${pid} on ${host}) and owns the store ${store.location}: end it first, or take over (--take-over)`,
        { owner: owner.record.owner },
      );
    }
    await pause(clock, OWNER_POLL_MS);
  }
}
