/**
 * joinCheckpointer: how the program of a worker member takes its place in the set.
 *
 * Invariants
 * 1. The first message of the thread is ours where environment data says so: it is taken when this file is loaded, before
 *    the member's program can listen to its own.
 */
import { getEnvironmentData, parentPort, receiveMessageOnPort, setEnvironmentData } from 'node:worker_threads';
import { CheckpointError } from '../base/errors.js';
import { MEMBER_MARK, type Welcome } from '../members/protocol.js';
import { MemberCheckpointer, notJoined } from './member-checkpointer.js';
import { MemberLife } from './member-life.js';

const welcome = takeWelcome();
let joined = false;

function takeWelcome(): Welcome | undefined {
  if (parentPort === null || getEnvironmentData(MEMBER_MARK) === undefined) return undefined;
  setEnvironmentData(MEMBER_MARK, undefined); // threads that this one starts are none of ours
  return receiveMessageOnPort(parentPort)?.message as Welcome | undefined; // members/participant.ts posts it right after it has made the thread
}

/**
 * Joins the checkpoint set that this thread was started for.
 * @throws CheckpointError ERR_CKPT_MEMBER when nobody started it as a member, ERR_CKPT_EXISTS the second time, ERR_CKPT_DECODE
 */
export async function joinCheckpointer(): Promise<MemberCheckpointer> {
  if (welcome === undefined) throw notJoined();
  if (joined) {
    throw new CheckpointError('ERR_CKPT_EXISTS', `joinCheckpointer(): member '${welcome.name}' has joined already; call it once`, {
      member: welcome.name,
      phase: 'open',
    });
  }
  joined = true;
  return new MemberCheckpointer(new MemberLife(welcome));
}
