/**
 * The thread of a forked member that keeps the stream to its program: what arrives shows at once, also in synchronous loops.
 *
 * Invariants
 * 1. When the program is gone the process ends, at once and whatever its own thread does: a life after may have begun.
 * 2. The process is gone only after the program has read all that the member had sent: the program then ends the stream too.
 *    One that is closed earlier breaks while the program still writes, and what it had not read is lost.
 * 3. What the member is doing is told while a checkpoint gathers.
 */
import { Socket } from 'node:net';
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { systemClock } from './base/system-ports.js';
import { Bridge } from './members/bridge.js';
import { handedOver } from './members/parts.js';
import { LINK_FD, MEMBER_SHARED, slotsOf, stepOf } from './members/protocol.js';
import { Ticker } from './triggers/ticker.js';

/** Made by app/forked-welcome.ts. */
const { port, memory }: { readonly port: MessagePort; readonly memory: SharedArrayBuffer } = workerData;

const LOOK_MS = 5;
const slots = slotsOf(memory);
const step = stepOf(memory);
let looking: NodeJS.Timeout | undefined;
let told: { readonly step: number | undefined; readonly receiving: number } | undefined;

function end(): void {
  process.kill(process.pid, 'SIGKILL');
}

const stream = new Socket({ fd: LINK_FD, readable: true, writable: true });
const bridge = new Bridge({
  port,
  stream,
  memory,
  broken: end,
  welcome: (welcome) => parentPort?.postMessage(welcome, handedOver(welcome)),
  arrived: ({ type }) => {
    if (type === 'quiesce') looking ??= setInterval(tell, LOOK_MS);
    if (type !== 'resume') return;
    clearInterval(looking);
    looking = undefined;
  },
});

bridge.forward();

/** Invariant 3. */
function tell(): void {
  const seen = { step: step[0], receiving: Atomics.load(slots, MEMBER_SHARED.RECEIVING) };
  if (seen.step === undefined || (told?.step === seen.step && told.receiving === seen.receiving)) return;
  told = seen;
  bridge.write({ type: 'seen', step: seen.step, receiving: seen.receiving });
}

stream.on('close', () => {
  if (Atomics.load(slots, MEMBER_SHARED.LEAVING) === 0) end();
  Atomics.store(slots, MEMBER_SHARED.LEAVING, 2);
  Atomics.notify(slots, MEMBER_SHARED.LEAVING);
});

const leaving = Atomics.waitAsync(slots, MEMBER_SHARED.LEAVING, 0);
if (leaving.async) void leaving.value.then(() => bridge.end());
else bridge.end();

new Ticker(systemClock, slots, MEMBER_SHARED.ATTENTION).start();
