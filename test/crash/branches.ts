/**
 * Random programs that open, write, close and open files again, and whose libraries log by themselves, killed at random
 * moments and restarted from random images, older and newer. Some lives stray: they write other bytes, and to other files, and
 * nobody goes on from their images. Whatever was done before, a start that is not refused finds every file that the program
 * had opened by then as it was at that step, byte for byte; and a life that is let to its end leaves the files of an
 * undisturbed run.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';
import { DB_BYTES, filesBefore, LOGS, type Script, STRAY_LOG, scriptOf } from '../fixtures/branching-script.mjs';
import { nodePath } from '../fixtures/node.js';
import { type Seeded, seeded } from '../fixtures/seeded.js';

const STEPS = 14;
const PROGRAM = join(import.meta.dirname, '../fixtures/branching.mjs');

export interface BranchesTally {
  lives: number;
  kills: number;
  /** Starts from an image that was made before, or on another branch than, what the files were left by. */
  jumps: number;
  /** Lives that came to the end of the program. */
  ends: number;
  readonly refused: Map<string, number>;
}

interface Told {
  readonly started?: number;
  readonly finished?: boolean;
  readonly step?: number;
  readonly image?: string | null;
  readonly refused?: string;
  readonly message?: string;
}

interface Image {
  readonly name: string;
  readonly step: number;
}

/** One program in a folder of its own. */
class Run {
  readonly folder: string;
  readonly before: Readonly<Record<string, string>>;
  readonly script: Script;
  readonly seed: number;
  readonly keepTails: boolean;

