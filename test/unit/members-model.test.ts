/**
 * The protocol of a checkpoint set, in every order in which its messages can arrive: the code that ships (the set, its round and
 * participants, the members' agents and channels) in one thread, over ports whose deliveries are chosen one by one.
 *
 * Invariants
 * 1. Each choice concerns one party alone: a message that is delivered to it, or its next step. What a party is depends on its
 *    own sequence of choices only, so two orders with the same sequences for all are the same state, and looked at once.
 * 2. A channel's messages come when they are delivered, after whatever came over other ports; a safepoint sees what was posted.
 */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { MemberAgent as Agent } from '../../packages/sdk/src/members/agent.js';
import type { MemberSet as Members } from '../../packages/sdk/src/members/set.js';

interface Sent {
  readonly message: unknown;
}

class Port {
  readonly wire: unknown[] = [];
  peer: Port | undefined;
  owner = '';
  channel = false;
  #listen: ((message: unknown) => void) | undefined;
  readonly number: number;
  constructor(number: number) {
    this.number = number;
  }
  postMessage(message: unknown): void {
    this.peer?.wire.push(message);
  }
  on(event: string, listen: (message: unknown) => void): void {
    if (event === 'message') this.#listen = listen;
  }
  get listens(): boolean {
    return this.#listen !== undefined;
  }
  deliver(): void {
    this.#listen?.(this.wire.shift());
  }
  unref(): void {}
  close(): void {}
}

/** What the mocked rooms and the explorer share. */
const world = vi.hoisted(() => ({
  ports: [] as unknown[],
  launched: (_: {
    name: string;
    port: unknown;
    memory: SharedArrayBuffer;
    events: { failed(why: string, cause: unknown): void };
  }): void => {},
}));

vi.mock('node:worker_threads', async (original) => ({
  ...(await original<typeof import('node:worker_threads')>()),
  MessageChannel: class {
    readonly port1 = new Port(world.ports.length);
    readonly port2 = new Port(world.ports.length + 1);
    constructor() {
      this.port1.peer = this.port2;
      this.port2.peer = this.port1;
      world.ports.push(this.port1, this.port2);
    }
  },
  receiveMessageOnPort: (port: Port): Sent | undefined =>
    port.channel || port.wire.length === 0 ? undefined : { message: port.wire.shift() },
}));
vi.mock('../../packages/sdk/src/members/carrier.js', () => ({
  launch: (parts: Parameters<typeof world.launched>[0]) => {
    world.launched(parts);
    return { pid: undefined, descriptors: () => [], terminate: async () => {} };
  },
}));

const { seeded } = await import('../fixtures/seeded.js');
const { MemberAgent } = await import('../../packages/sdk/src/members/agent.js');
const { ChannelTable } = await import('../../packages/sdk/src/members/channel-table.js');
const { MEMBER_SHARED, slotsOf, stepOf } = await import('../../packages/sdk/src/members/protocol.js');
const { MemberSet } = await import('../../packages/sdk/src/members/set.js');
const { ManualClock } = await import('../fixtures/manual-clock.js');

/** Sends and receives of each member, by step: [channel's peer, what]. */
interface Shape {
  readonly name: string;
  /** Each member's steps; in `waits` a member receives inside of safe(). */
  readonly steps: readonly (readonly (readonly ['send' | 'receive', number])[])[];
  readonly waits: boolean;
  readonly dies?: number;
}

interface Snapshot {
  readonly sent: Record<string, number>;
  readonly received: Record<string, number>;
  readonly undelivered: readonly { readonly peer: string; readonly inbox: readonly unknown[]; readonly outbox: readonly unknown[] }[];
}

const nameOf = (member: number): string => `m${member}`;

/** One execution of the set. */
class Trial {
  readonly histories = new Map<string, string[]>();
  readonly ended = new Set<string>();
  readonly turns = new Map<string, () => void>();
  committed: readonly string[] | undefined;
  /** Who had finished when the checkpoint was committed. */
  finished: ReadonlySet<string> = new Set();
  /** What is in the image. */
  cut: ReadonlyMap<string, Snapshot> = new Map();
  refused: unknown;
  dead: string | undefined;
  set!: Members;
  #round: 'not yet' | 'on' | 'over' = 'not yet';
  #kill: (() => void) | undefined;
  readonly snapshots = new Map<string, Snapshot>();

  readonly shape: Shape;

  constructor(shape: Shape) {
    this.shape = shape;
  }

