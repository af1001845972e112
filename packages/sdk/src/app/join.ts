/**
 * joinCheckpointer: how the program of a member takes its place in the set.
 *
 * Invariants
 * 1. The first message of the thread is ours where environment data says so: it is taken when this file is loaded, before
 *    the member's program can listen to its own.
 */
import { getEnvironmentData, isMainThread, parentPort, receiveMessageOnPort, setEnvironmentData } from 'node:worker_threads';
import { CheckpointError } from '../base/errors.js';
import { systemClock } from '../base/system-ports.js';
import { KeepAlive } from '../checkpoint/keep-alive.js';
import { MEMBER_MARK, OPAQUE_MARK, OPAQUE_VARIABLE, type Welcome } from '../members/protocol.js';
import { isForkedMember, takeForkedWelcome } from './forked-welcome.js';
import { MemberCheckpointer, notJoined } from './member-checkpointer.js';
import { MemberLife } from './member-life.js';

const welcome: Welcome | Promise<Welcome> | undefined = takeWelcome();
let joined = false;

function takeWelcome(): Welcome | Promise<Welcome> | undefined {
  if (isMainThread) return isForkedMember() ? takeForkedWelcome() : undefined;
  if (parentPort === null || getEnvironmentData(MEMBER_MARK) === undefined) return undefined;
  setEnvironmentData(MEMBER_MARK, undefined); // threads that this one starts are none of ours
  return receiveMessageOnPort(parentPort)?.message as Welcome | undefined; // members/participant.ts posts it right after it has made the thread
}

/**
 * Joins the checkpoint set that this thread or process was started for.
 * @throws CheckpointError ERR_CKPT_MEMBER when nobody started it as a member, ERR_CKPT_EXISTS the second time, ERR_CKPT_DECODE
 */
export async function joinCheckpointer(): Promise<MemberCheckpointer> {
  if (welcome === undefined) throw notJoined(opaqueName());
  if (joined) {
    throw new CheckpointError('ERR_CKPT_EXISTS', `joinCheckpointer(): this member has joined already; call it once`, { phase: 'open' });
  }
  joined = true;
  return new MemberCheckpointer(new MemberLife(await held(welcome)));
}

function opaqueName(): string | undefined {
  const name: unknown = isMainThread ? process.env[OPAQUE_VARIABLE] : getEnvironmentData(OPAQUE_MARK);
  return typeof name === 'string' ? name : undefined;
}

/** The event loop is held while somebody awaits the welcome. */
async function held(welcome: Welcome | Promise<Welcome>): Promise<Welcome> {
  return welcome instanceof Promise ? await new KeepAlive(systemClock).during(welcome) : welcome;
}
