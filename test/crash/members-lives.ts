/**
 * Networks of members, killed at random: of each, the program, a thread or a child, its own or one of another member, dies again
 * and again, at any step of what it does, until the network comes to its end.
 *
 * In every life
 *   1. each message, request and reply is received once, in its order and whole (the network ends with the numbers of one that
 *      runs alone);
 *   2. a checkpoint fails for a member that dies, and for nothing else; none is acknowledged without that member;
 *   3. nobody waits for ever;
 *   4. somebody dies who was to, or the network comes to its end;
 *   5. an opaque child is started again with what it was first started with, unless it had ended well or is excluded, and ends with
 *      its program.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'vitest';
import { endOf, type Network, networkOf } from '../fixtures/network-plan.mjs';
import { nodePath } from '../fixtures/node.js';
import { type Seeded, seeded } from '../fixtures/seeded.js';

const PROGRAM = fileURLToPath(new URL('../fixtures/network-program.mjs', import.meta.url));
/** Without a word (CKPT_TEST_PATIENCE_MS: on a busy machine). */
const PATIENCE_MS = Number(process.env['CKPT_TEST_PATIENCE_MS'] ?? 90_000);
const LIFE_MS = 15 * 60_000;
export interface Tally {
  networks: number;
  checkpoints: number;
  /** Lives that were ended, by who died. */
  readonly kills: { program: number; worker: number; process: number };
  /** Of these, the members of members. */
  nested: number;
  /** Opaque children that were started, and those that died. */
  readonly opaque: { started: number; died: number };
}

export interface Draw {
  /** Events of a network at most. */
  readonly longest: number;
  /** Deaths in the network that comes next: then it is let go to its end. */
  readonly mostKills: (tally: Tally) => number;
}

interface Said {
  readonly word: string;
  readonly [more: string]: unknown;
}

interface Ended {
  readonly code: number | null;
  readonly said: readonly Said[];
  readonly err: string;
}

interface Death {
  readonly member: number;
  readonly at: 'time' | 'life' | 'event' | 'handler' | 'capture' | 'resume' | 'restore';
  readonly on?: string;
  readonly count: number;
  readonly after?: number;
  readonly how?: 'exit' | 'throw' | 'SIGKILL';
  readonly linger?: number;
}

function deathIn(network: Network, random: Seeded): Death {
  const occasion = { count: 1 + random.whole(4), linger: random.whole(3) * 20 };
  if (random.whole(3) === 0) {
    if (random.whole(4) === 0) return { member: 0, at: 'time', count: 100 + random.whole(900) };
    const on = random.pick(['requested', 'quiesced', 'captured', 'committed'] as const);
    return { member: 0, at: 'life', on, count: 1 + random.whole(6), after: random.whole(12) };
  }
  const member = random.whole(network.members + 1);
  const hows = network.kinds[member] === 'worker' ? (['exit', 'throw'] as const) : (['exit', 'throw', 'SIGKILL'] as const);
  const at = random.pick(['event', 'event', 'handler', 'capture', 'resume', 'restore'] as const);
  const own = network.events.filter(({ from, to }) => from === member || to === member).length;
  const count = at === 'event' ? 1 + random.whole(Math.max(1, own)) : at === 'restore' ? 1 : occasion.count;
  return { ...occasion, member, at, count, how: random.pick(hows) };
}

interface Life {
  readonly number: number;
  readonly longest: number;
  readonly death: Death | undefined;
}

