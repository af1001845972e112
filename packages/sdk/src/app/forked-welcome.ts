/**
 * The welcome of a forked member: a thread takes the stream to the program, and this process talks to that thread as a
 * worker member talks to its program.
 *
 * Invariants
 * 1. Processes and threads that this one starts are no members: what marks it as one is taken away.
 * 2. The welcome does not come by the port: a port that was listened to once would drop what comes before the next listener.
 * 3. An ordinary end waits until the program has what was sent.
 */
import { MessageChannel, Worker } from 'node:worker_threads';
import type { ForkedWelcome } from '../members/outline.js';
import { MEMBER_SHARED, MEMBER_VARIABLE, memberMemory, slotsOf, type Welcome } from '../members/protocol.js';

export function isForkedMember(): boolean {
  return process.env[MEMBER_VARIABLE] !== undefined;
}

/** Resolves when the program has told what this member starts from. */
export function takeForkedWelcome(): Promise<Welcome> {
  delete process.env[MEMBER_VARIABLE];
  const memory = memberMemory();
  const slots = slotsOf(memory);
  const { port1, port2 } = new MessageChannel();
  // Beside the file of whichever entry this is part of, as tsup.config.ts arranges.
  const link = new Worker(new URL('./member-link.js', import.meta.url), { workerData: { port: port2, memory }, transferList: [port2] });
  process.once('exit', () => {
    Atomics.store(slots, MEMBER_SHARED.LEAVING, 1);
    Atomics.notify(slots, MEMBER_SHARED.LEAVING);
    Atomics.wait(slots, MEMBER_SHARED.LEAVING, 1); // ends when the program has read all, or is gone
  });
  return new Promise((resolve) => {
    link.once('message', (welcome: ForkedWelcome) => {
      for (const signal of welcome.signals) process.on(signal, () => {});
      resolve({ ...welcome, shared: [], port: port1, attention: memory });
    });
    link.unref(); // a program that does not join is not held
  });
}