  async begin(): Promise<void> {
    world.ports.length = 0;
    const hooks = {
      assertOpen() {},
      task: () => 'main',
      whenGoingOn: (_task: string, take: () => void) => take(),
      during: <T>(work: Promise<T>) => work,
      safe: <T>(work: Promise<T>) => work,
      receiving() {},
      report() {},
      hurried: () => false,
    };
    const own = new ChannelTable('main', hooks, () => {});
    const clock = new ManualClock();
    world.launched = (parts) => this.#launched(parts);
    this.set = new MemberSet({
      clock,
      onMemberError: 'cancel',
      answerMs: 1e9,
      channels: () => own,
      welcome: () => ({}) as never, // the members of this test read none
      forked: async () => async () => {},
      advanced: () => this.#advance(),
      failed: (error) => this.#over(error),
      launched: () => {},
      nested: () => {},
      orphaned: () => {},
      asked: () => {},
      log: () => {},
    });
    const entry = { kind: 'worker', url: new URL('file:///none'), workerData: undefined } as const;
    for (const member of this.shape.steps.keys()) this.set.declare(nameOf(member), entry);
    void this.set.roster.launch().catch(() => {});
    for (const port of world.ports as Port[]) port.owner ||= 'main';
    await settle();
  }

  /** What can happen next. */
  choices(): string[] {
    const found = (world.ports as Port[]).filter(({ wire, listens }) => wire.length > 0 && listens).map(({ number }) => `port ${number}`);
    for (const name of this.turns.keys()) found.push(`turn ${name}`);
    if (this.#round === 'not yet') found.push('ask');
    if (vi.getTimerCount() > 0) found.push('look');
    if (this.#kill !== undefined && this.dead === undefined) found.push('die');
    return found;
  }

  isChannel(choice: string): boolean {
    return choice.startsWith('port ') && (world.ports as Port[])[Number(choice.slice(5))]?.channel === true;
  }

  async take(choice: string): Promise<void> {
    const [what = '', of = ''] = choice.split(' ');
    if (what === 'port') {
      const port = (world.ports as Port[])[Number(of)];
      this.#note(port?.owner ?? '', choice);
      port?.deliver();
    } else if (what === 'turn') {
      this.#note(of, `turn ${this.#seen(of)}`);
      const go = this.turns.get(of);
      this.turns.delete(of);
      go?.();
    } else if (what === 'look') {
      if (this.histories.get('main')?.at(-1)?.endsWith(` at ${this.#steps()}`) !== true) this.#note('main', choice);
      vi.advanceTimersByTime(5);
    } else if (what === 'die') {
      this.dead = nameOf(this.shape.dies ?? 0);
      this.turns.delete(this.dead);
      this.#note('main', 'die');
      this.#note(this.dead, 'die');
      for (const port of world.ports as Port[]) if (port.owner === this.dead) port.wire.splice(0);
      this.#kill?.();
    } else {
      this.#note('main', choice);
      this.#round = 'on';
      const refused = this.set.rounds.gather();
      if (refused === undefined) this.#advance();
      else this.#over(refused);
    }
    await settle();
    for (const port of world.ports as Port[]) port.owner ||= 'main';
  }

  key(): string {
    return JSON.stringify([...this.histories].sort());
  }

  /** Invariant 1: what a step of the member reads of others. */
  #seen(name: string): string {
    const ports = (world.ports as Port[]).filter(({ owner, channel }) => owner === name && !channel);
    return ports.map(({ wire }) => wire.length).join();
  }

  /** The program looks at the steps of all whenever something reaches it. */
  #note(party: string, what: string): void {
    const read = party === 'main' ? ` at ${this.#steps()}` : '';
    this.histories.set(party, [...(this.histories.get(party) ?? []), `${what}${read}`]);
  }

