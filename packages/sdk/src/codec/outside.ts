/**
 * Objects of Node.js that stand for something outside of the state, and the calls that take these things.
 *
 * Invariants
 * 1. A class is known by itself, never by its name: a program's own `Worker` is no worker. What extends one of them is one.
 * 2. Nothing of the program runs.
 */
import { types } from 'node:util';

export const LEAVE_OUT = 'keep it outside the registered state and make it anew after a restart';

const FILE = 'open the file with ckpt.file(name, path)';
const CHANNEL = 'use ckpt.channel(name, peer) in its place';

/** Class by module (WebAssembly: the global of that name) and name. */
const CALLS: readonly (readonly [module: string, name: string, remedy: string])[] = [
  ['WebAssembly', 'Memory', 'register it with ckpt.wasm(name, memory), and keep nothing of it in the state'],
  ['WebAssembly', 'Instance', 'register its memory with ckpt.wasm(name, memory), and make the instance anew after a restart'],
  ['WebAssembly', 'Global', 'register it with ckpt.wasm(name, memory, { globals })'],
  ['WebAssembly', 'Module', LEAVE_OUT],
  ['WebAssembly', 'Table', LEAVE_OUT],
  ['node:worker_threads', 'Worker', 'start it with ckpt.worker(name, url), and ask ckpt.member(name) for it'],
  ['node:worker_threads', 'MessagePort', CHANNEL],
  ['node:worker_threads', 'MessageChannel', CHANNEL],
  ['node:worker_threads', 'BroadcastChannel', CHANNEL],
  ['node:child_process', 'ChildProcess', 'start it with ckpt.fork(name, path), and ask ckpt.member(name) for it'],
  ['node:fs', 'WriteStream', FILE],
  ['node:fs', 'ReadStream', FILE],
  ['node:net', 'Socket', LEAVE_OUT],
  ['node:net', 'Server', LEAVE_OUT],
  ['node:dgram', 'Socket', LEAVE_OUT],
];

let known: ReadonlyMap<unknown, string> | undefined;

/** Only where something is refused: loading these modules takes time. */
function knownClasses(): ReadonlyMap<unknown, string> {
  const timer = setTimeout(() => {}, 0);
  clearTimeout(timer);
  const found = new Map<unknown, string>([[timer.constructor, 'use ckpt.timer(name, ms, handler) in its place']]);
  for (const [module, name, remedy] of CALLS) {
    const space: unknown = module === 'WebAssembly' ? Reflect.get(globalThis, module) : process.getBuiltinModule(module);
    if (typeof space === 'object' && space !== null) found.set(Reflect.get(space, name), remedy);
  }
  found.delete(undefined);
  return found;
}

/** What to do in place of keeping the object in the state; undefined for any other object. */
export function outsideRemedy(value: object): string | undefined {
  known ??= knownClasses();
  let holder: object | null = value;
  for (let steps = 0; holder !== null && steps < 16 && !types.isProxy(holder); steps++) {
    const maker: unknown = Object.getOwnPropertyDescriptor(holder, 'constructor')?.value;
    const remedy = known.get(maker);
    if (remedy !== undefined) return remedy;
    if (isOpenFile(holder, maker)) return FILE;
    holder = Object.getPrototypeOf(holder);
  }
  return undefined;
}

/** Node.js does not tell its class of open files. */
function isOpenFile(prototype: object, maker: unknown): boolean {
  if (typeof maker !== 'function' || types.isProxy(maker)) return false;
  const name: unknown = Object.getOwnPropertyDescriptor(maker, 'name')?.value;
  return name === 'FileHandle' && Object.hasOwn(prototype, 'readableWebStream') && Object.hasOwn(prototype, 'getAsyncId');
}
