/**
 * What a member runs in: a thread of this process, or a process of its own.
 *
 * Invariants
 * 1. The member's end of the control port is given to it with the welcome, before its program can say anything; a process gets
 *    the welcome before all that the program says meanwhile.
 * 2. A forked process is recorded in the store before it is welcomed, and never without it.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { Duplex } from 'node:stream';
import { type MessagePort, setEnvironmentData, Worker } from 'node:worker_threads';
import { messageOf } from '../base/errors.js';
import { Bridge } from './bridge.js';
import { handedOver } from './parts.js';
import { type ForkOptions, LINK_FD, MEMBER_MARK, MEMBER_VARIABLE, type Welcome } from './protocol.js';

export type MemberEntry =
  | { readonly kind: 'worker'; readonly url: URL; readonly workerData: unknown }
  | { readonly kind: 'process'; readonly url: URL; readonly args: readonly string[]; readonly options: ForkOptions };

/** What the program tells a member, beside the ways to talk to it. */
export type Greeting = Omit<Welcome, 'type' | 'kind' | 'port' | 'attention' | 'name'>;

export interface CarrierEvents {
  readonly failed: (why: string, cause: unknown) => void;
  /** @param why undefined for an ordinary end */
  readonly exited: (why: string | undefined) => void;
  /** Records a forked process. @returns what removes the record */
  readonly forked: (pid: number) => Promise<() => Promise<void>>;
}

export interface Carrier {
  readonly pid: number | undefined;
  /** Of what connects the program with a process. */
  readonly descriptors: () => readonly number[];
  terminate(): Promise<void>;
}

interface Launch<E extends MemberEntry> {
  readonly name: string;
  readonly entry: E;
  readonly port: MessagePort;
  readonly memory: SharedArrayBuffer;
  readonly greeting: Greeting;
  readonly events: CarrierEvents;
}

export function launch({ entry, ...parts }: Launch<MemberEntry>): Carrier {
  return entry.kind === 'worker' ? startWorker({ ...parts, entry }) : startProcess({ ...parts, entry });
}

function startWorker({ name, entry, port, memory, greeting, events }: Launch<Extract<MemberEntry, { kind: 'worker' }>>): Carrier {
  setEnvironmentData(MEMBER_MARK, name);
  let worker: Worker;
  try {
    worker = new Worker(entry.url, { workerData: entry.workerData, name });
  } finally {
    setEnvironmentData(MEMBER_MARK, undefined);
  }
  const welcome: Welcome = { ...greeting, type: 'welcome', kind: 'worker', name, port, attention: memory };
  worker.postMessage(welcome, [port, ...handedOver(greeting)]);
  worker.on('error', (error) => events.failed(messageOf(error), error));
  worker.on('exit', (code) => events.exited(code === 0 ? undefined : `its thread exited with code ${code}`));
  return {
    pid: undefined,
    descriptors: () => [],
    terminate: async () => void (await worker.terminate()),
  };
}

/** How long what a process has left in the stream may take after its exit. */
const LEFT_MS = 1_000;

function startProcess({ name, entry, port, memory, greeting, events }: Launch<Extract<MemberEntry, { kind: 'process' }>>): Carrier {
  const { execArgv, cwd, env } = entry.options;
  const child = fork(entry.url, [...entry.args], {
    ...(execArgv === undefined ? {} : { execArgv: [...execArgv] }),
    ...(cwd === undefined ? {} : { cwd }),
    env: { ...process.env, ...env, [MEMBER_VARIABLE]: name },
    stdio: ['inherit', 'inherit', 'inherit', 'ipc', 'pipe'],
  });
  const stream: unknown = child.stdio[LINK_FD];
  if (!(stream instanceof Duplex)) throw new TypeError(`fork('${name}'): the child has no stream to this process`); // made two lines above
  const bridge = new Bridge({
    port,
    stream,
    memory,
    broken: (why, cause) => {
      events.failed(why, cause);
      child.kill('SIGKILL');
    },
  });
  if ('unref' in stream && typeof stream.unref === 'function') stream.unref();
  const { shared: _, ...greetings } = greeting;
  const welcomed = whenRecorded(child, events, () => {
    bridge.welcome({ ...greetings, type: 'welcome', kind: 'process', name });
    bridge.forward();
    port.unref();
  });
  const ended = endOf(child, stream).then(async (why) => {
    await (await welcomed)();
    return why;
  });
  void ended.then((why) => {
    events.exited(why);
    bridge.close();
  });
  return {
    pid: child.pid,
    descriptors: () => [...descriptorOf(child.channel), ...descriptorOf('_handle' in stream ? stream._handle : undefined)],
    terminate: async () => {
      child.kill('SIGKILL');
      await ended;
    },
  };
}

/** Invariant 2. @returns what removes the record */
async function whenRecorded(child: ChildProcess, events: CarrierEvents, welcome: () => void): Promise<() => Promise<void>> {
  if (child.pid === undefined) return async () => {};
  try {
    const forget = await events.forked(child.pid);
    welcome();
    return forget;
  } catch (error) {
    events.failed(messageOf(error), error);
    child.kill('SIGKILL');
    return async () => {};
  }
}

/** Resolves once the process is gone and what it has sent is read. @returns why it ended, undefined for code 0 */
async function endOf(child: ChildProcess, stream: Duplex): Promise<string | undefined> {
  const why = await new Promise<string | undefined>((resolve) => {
    child.once('error', (error) => resolve(messageOf(error)));
    child.once('exit', (code, signal) => resolve(whyEnded(code, signal)));
  });
  if (stream.readableEnded || stream.destroyed) return why;
  await new Promise<void>((resolve) => {
    const late = setTimeout(resolve, LEFT_MS);
    stream.once('close', () => {
      clearTimeout(late);
      resolve();
    });
  });
  return why;
}

/** @returns undefined for an ordinary end */
export function whyEnded(code: number | null, signal: NodeJS.Signals | null): string | undefined {
  if (signal !== null) return `its process was ended by ${signal}`;
  return code === 0 ? undefined : `its process exited with code ${code}`;
}

/** Node keeps the numbers of such handles out of its types. */
export function descriptorOf(handle: unknown): readonly number[] {
  if (typeof handle !== 'object' || handle === null || !('fd' in handle)) return [];
  return typeof handle.fd === 'number' && handle.fd >= 0 ? [handle.fd] : [];
}