  constructor(seed: number, random: Seeded) {
    this.seed = seed;
    this.script = scriptOf(seed, STEPS);
    this.folder = realpathSync(mkdtempSync(join(tmpdir(), 'ckpt-branches-')));
    this.keepTails = random.whole(4) > 0;
    mkdirSync(join(this.folder, 'lib'));
    const before = ['log.txt', ...LOGS].filter(() => random.whole(2) === 0).map((file) => [file, 'of the user\n'] as const);
    this.before = { 'db.bin': 'b'.repeat(DB_BYTES), ...Object.fromEntries(before) };
    for (const [file, text] of Object.entries(this.before)) writeFileSync(join(this.folder, file), text);
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** What the files held when the last start had resolved. */
  found(): Record<string, string> {
    return JSON.parse(readFileSync(join(this.folder, 'found.json'), 'utf8')) as Record<string, string>;
  }

  async live(env: NodeJS.ProcessEnv, killAfterMs: number | undefined): Promise<{ told: Told[]; signal: string | null; stderr: string }> {
    const { CKPT_RESTART: _, ...inherited } = process.env;
    const child = spawn(nodePath, [PROGRAM], {
      cwd: this.folder,
      env: {
        ...inherited,
        CKPT_DIR: join(this.folder, 'store'),
        BRANCH_SEED: String(this.seed),
        BRANCH_STEPS: String(STEPS),
        BRANCH_KEEP_TAILS: this.keepTails ? '1' : '0',
        ...env,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const timer = killAfterMs === undefined ? undefined : setTimeout(() => child.kill('SIGKILL'), killAfterMs);
    let [stdout, stderr] = ['', ''];
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    const [, signal] = (await once(child, 'close')) as [number | null, string | null];
    clearTimeout(timer);
    const lines = stdout.split('\n').slice(0, -1); // a kill may leave half a line
    return { told: lines.map((line) => JSON.parse(line) as Told), signal, stderr };
  }
}

/** Files that differ from what they must be before the step. */
function differing(run: Run, step: number, found: Readonly<Record<string, string>>): string[] {
  const logs = [...LOGS, STRAY_LOG].map((path) => [path, run.before[path] ?? ''] as const);
  return [...new Map([...logs, ...filesBefore(run.script, step, run.before)])].flatMap(([path, text]) => {
    const own = found[path] ?? (path.startsWith('lib/') ? '' : undefined); // a log that is not there yet may be there empty
    if (own === text) return [];
    if (own === undefined) return `${path}: missing`;
    const at = [...own].findIndex((character, index) => character !== text[index]);
    return `${path}: ${own.length} bytes instead of ${text.length}, different from ${at < 0 ? own.length : at} on`;
  });
}

function finalFiles(run: Run): Record<string, string> {
  const files: Record<string, string> = {};
  for (const path of [...filesBefore(run.script, STEPS, run.before).keys(), ...LOGS, STRAY_LOG]) {
    try {
      files[path] = readFileSync(join(run.folder, path), 'latin1');
    } catch {
      // Told as missing.
    }
  }
  return files;
}

/** A program with `lives` lives, the last of them undisturbed. */
async function oneRun(seed: number, lives: number, tally: BranchesTally): Promise<void> {
  const random = seeded(seed);
  const run = new Run(seed, random);
  try {
    let images: readonly Image[] = [];
    /** Whether going on by itself would lead to what a stray life made. */
    let strayed = false;
    const story: string[] = [];
    for (let life = 1; life <= lives; life++) {
      const last = life === lives;
      const jump = images.length > 0 && (strayed || random.whole(3) > 0);
      const image = jump ? random.pick(images) : undefined;
      const restart = image?.name ?? (strayed ? 'never' : undefined);
      const stray = !last && random.whole(3) === 0;
      const env = {
        ...(restart === undefined ? {} : { CKPT_RESTART: restart }),
        ...(stray ? { BRANCH_STRAY: String(random.whole(1_000)) } : {}),
        BRANCH_IMAGES: String(random.whole(1_000)),
        ...(last || random.whole(8) === 0 ? {} : { BRANCH_KILL: String(random.whole(STEPS + 1)), BRANCH_FLUSH: String(random.whole(2)) }),
      };
      const { told, signal, stderr } = await run.live(env, last || random.whole(4) > 0 ? undefined : 60 + random.whole(250));
      story.push(`${restart ?? 'by itself'}${stray ? ', straying' : ''}: ${JSON.stringify(told)}`);
      const context = `seed ${seed}\n${story.join('\n')}\n${stderr}`;
      tally.lives++;
      if (jump) tally.jumps++;
      if (signal !== null) tally.kills++;
      const refused = told.find((line) => line.refused !== undefined)?.refused;
      const started = told.find((line) => line.started !== undefined);
      if (started !== undefined) {
        const { step = -1 } = started;
        if (image !== undefined) expect(step, context).toBe(image.step);
        expect(differing(run, step, run.found()), context).toEqual([]);
      }
      if (refused !== undefined) {
        // With everything kept, only a file is refused that is gone and that nobody declares.
        const allowed = run.keepTails ? /^ERR_CKPT_FILE_UNSAFE$/ : /^ERR_CKPT_FILE_/;
        expect([refused, started], context).toEqual([expect.stringMatching(allowed), undefined]);
        tally.refused.set(refused, (tally.refused.get(refused) ?? 0) + 1);
        continue;
      }
      expect(signal ?? stderr, context).toBe(signal === null ? '' : 'SIGKILL');
      const made = told.filter((line) => line.image !== undefined);
      const ended = signal === null;
      if (started !== undefined) strayed = stray ? made.length > 0 || ended : false;
      if (!stray) images = [...images, ...made.flatMap(({ image: name, step = 0 }) => (typeof name === 'string' ? { name, step } : []))];
      if (!ended || stray) continue;
      tally.ends++;
      expect(differing(run, STEPS, finalFiles(run)), context).toEqual([]);
    }
  } finally {
    run.remove();
  }
}

/**
 * Programs of `lives` lives each, until there were that many in all, in as many lanes side by side as there are seeds. Kills by
 * the clock come before anything is done where a machine is slow, so it goes on until there were enough jumps, kills and ends.
 */
export async function branchAtRandom(
  total: number,
  lives: number,
  seeds: readonly number[],
  least: { readonly jumps: number; readonly kills: number; readonly ends: number },
): Promise<BranchesTally> {
  const tally: BranchesTally = { lives: 0, kills: 0, jumps: 0, ends: 0, refused: new Map() };
  const goesOn = (): boolean => tally.lives < total || tally.jumps < least.jumps || tally.kills < least.kills || tally.ends < least.ends;
  const lane = async (seed: number): Promise<void> => {
    for (let next = seed; goesOn(); next += 1_000) await oneRun(next, lives, tally);
  };
  await Promise.all(seeds.map(lane));
  return tally;
}
