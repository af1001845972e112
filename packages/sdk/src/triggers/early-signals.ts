/**
 * Requests by SIGUSR1 that arrive before a checkpointer listens, and the signals that arrive after it has let go.
 *
 * SIGUSR1 belongs to Node's inspector until a listener is installed: an earlier one opens a debugger and is lost.
 * `register.ts` calls `noteEarlySignals` before user code, opening a checkpointer calls `rememberSigusr1` before it waits
 * for anything; `signals.ts` takes over what was noted.
 *
 * Invariants
 * 1. One listener and one count per process, however many copies of this package are loaded: both live in a global slot.
 * 2. The listener stays for ever: once it is there, no SIGUSR1 kills the process or opens a debugger.
 * 3. What arrives is counted until it is taken over; from then on the taker's own listener serves it, until somebody asks
 *    to remember again.
 * 4. The inspector that an earlier signal opens comes late, from another thread: it is looked for again and again during
 *    the first WATCH_MS, noted once, and closed. A debugger that a flag or an editor asked for is never closed.
 */
import { isMainThread } from 'node:worker_threads';

interface Slot {
  /** Requests noted and not yet taken over. */
  count: number;
  listening: boolean;
  /** Whether the listener counts. */
  remembering: boolean;
  /** Who serves an inspector that shows up after the taking over. */
  readonly takers: Set<() => void>;
}

const SLOT: unique symbol = Symbol.for('ckpt.early-signals');
const INSPECT_FLAG = /(?:^|[\s"'])--inspect(?:[-_](?:brk|wait|brk[-_]node))?(?=[=\s"']|$)/;
const DISABLE_FLAG = /(?:^|[\s"'])--disable[-_]sigusr1(?=[\s"']|$)/;
const WATCH_MS = 250;
const LOOK_MS = 10;

function slot(): Slot {
  // Only this file writes the property, in this copy of the package or in another.
  const holder = globalThis as { [SLOT]?: Slot };
  holder[SLOT] ??= { count: 0, listening: false, remembering: false, takers: new Set() };
  return holder[SLOT];
}

/** Signals reach the main thread only, and Windows has none of them. */
export function signalsArriveHere(): boolean {
  return isMainThread && process.platform !== 'win32';
}

/** Whether Node was told to block SIGUSR1 (`--disable-sigusr1`): no listener hears it then. */
export function sigusr1IsBlocked(): boolean {
  return hasFlag(DISABLE_FLAG, process.execArgv, process.env);
}

/** Listens for SIGUSR1 from now on, and takes an inspector that an earlier one has opened for a request. */
export function noteEarlySignals(): void {
  if (!signalsArriveHere() || slot().listening) return;
  rememberSigusr1();
  watchForInspector();
}

/** Counts every SIGUSR1 from now on until they are taken over: for the time between opening and listening. */
export function rememberSigusr1(): void {
  if (!signalsArriveHere()) return;
  listen();
  slot().remembering = true;
}

/** Keeps SIGUSR1 harmless for the rest of the process's life (invariant 2), without counting it. */
export function keepSigusr1Harmless(): void {
  listen();
  slot().remembering = false;
}

/** Serves what was noted, once, and what shows up late; from now on the caller listens itself (invariant 3). */
export function takeOverEarlyRequests(serve: () => void): { release(): void } {
  const shared = slot();
  const { count } = shared;
  shared.count = 0;
  shared.remembering = false;
  shared.takers.add(serve);
  if (count > 0) serve();
  return { release: () => void shared.takers.delete(serve) };
}

function listen(): void {
  const shared = slot();
  if (shared.listening) return;
  shared.listening = true;
  process.on('SIGUSR1', () => {
    if (shared.remembering) shared.count++;
  });
}

function watchForInspector(): void {
  const inspector = loadInspector();
  if (inspector === undefined || debuggerWanted(process.execArgv, process.env)) return;
  let noted = false;
  let left = WATCH_MS / LOOK_MS;
  const look = (): void => {
    if (inspector.url() !== undefined) {
      if (!noted) noteInspector();
      noted = true;
      // close() does nothing in the turn in which the inspector was opened.
      setImmediate(() => inspector.close());
    }
    if (left-- > 0) setTimeout(look, LOOK_MS).unref();
  };
  look();
}

function noteInspector(): void {
  const { takers } = slot();
  if (takers.size === 0) slot().count++;
  for (const serve of takers) serve();
}

/** Undefined where Node was built without an inspector. */
function loadInspector(): typeof import('node:inspector') | undefined {
  try {
    return process.getBuiltinModule('node:inspector');
  } catch {
    return undefined;
  }
}

/** Whether a flag, NODE_OPTIONS or an editor's launcher (which opens the inspector by itself) asked for a debugger. */
export function debuggerWanted(execArgv: readonly string[], env: NodeJS.ProcessEnv): boolean {
  return env['VSCODE_INSPECTOR_OPTIONS'] !== undefined || hasFlag(INSPECT_FLAG, execArgv, env);
}

function hasFlag(flag: RegExp, execArgv: readonly string[], env: NodeJS.ProcessEnv): boolean {
  return execArgv.some((argument) => flag.test(argument)) || flag.test(env['NODE_OPTIONS'] ?? '');
}
