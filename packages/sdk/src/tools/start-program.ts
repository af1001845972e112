/**
 * Starting a program as a child and standing in for it until it ends.
 *
 * Invariants
 * 1. Signals that ask this process to end reach the program exactly once: Ctrl-C at a terminal goes to both by itself
 *    and is not passed on again, because a second such signal may mean something else to the program.
 * 2. SIGUSR1 and SIGUSR2 are passed on only once the program has recorded itself as ready: before, they would kill it
 *    or open Node's inspector.
 * 3. The exit code is the program's own; a death by signal n is 128 + n.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { constants } from 'node:os';
import { CheckpointError, systemCode } from '../base/errors.js';
import type { StartCommand, Store } from '../store/contract.js';

export interface ProgramExit {
  /** The program's exit code, or 128 + n when signal n ended it. */
  readonly exitCode: number;
  readonly signal: NodeJS.Signals | undefined;
  readonly pid: number;
}

export interface ProgramStart {
  readonly command: StartCommand;
  readonly environment: Readonly<Record<string, string>>;
  readonly stdio: 'inherit' | 'ignore';
  readonly store: Store;
}

const ENDING = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const;
const ASKING = ['SIGUSR1', 'SIGUSR2'] as const;

export async function runProgram({ command, environment, stdio, store }: ProgramStart): Promise<ProgramExit> {
  const child = spawn(command.execPath, [...command.execArgv, ...command.argv], {
    cwd: command.cwd,
    env: { ...process.env, ...environment },
    stdio,
  });
  const stopForwarding = forwardSignals(child, store);
  try {
    return await exitOf(child, command);
  } finally {
    stopForwarding();
  }
}

function exitOf(child: ChildProcess, command: StartCommand): Promise<ProgramExit> {
  return new Promise((resolve, reject) => {
    child.once('error', (cause) => {
      const found = systemCode(cause) ?? cause.message;
      reject(
        new CheckpointError('ERR_CKPT_IO', `restart: cannot start ${command.execPath} in ${command.cwd} (${found})`, {
          cause,
          path: command.execPath,
        }),
      );
    });
    child.once('exit', (code, signal) => {
      const exitCode = code ?? (signal === null ? 1 : 128 + constants.signals[signal]);
      resolve({ exitCode, signal: signal ?? undefined, pid: child.pid ?? 0 });
    });
  });
}

function forwardSignals(child: ChildProcess, store: Store): () => void {
  const shared = process.stdin.isTTY;
  const listeners = new Map<NodeJS.Signals, () => void>();
  for (const signal of ENDING) {
    const fromTerminal = shared && signal !== 'SIGTERM';
    listeners.set(signal, () => void (fromTerminal || child.kill(signal)));
  }
  for (const signal of ASKING) listeners.set(signal, () => void passOnWhenReady(child, store, signal));
  if (process.platform === 'win32') for (const signal of ASKING) listeners.delete(signal);
  for (const [signal, listener] of listeners) process.on(signal, listener);
  return () => {
    for (const [signal, listener] of listeners) process.removeListener(signal, listener);
  };
}

/** A child's pid cannot be reused before its exit has been seen here, so `child.kill` never meets another process. */
async function passOnWhenReady(child: ChildProcess, store: Store, signal: NodeJS.Signals): Promise<void> {
  const owner = await store.owner().catch(() => undefined);
  if (owner?.ready !== undefined && owner.record.owner.pid === child.pid) child.kill(signal);
}
