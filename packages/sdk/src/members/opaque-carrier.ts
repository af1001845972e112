/**
 * What an opaque child runs in: a thread or a process as for members, without a way to talk to it.
 *
 * Invariants
 * 1. A process is recorded in the store before its program begins, and its program never begins without the record: a shell
 *    holds its place, which is left by exec, so that the number of the process and the time of its start stay the same.
 * 2. The marks of members are not handed on to it; its own mark makes joinCheckpointer() refuse with a reason.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { Duplex } from 'node:stream';
import { setEnvironmentData, Worker } from 'node:worker_threads';
import { messageOf } from '../base/errors.js';
import { type Carrier, type CarrierEvents, descriptorOf, type MemberEntry, whyEnded } from './carrier.js';
import { LINK_FD, MEMBER_VARIABLE, OPAQUE_MARK, OPAQUE_VARIABLE } from './protocol.js';

export function launchOpaque(name: string, entry: MemberEntry, events: CarrierEvents): Carrier {
  return entry.kind === 'worker' ? startWorker(name, entry, events) : startProcess(name, entry, events);
}

function startWorker(name: string, entry: Extract<MemberEntry, { kind: 'worker' }>, events: CarrierEvents): Carrier {
  setEnvironmentData(OPAQUE_MARK, name);
  let worker: Worker;
  try {
    worker = new Worker(entry.url, { workerData: entry.workerData, name });
  } finally {
    setEnvironmentData(OPAQUE_MARK, undefined);
  }
  worker.on('error', (error) => events.failed(messageOf(error), error));
  worker.on('exit', (code) => events.exited(code === 0 ? undefined : `its thread exited with code ${code}`));
  return { pid: undefined, descriptors: () => [], terminate: async () => void (await worker.terminate()) };
}

const SHELL = '/bin/sh';
/** Waits for a line from the program, which says that the process is recorded; ends when the program is gone before. */
const GATE = `read -r recorded <&${LINK_FD} && exec ${LINK_FD}<&- && exec "$0" "$@"`;

function startProcess(name: string, entry: Extract<MemberEntry, { kind: 'process' }>, events: CarrierEvents): Carrier {
  const { execArgv = process.execArgv, cwd, env } = entry.options;
  const gated = { execPath: SHELL, execArgv: ['-c', GATE, process.execPath, ...execArgv] };
  const child = fork(entry.url, [...entry.args], {
    ...(process.platform === 'win32' ? { execArgv: [...execArgv] } : gated),
    ...(cwd === undefined ? {} : { cwd }),
    env: { ...process.env, ...env, [MEMBER_VARIABLE]: undefined, [OPAQUE_VARIABLE]: name },
    stdio: ['inherit', 'inherit', 'inherit', 'ipc', 'pipe'],
  });
  const gate: unknown = child.stdio[LINK_FD];
  const recorded = whenRecorded(child, gate, events);
  const ended = new Promise<string | undefined>((resolve) => {
    child.once('error', (error) => resolve(messageOf(error)));
    child.once('exit', (code, signal) => resolve(whyEnded(code, signal)));
  }).then(async (why) => {
    await (await recorded)();
    events.exited(why);
  });
  return {
    pid: child.pid,
    descriptors: () => descriptorOf(child.channel),
    terminate: async () => {
      child.kill('SIGKILL');
      await ended;
    },
  };
}

/** Invariant 1. @returns what removes the record */
async function whenRecorded(child: ChildProcess, gate: unknown, events: CarrierEvents): Promise<() => Promise<void>> {
  if (!(gate instanceof Duplex) || child.pid === undefined) return async () => {};
  gate.on('error', () => {}); // it has ended already, which is told by its exit
  try {
    const forget = await events.forked(child.pid);
    gate.end('recorded\n');
    return forget;
  } catch (error) {
    events.failed(messageOf(error), error);
    child.kill('SIGKILL');
    return async () => {};
  }
}