  #steps(): string {
    return this.set.roster
      .all()
      .map(({ passedStep }) => passedStep)
      .join();
  }

  #advance(): void {
    queueMicrotask(() => {
      if (this.#round !== 'on' || this.set.rounds.progress({ stands: true, step: undefined }) !== 'stopped') return;
      this.set.rounds.prepare('call', undefined)?.then(
        () => {
          this.committed = this.set.rounds.taken().map(([name]) => name);
          this.finished = new Set(this.ended);
          this.cut = new Map(this.snapshots);
          this.#over(undefined);
        },
        (error: unknown) => this.#over(error),
      );
    });
  }

  #over(refused: unknown): void {
    if (this.#round === 'over') return;
    this.#round = 'over';
    this.refused = refused;
    this.set.rounds.goOn();
  }

  #launched({ name, port, memory, events }: Parameters<typeof world.launched>[0]): void {
    const control = port as Port;
    control.owner = name;
    if (name === nameOf(this.shape.dies ?? -1)) this.#kill = () => events.failed('a death of the test', undefined);
    const counts = { sent: {} as Record<string, number>, received: {} as Record<string, number> };
    const shared = slotsOf(memory);
    const hooks = {
      assertOpen() {},
      task: () => name,
      whenGoingOn: (task: string, take: () => void): void => agent.gate.whenGoingOn(task, take),
      during: <T>(work: Promise<T>) => work,
      safe: <T>(work: Promise<T>) => agent.safe(name, work, 'channel'),
      receiving() {},
      report() {},
      hurried: () => agent.hurried,
    };
    const channels = new ChannelTable(name, hooks, (key) => agent.post({ type: 'channel', key }));
    const connect = channels.connect.bind(channels);
    channels.connect = (key, end) => {
      Object.assign(end, { owner: name, channel: true });
      connect(key, end);
    };
    const agent: Agent = new MemberAgent({
      name,
      port: control as never, // it does what the agent needs of a port
      shared,
      channels: () => channels,
      handlers: async () => {},
      handlersSync: () => {},
      capture: () => {
        this.snapshots.set(name, structuredClone({ ...counts, undelivered: channels.capture() ?? [] }));
        return { sections: [], buffers: [], stateBytes: 0, dirtyBytes: 0 };
      },
      recycle: () => {},
      committed: () => {},
      during: (work) => work,
      asked: () => {},
      nested: () => {},
    });
    void this.#program(name, agent, channels, counts, shared, stepOf(memory));
  }

  async #program(
    name: string,
    agent: Agent,
    channels: InstanceType<typeof ChannelTable>,
    counts: { sent: Record<string, number>; received: Record<string, number> },
    shared: Int32Array,
    passed: Float64Array,
  ): Promise<void> {
    const turn = (): Promise<void> => new Promise((resolve) => this.turns.set(name, resolve));
    agent.post({ type: 'started' });
    const steps = this.shape.steps[Number(name.slice(1))] ?? [];
    for (const [step, [what, peer]] of steps.entries()) {
      await turn();
      const at = this.shape.waits ? undefined : step;
      if (at !== undefined) passed[0] = at;
      if (shared[MEMBER_SHARED.ATTENTION] !== 0 && agent.look(at)) await agent.stand(name, at, name);
      const channel = channels.open('c', nameOf(peer));
      if (what === 'send') {
        void channel.send(step);
        counts.sent[nameOf(peer)] = (counts.sent[nameOf(peer)] ?? 0) + 1;
      } else {
        await (this.shape.waits ? agent.safe(name, channel.receive(), name) : channel.receive());
        counts.received[nameOf(peer)] = (counts.received[nameOf(peer)] ?? 0) + 1;
      }
    }
    await turn();
    this.ended.add(name);
    agent.post({
      type: 'finished',
      captured: { sections: [], buffers: [], stateBytes: 0, dirtyBytes: 0 },
      sent: channels.sent(),
      unsent: channels.unsent(),
    });
    this.snapshots.set(name, { ...counts, undelivered: channels.capture() ?? [] });
  }
}

async function settle(): Promise<void> {
  for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve));
}

/** What is wrong with a state in which nothing can happen any more. */
function judge(trial: Trial): string[] {
  const { shape, committed, refused, dead, ended, cut } = trial;
  const names = [...shape.steps.keys()].map(nameOf);
  const wrong: string[] = [];
  if (committed === undefined && refused === undefined) wrong.push('the checkpoint stands still for ever');
  if (refused !== undefined && dead === undefined) wrong.push(`it failed without a reason: ${String(refused)}`);
  if (dead === undefined && ended.size < names.length) wrong.push(`not everybody goes on: ${[...ended].join()} came to the end`);
  if (committed === undefined) return wrong;
  for (const name of names) if (!committed.includes(name)) wrong.push(`committed without ${name}`);
  for (const from of names) {
    for (const to of names.filter((name) => name !== from)) {
      const [sender, receiver] = [cut.get(from), cut.get(to)];
      const outbox = sender?.undelivered.find(({ peer }) => peer === to)?.outbox.length ?? 0;
      const inbox = receiver?.undelivered.find(({ peer }) => peer === from)?.inbox.length ?? 0;
      const [sent, received] = [sender?.sent[to] ?? 0, receiver?.received[from] ?? 0];
      // A finished receiver takes nothing any more; of what a finished sender has left the program may have sent some.
      const least = trial.finished.has(from) ? 0 : outbox;
      const right = sent >= received + inbox + least && sent <= received + inbox + outbox;
      if (!trial.finished.has(to) && !right) wrong.push(`${from} sent ${sent} to ${to}: ${received} received, ${inbox + outbox} under way`);
    }
  }
  return wrong;
}

