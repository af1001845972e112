/**
 * Members that members declare: started by the program like its own, with the member that declared them as parent.
 *
 * Invariants
 * 1. Each declaration is answered once: accepted, or refused with why.
 * 2. Only its parent is told of a member, and only its parent can dismiss it.
 */
import { packError } from '../base/error-transfer.js';
import type { MemberHandle, Participant } from '../members/participant.js';
import type { NestedNews, NestedOrder } from '../members/protocol.js';
import type { Members } from './members.js';

export class DeclaredByMembers {
  readonly #members: () => Pick<Members, 'worker' | 'fork'>;
  readonly #assertOpen: (call: string) => void;
  readonly #handles = new WeakMap<Participant, Map<number, MemberHandle>>();

  constructor(members: () => Pick<Members, 'worker' | 'fork'>, assertOpen: (call: string) => void) {
    this.#members = members;
    this.#assertOpen = assertOpen;
  }

  take(from: Participant, message: NestedOrder): void {
    const { id } = message;
    const tell = (news: NestedNews): void => from.post({ type: 'nested', id, news });
    const failed = (error: unknown): void => tell({ at: 'failed', error: packError(error) });
    if (message.type === 'dismiss') {
      const leaving = this.#handles.get(from)?.get(id)?.terminate() ?? Promise.resolve();
      leaving.then(() => tell({ at: 'gone' }), failed);
      return;
    }
    try {
      const handle = this.#declare(from, message);
      tell({ at: 'accepted', pid: handle.pid });
      handle.done.then(() => tell({ at: 'done' }), failed);
      const handles = this.#handles.get(from) ?? new Map<number, MemberHandle>();
      this.#handles.set(from, handles.set(id, handle));
    } catch (error) {
      failed(error);
    }
  }

  #declare(from: Participant, { declaration }: Extract<NestedOrder, { type: 'declare' }>): MemberHandle {
    const { name, kind, url, place, opaque } = declaration;
    this.#assertOpen(`${kind === 'worker' ? 'worker' : 'fork'}('${name}') in member '${from.name}'`);
    const by = { place, parent: from.name };
    const policy = opaque === undefined ? {} : { opaque };
    if (kind === 'worker') return this.#members().worker(name, new URL(url), { workerData: declaration.workerData, ...policy }, by);
    return this.#members().fork(name, new URL(url), declaration.args, { ...declaration.options, ...policy }, by);
  }
}
