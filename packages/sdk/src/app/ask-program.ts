/**
 * checkpoint() in a member: asks the program, and stands at a safepoint until the capture is over.
 *
 * Invariants
 * 1. The task stands from the call to the capture, or to the failure, and no longer; the call itself lasts until the commit.
 * 2. A caller that gives up is let go as soon as the set lets it.
 */
import { unpackError } from '../base/error-transfer.js';
import { CheckpointError } from '../base/errors.js';
import type { Place } from '../base/place.js';
import type { KeepAlive } from '../checkpoint/keep-alive.js';
import type { CheckpointResult } from '../checkpoint/request.js';
import type { MemberAgent } from '../members/agent.js';
import type { ToMember } from '../members/protocol.js';
import type { CheckpointOptions } from './arguments.js';

interface Open {
  readonly captured: () => void;
  readonly settled: (outcome: Extract<ToMember, { type: 'ask-settled' }>['outcome']) => void;
}

export class AskProgram {
  readonly #agent: () => MemberAgent;
  readonly #keepAlive: KeepAlive;
  readonly #open = new Map<number, Open>();
  #asked = 0;

  constructor(agent: () => MemberAgent, keepAlive: KeepAlive) {
    this.#agent = agent;
    this.#keepAlive = keepAlive;
  }

  take(message: Extract<ToMember, { type: 'ask-captured' | 'ask-settled' }>): void {
    const open = this.#open.get(message.id);
    if (message.type === 'ask-captured') open?.captured();
    else open?.settled(message.outcome);
  }

  /** @throws CheckpointError whatever the checkpoint fails with, ERR_CKPT_ABORTED */
  async ask(
    task: string,
    place: Place,
    name: string | undefined,
    { signal, replace = false }: CheckpointOptions,
  ): Promise<CheckpointResult> {
    if (signal?.aborted === true) throw aborted(signal);
    const id = ++this.#asked;
    const agent = this.#agent();
    let left: Promise<void> | undefined;
    // Handlers may run longer than the commit takes: whoever is told of it waits for them all the same.
    const leave = (): Promise<void> => {
      left ??= Promise.resolve(agent.gate.leave(task, 'call'));
      return left;
    };
    const outcome = new Promise<CheckpointResult>((resolve, reject) => {
      const abort = (): void => {
        this.#open.delete(id);
        agent.post({ type: 'withdraw', id });
        void leave().then(() => reject(aborted(signal)));
      };
      signal?.addEventListener('abort', abort, { once: true });
      this.#open.set(id, {
        captured: () => void leave(),
        settled: (settled) => {
          this.#open.delete(id);
          signal?.removeEventListener('abort', abort);
          // Made of a CheckpointResult by app/asked-by-members.ts.
          void leave().then(() => (settled.ok ? resolve(settled.result as CheckpointResult) : reject(unpackError(settled.error))));
        },
      });
    });
    agent.post({ type: 'ask', id, name, replace });
    agent.gate.arrive(task, place, 'call');
    return await this.#keepAlive.during(outcome);
  }
}

function aborted(signal: AbortSignal | undefined): CheckpointError {
  return new CheckpointError('ERR_CKPT_ABORTED', 'checkpoint(): the given signal was aborted before the image was committed', {
    phase: 'request',
    cause: signal?.reason,
  });
}