/** Every state once, in an order drawn at random, as far as `most` states go. */
async function explore(shape: Shape, most: number): Promise<{ states: number; wrong: string[]; committed: number; refused: number }> {
  const seen = new Set<string>();
  const paths: string[][] = [[]];
  const found = { states: 0, wrong: [] as string[], committed: 0, refused: 0 };
  const random = seeded(most);
  const next = (): string[] | undefined => paths.splice(random.whole(paths.length), 1)[0];
  for (let path = next(); path !== undefined && found.wrong.length === 0 && found.states < most; path = next()) {
    vi.clearAllTimers();
    const trial = new Trial(shape);
    await trial.begin();
    for (const choice of path) await trial.take(choice);
    for (;;) {
      const fresh = !seen.has(trial.key());
      seen.add(trial.key());
      if (fresh) found.states++;
      const choices = trial.choices();
      // Messages of channels are the late ones, mostly: what has to wait for them is what can go wrong.
      const early = choices.filter((choice) => !trial.isChannel(choice));
      const first = choices.length === 0 ? undefined : random.pick(early.length > 0 && random.whole(5) > 0 ? early : choices);
      const others = choices.filter((choice) => choice !== first);
      const done = path;
      if (fresh) for (const other of others) paths.push([...done, other]);
      if (first === undefined || (first === 'look' && others.length === 0)) {
        const before = trial.key();
        if (first !== undefined) await trial.take(first);
        if (trial.key() !== before || trial.choices().some((choice) => choice !== 'look')) {
          path = [...path, 'look'];
          continue;
        }
        if (trial.committed !== undefined) found.committed++;
        if (trial.refused !== undefined) found.refused++;
        found.wrong.push(...judge(trial).map((what) => `${what}\n  after ${path?.join(', ')}`));
        break;
      }
      path = [...path, first];
      await trial.take(first);
    }
  }
  return found;
}

const SHAPES: readonly Shape[] = [
  {
    name: 'one sends two messages to another that passes steps',
    waits: false,
    steps: [
      [
        ['send', 1],
        ['send', 1],
      ],
      [
        ['receive', 0],
        ['receive', 0],
      ],
    ],
  },
  {
    name: 'two exchange a message in a step',
    waits: false,
    steps: [
      [
        ['send', 1],
        ['receive', 1],
      ],
      [
        ['send', 0],
        ['receive', 0],
      ],
    ],
  },
  {
    name: 'one waits for two messages inside of safe()',
    waits: true,
    steps: [
      [
        ['send', 1],
        ['send', 1],
      ],
      [
        ['receive', 0],
        ['receive', 0],
      ],
    ],
  },
  {
    name: 'two exchange a message, and one dies',
    waits: true,
    dies: 1,
    steps: [
      [
        ['send', 1],
        ['receive', 1],
      ],
      [
        ['send', 0],
        ['receive', 0],
      ],
    ],
  },
  {
    name: 'three hand a message on',
    waits: true,
    steps: [
      [['send', 1]],
      [
        ['receive', 0],
        ['send', 2],
      ],
      [['receive', 1]],
    ],
  },
];

describe('in every order of messages', () => {
  beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }));
  afterEach(() => void vi.useRealTimers());

  it.each(SHAPES)(
    'F45, F47: $name: no commit is without a member or a message, and nothing stands still',
    async (shape) => {
      const most = Number(process.env['CKPT_TEST_STATES'] ?? 300);
      const { wrong, states, committed, refused } = await explore(shape, most);
      expect(wrong).toEqual([]);
      if (process.env['CKPT_TEST_STATES'] !== undefined)
        process.stdout.write(`${shape.name}: ${states} states, ${committed} committed, ${refused} refused\n`);
      expect(committed + refused).toBeGreaterThan(0);
    },
    1_800_000,
  );
});
