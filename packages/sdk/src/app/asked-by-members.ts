/**
 * Checkpoints that members ask for: handed to the conductor as if the program had asked, and answered to the member.
 *
 * Invariants
 * 1. Each is answered once. Those of several members that come together share one image, as all requests do.
 */
import { packError } from '../base/error-transfer.js';
import { CheckpointError } from '../base/errors.js';
import type { Conductor } from '../checkpoint/conductor.js';
import type { CheckpointRequest } from '../checkpoint/request.js';
import type { Participant } from '../members/participant.js';
import type { FromMember } from '../members/protocol.js';

export class AskedByMembers {
  readonly #conductor: () => Conductor;
  readonly #open = new Map<string, CheckpointRequest>();

  constructor(conductor: () => Conductor) {
    this.#conductor = conductor;
  }

  take(from: Participant, message: Extract<FromMember, { type: 'ask' | 'withdraw' }>): void {
    const key = JSON.stringify([from.name, message.id]);
    if (message.type === 'ask') this.#ask(from, key, message);
    else this.#withdraw(from, key);
  }

  #ask(from: Participant, key: string, { id, name, replace }: Extract<FromMember, { type: 'ask' }>): void {
    const request: CheckpointRequest = {
      reason: 'call',
      exit: false,
      replace,
      ...(name === undefined ? {} : { name }),
      captured: () => from.post({ type: 'ask-captured', id }),
      settled: (outcome) => {
        this.#open.delete(key);
        from.post({ type: 'ask-settled', id, outcome: outcome.ok ? outcome : { ok: false, error: packError(outcome.error) } });
      },
    };
    this.#open.set(key, request);
    this.#conductor().ask(request);
  }

  #withdraw(from: Participant, key: string): void {
    const request = this.#open.get(key);
    if (request === undefined) return;
    const message = `checkpoint() of member '${from.name}': its signal was aborted before the image was committed`;
    this.#conductor().withdraw(request, new CheckpointError('ERR_CKPT_ABORTED', message, { member: from.name, phase: 'request' }));
  }
}
