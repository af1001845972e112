/**
 * Checkpoints by signal.
 *
 * Invariants
 * 1. After every signal there is a request that was made later than it, so its image holds the state at the signal
 *    or a later one. Signals of one turn of the event loop make two requests at most; the conductor coalesces the rest.
 * 2. 'checkpoint-and-exit' is asked once at a time. When it fails the program goes on, and the next such signal,
 *    of whatever name, ends the process with exit code 1.
 * 3. What came before (`early-signals.ts`) is taken over: listener first, count second, so that none falls between.
 * 4. After close() a late signal does no harm: a no-op listener stays. Excepted are the signals that people and
 *    supervisors end or stop any program with (SIGTERM, SIGINT, …): those get back what they did before.
 */
import { constants } from 'node:os';
import type { Ask, RequestOutcome } from '../checkpoint/request.js';
import { keepSigusr1Harmless, signalsArriveHere, sigusr1IsBlocked, takeOverEarlyRequests } from './early-signals.js';

export type SignalAction = 'checkpoint' | 'checkpoint-and-exit';

export interface SignalTrigger {
  /** The signals that are answered: none on Windows and in worker threads, no SIGUSR1 under --disable-sigusr1. */
  readonly names: readonly NodeJS.Signals[];
  /** Idempotent. */
  close(): void;
}

/** Cannot be caught, or report a fault of the process itself. */
const REFUSED: ReadonlySet<string> = new Set([
  'SIGKILL',
  'SIGSTOP',
  'SIGSEGV',
  'SIGBUS',
  'SIGFPE',
  'SIGILL',
  'SIGABRT',
  'SIGIOT',
  'SIGTRAP',
]);
/** End or stop any program; a program that has let go must obey them again (invariant 4). */
const DEFAULT_RETURNS: ReadonlySet<string> = new Set(['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGQUIT', 'SIGTSTP', 'SIGTTIN', 'SIGTTOU']);

const EARLY_IGNORED = 'a SIGUSR1 that came before the checkpointer was opened is ignored, because it is not among its signals';

/** Signals that already have a no-op listener of ours, so that closing again adds no second one. */
const harmless = new Set<string>();

/**
 * Answers the given signals from now on, those noted before included.
 * @throws TypeError for a name that is no signal or cannot be listened to, or an unknown action
 */
export function listenToSignals(actions: Readonly<Record<string, SignalAction>>, ask: Ask, log: (message: string) => void): SignalTrigger {
  if (!signalsArriveHere()) return { names: [], close: () => {} };
  const chosen = Object.entries(actions).map(([name, action]) => [checkedName(name), checkedAction(name, action)] as const);
  const exit = new ExitRequest(ask, log);
  const listeners = new Map<NodeJS.Signals, () => void>();
  for (const [name, action] of chosen) {
    if (name === 'SIGUSR1' && sigusr1IsBlocked()) {
      log('SIGUSR1 is not answered, because Node was started with --disable-sigusr1, which blocks it: leave the flag out or use SIGUSR2');
      continue;
    }
    const listener = action === 'checkpoint' ? oncePerBurst(() => ask({ reason: 'signal', exit: false })) : () => exit.signalled(name);
    listeners.set(name, listener);
    process.on(name, listener);
  }
  const early = takeOverEarlyRequests(listeners.get('SIGUSR1') ?? (() => log(EARLY_IGNORED)));
  return {
    names: [...listeners.keys()],
    close: () => {
      early.release();
      for (const [name, listener] of listeners) {
        keepHarmless(name);
        process.off(name, listener);
      }
      listeners.clear();
    },
  };
}

/** @throws TypeError as `listenToSignals` does, before anything depends on it */
export function assertSignals(actions: Readonly<Record<string, SignalAction>>): void {
  for (const [name, action] of Object.entries(actions)) {
    checkedName(name);
    checkedAction(name, action);
  }
}

function keepHarmless(name: NodeJS.Signals): void {
  if (name === 'SIGUSR1') keepSigusr1Harmless();
  if (name === 'SIGUSR1' || DEFAULT_RETURNS.has(name) || harmless.has(name)) return;
  harmless.add(name);
  process.on(name, () => {});
}

/** Calls at once, and once more after the turn when there were further calls in it (invariant 1). */
function oncePerBurst(call: () => void): () => void {
  let burst: 'none' | 'open' | 'again' = 'none';
  const begin = (): void => {
    burst = 'open';
    setImmediate(() => {
      const again = burst === 'again';
      burst = 'none';
      if (again) begin();
    }).unref();
    call();
  };
  return () => {
    if (burst === 'none') begin();
    else burst = 'again';
  };
}

/** The life of 'checkpoint-and-exit' requests (invariant 2). */
class ExitRequest {
  #state: 'none' | 'asked' | 'failed' = 'none';
  readonly #ask: Ask;
  readonly #log: (message: string) => void;

  constructor(ask: Ask, log: (message: string) => void) {
    this.#ask = ask;
    this.#log = log;
  }

  signalled(name: string): void {
    if (this.#state === 'asked') {
      this.#log(`${name}: a checkpoint before the exit is under way already`);
      return;
    }
    if (this.#state === 'failed') {
      this.#log(`${name}: the checkpoint before the exit had failed; exiting with code 1 without an image`);
      process.exit(1);
    }
    this.#state = 'asked';
    this.#ask({ reason: 'signal', exit: true, settled: (outcome) => this.#settled(name, outcome) });
  }

  #settled(name: string, outcome: RequestOutcome): void {
    if (outcome.ok) return;
    this.#state = 'failed';
    this.#log(
      `${name}: the checkpoint before the exit failed (${outcome.error.message}); the program goes on, another such signal ends it`,
    );
  }
}

function checkedName(name: string): NodeJS.Signals {
  if (Object.hasOwn(constants.signals, name) && !REFUSED.has(name)) {
    // Every key of os.constants.signals is one of Node's signal names.
    return name as NodeJS.Signals;
  }
  throw new TypeError(
    `signals: expected the name of a signal that can be listened to, such as 'SIGUSR1' or 'SIGTERM', got ${JSON.stringify(name)}`,
  );
}

function checkedAction(name: string, action: unknown): SignalAction {
  if (action === 'checkpoint' || action === 'checkpoint-and-exit') return action;
  throw new TypeError(`signals.${name}: expected 'checkpoint' or 'checkpoint-and-exit', got ${JSON.stringify(action) ?? String(action)}`);
}