async function live(store: string, network: Network, { number, longest, death }: Life): Promise<Ended> {
  const { CKPT_RESTART: _, CKPT_DIR: __, ...inherited } = process.env;
  const child = spawn(nodePath, [PROGRAM], {
    env: {
      ...inherited,
      CKPT_DIR: store,
      NETWORK_SEED: String(network.seed),
      NETWORK_LONGEST: String(longest),
      NETWORK_LIFE: String(number),
      NETWORK_TIMEOUT: String(PATIENCE_MS / 2),
      ...(death === undefined ? {} : { NETWORK_DEATH: JSON.stringify(death) }),
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let [out, err] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text));
  const giveUp = (): void => {
    err += 'did not end within its time';
    child.kill('SIGKILL');
    for (const stream of [child.stdout, child.stderr]) stream.destroy(); // which a child of it may hold
  };
  const silence = setTimeout(giveUp, PATIENCE_MS);
  const life = setTimeout(giveUp, LIFE_MS);
  child.stdout.on('data', () => silence.refresh());
  const [code] = await once(child, 'close');
  for (const timer of [silence, life]) clearTimeout(timer);
  const whole = out.slice(0, out.lastIndexOf('\n') + 1).split('\n');
  return { code: code === null ? null : Number(code), said: whole.filter(Boolean).map((line): Said => JSON.parse(line)), err };
}

/** Invariant 2. */
function judge({ said, err }: Ended, context: string): void {
  expect(err.includes('did not end within'), context).toBe(false);
  const dying = said.some(({ word }) => word === 'dying');
  const failures = said.filter(({ word, code }) => word === 'failed' && !(dying && code === 'ERR_CKPT_MEMBER'));
  expect(failures, context).toEqual([]);
  const died = said.filter(({ word, code }) => word === 'died' && !(dying && code === 'ERR_CKPT_MEMBER'));
  expect(died, context).toEqual([]);
  expect(
    said.filter(({ word, lost }) => word === 'started' && Array.isArray(lost) && lost.length > 0),
    context,
  ).toEqual([]);
}

/** What the next life has to do with opaque children. */
interface Known {
  /** Life in which they were first started. */
  first: number;
  /** Those that had ended by themselves in the last image that was acknowledged. */
  ended: readonly number[];
}

/** Invariant 5. */
function judgeOpaque({ code, said }: Ended, network: Network, number: number, known: Known, context: string): void {
  const restarted = said.some((line) => line.word === 'started' && line['restarted'] === true);
  if (!restarted && said.some(({ word }) => word === 'started')) Object.assign(known, { first: number, ended: [] });
  for (const { word, number: child, given } of said) {
    if (word === 'orphan') expect(code, context).toBe(null);
    if (word !== 'opaque') continue;
    expect(given, context).toBe(known.first);
    expect(known.ended, context).not.toContain(child);
    if (restarted) expect(network.opaque[Number(child)]?.policy, context).toBe('restart');
  }
  for (const { word, ended } of said) if (word === 'committed' && Array.isArray(ended)) known.ended = ended;
}

function count(tally: Tally, said: readonly Said[]): void {
  const of = (wanted: string): number => said.filter(({ word }) => word === wanted).length;
  tally.checkpoints += of('committed');
  tally.opaque.started += of('opaque');
  tally.opaque.died += of('gone');
}

/** One network, from its first start to its end. */
async function oneNetwork(seed: number, { longest, mostKills }: Draw, tally: Tally): Promise<void> {
  const network = networkOf(seed, longest);
  const random = seeded(seed + 1);
  const folder = mkdtempSync(join(tmpdir(), 'ckpt-network-'));
  const known: Known = { first: 0, ended: [] };
  const most = mostKills(tally);
  let acknowledged = 0;
  try {
    for (let lives = 0; ; lives++) {
      const death = lives < most ? deathIn(network, random) : undefined;
      const ended = await live(join(folder, 'store'), network, { number: lives, longest, death });
      const summary = { ...network, events: network.events.length };
      const context = `network ${seed}, life ${lives}: ${JSON.stringify({ death, ...summary })} ${JSON.stringify(ended.said.slice(-12))} ${ended.err}`;
      judge(ended, context);
      judgeOpaque(ended, network, lives, known, context);
      const started = ended.said.find(({ word }) => word === 'started');
      if (started !== undefined && acknowledged > 0) expect(Number(started['generation']), context).toBeGreaterThanOrEqual(acknowledged);
      for (const { word, generation } of ended.said) if (word === 'committed') acknowledged = Number(generation);
      count(tally, ended.said);
      const result = ended.said.find(({ word }) => word === 'ended');
      if (result !== undefined) {
        expect(result['sums'], context).toEqual(endOf(network));
        tally.networks++;
        return;
      }
      if (death === undefined) throw new Error(`nobody was to die: ${context}`);
      const killed = ended.code === null && (death.at === 'time' || death.at === 'life');
      expect(killed || ended.said.some(({ word }) => word === 'dying'), `nobody has died: ${context}`).toBe(true);
      const { member } = death;
      tally.kills[network.kinds[member] ?? 'program']++;
      if ((network.parents[member] ?? 0) > 0) tally.nested++;
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

export async function killNetworks(
  seed: number,
  draw: Draw,
  enough: (tally: Tally) => boolean,
  told: (tally: Tally) => void = () => {},
): Promise<Tally> {
  const kills = { program: 0, worker: 0, process: 0 };
  const tally: Tally = { networks: 0, checkpoints: 0, kills, nested: 0, opaque: { started: 0, died: 0 } };
  for (let next = seed; !enough(tally); next += 2) {
    await oneNetwork(next, draw, tally);
    told(tally);
  }
  return tally;
}
