/**
 * Members that a member declares: the program starts them, this side holds their handles by name.
 *
 * Invariants
 * 1. What is declared before start() is accepted, or refused, before start() goes on.
 * 2. One that runs keeps the event loop of its parent going, as a thread that the parent had started itself would.
 */
import { resolve as resolvePath } from 'node:path';
import { pathToFileURL } from 'node:url';
import { unpackError } from '../base/error-transfer.js';
import { CheckpointError } from '../base/errors.js';
import type { Place } from '../base/place.js';
import type { KeepAlive } from '../checkpoint/keep-alive.js';
import type { MemberAgent } from '../members/agent.js';
import type { MemberHandle } from '../members/participant.js';
import { MEMBER_VARIABLE, type NestedDeclaration, type ToMember } from '../members/protocol.js';
import type { ChildOptions, MemberProgram, WorkerOptions } from './member-options.js';

type News = Extract<ToMember, { type: 'nested' }>;

interface NestedParts {
  readonly member: string;
  readonly kind: 'worker' | 'process';
  readonly agent: () => MemberAgent;
  readonly keepAlive: KeepAlive;
}

export class NestedMembers {
  readonly #parts: NestedParts;
  readonly #handles = new Map<number, NestedHandle>();
  #declared = 0;

  constructor(parts: NestedParts) {
    this.#parts = parts;
  }

  /** @throws CheckpointError ERR_CKPT_MEMBER in a forked member */
  worker(name: string, program: MemberProgram, { workerData, opaque }: WorkerOptions, place: Place): MemberHandle {
    const { member, kind } = this.#parts;
    if (kind === 'process') {
      const message = `worker('${name}') in member '${member}': a thread of a forked process cannot be a member; declare it in the program, or fork() it here`;
      throw new CheckpointError('ERR_CKPT_MEMBER', message, { member: name, phase: 'register' });
    }
    return this.#declare({ name, kind: 'worker', url: new URL(program).href, workerData, ...ofOpaque(opaque), place: String(place) });
  }

  /** Everything that a process has from the one that starts it is this member's. */
  fork(name: string, program: MemberProgram, args: readonly string[], options: ChildOptions, place: Place): MemberHandle {
    const url = typeof program === 'string' && !URL.canParse(program) ? pathToFileURL(program) : new URL(program);
    const { [MEMBER_VARIABLE]: _, ...own } = process.env;
    const env = Object.fromEntries(
      Object.entries({ ...own, ...options.env }).flatMap(([key, value]) => (value === undefined ? [] : [[key, value]])),
    );
    const given = { execArgv: [...(options.execArgv ?? process.execArgv)], cwd: resolvePath(options.cwd ?? '.'), env };
    const declaration = { name, kind: 'process', url: url.href, args: [...args], options: given } as const;
    return this.#declare({ ...declaration, ...ofOpaque(options.opaque), place: String(place) });
  }

  /** Invariant 1. @throws CheckpointError ERR_CKPT_EXISTS, ERR_CKPT_UNSUPPORTED_VALUE */
  async accepted(): Promise<void> {
    for (const handle of this.#handles.values()) await handle.accepted;
  }

  take({ id, news }: News): void {
    this.#handles.get(id)?.take(news);
  }

  #declare(declaration: NestedDeclaration): MemberHandle {
    const id = ++this.#declared;
    const { agent, keepAlive } = this.#parts;
    // Before there is a handle: data that cannot be handed over throws here.
    agent().post({ type: 'declare', id, declaration });
    const handle = new NestedHandle(declaration.name, () => agent().post({ type: 'dismiss', id }), keepAlive);
    this.#handles.set(id, handle);
    return handle;
  }
}

class NestedHandle implements MemberHandle {
  readonly name: string;
  readonly done: Promise<void>;
  readonly accepted: Promise<void>;
  pid: number | undefined;
  readonly #dismiss: () => void;
  readonly #keepAlive: KeepAlive;
  #settle: { readonly done: () => void; readonly failed: (error: Error) => void } = { done: () => {}, failed: () => {} };
  #answer: { readonly yes: () => void; readonly no: (error: Error) => void } = { yes: () => {}, no: () => {} };
  #gone: () => void = () => {};
  #leaving: Promise<void> | undefined;

  constructor(name: string, dismiss: () => void, keepAlive: KeepAlive) {
    this.name = name;
    this.#dismiss = dismiss;
    this.#keepAlive = keepAlive;
    this.accepted = new Promise((yes, no) => {
      this.#answer = { yes, no };
    });
    this.done = new Promise((done, failed) => {
      this.#settle = { done, failed };
    });
    this.accepted.catch(() => {}); // start() tells it, and `done` in any case
    keepAlive.during(this.done).catch(() => {}); // invariant 2; the program tells of it
  }

  take(news: News['news']): void {
    switch (news.at) {
      case 'accepted':
        this.pid = news.pid;
        this.#answer.yes();
        return;
      case 'done':
        this.#settle.done();
        return;
      case 'failed': {
        const error = unpackError(news.error);
        this.#answer.no(error);
        this.#settle.failed(error);
        return;
      }
      case 'gone':
        this.#settle.done();
        this.#gone();
    }
  }

  terminate(): Promise<void> {
    this.#leaving ??= this.#keepAlive.during(
      new Promise<void>((gone) => {
        this.#gone = gone;
        this.#dismiss();
      }),
    );
    return this.#leaving;
  }
}

function ofOpaque(opaque: WorkerOptions['opaque']): Pick<NestedDeclaration, 'opaque'> {
  return opaque === undefined || opaque === 'error' ? {} : { opaque };
}
