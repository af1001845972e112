/**
 * Runs the job once undisturbed and once killed at random moments until it comes to its end; then compares what they wrote byte
 * by byte, and looks whether every line of the input was counted once. Exit code 1 when anything differs.
 *
 * Environment: CKPT_DEMO_SEED repeats the moments of an earlier demo, CKPT_DEMO_OUT is the folder for the results (default: out/
 * beside this file).
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import pc from 'picocolors';
import { DATA } from './data.js';

const PROGRAM = fileURLToPath(new URL('./ingest.js', import.meta.url));
const KILLS = 8;
/** How long after it has said that it goes on. */
const SHORTEST_MS = 20;
const SPREAD_MS = 280;

const seed = Number(process.env.CKPT_DEMO_SEED ?? Math.floor(Math.random() * 1e6));
const out = process.env.CKPT_DEMO_OUT ?? fileURLToPath(new URL('./out', import.meta.url));
const folders = { undisturbed: join(out, 'undisturbed'), killed: join(out, 'killed') };

/**
 * The generator mulberry32.
 * @param {number} from
 * @returns {() => number} numbers in [0, 1)
 */
function seededRandom(from) {
  let state = from >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/**
 * One life of the program.
 * @param {string} folder
 * @param {Record<string, string>} environment
 * @param {number | undefined} killAfterMs counted from its first words; from its first image on, when `image` is given
 * @param {() => boolean} [image] whether there is an image
 * @returns {Promise<{ killed: boolean, said: string }>}
 */
async function live(folder, environment, killAfterMs, image = () => true) {
  const { CKPT_RESTART: _, ...inherited } = process.env;
  const child = spawn(process.execPath, [PROGRAM, folder], {
    env: { ...inherited, CKPT_INGEST_EVERY: '40ms', ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let said = '';
  let complaints = '';
  /** @type {NodeJS.Timeout | undefined} */
  let timer;
  child.stdout.setEncoding('utf8').on('data', (text) => {
    said += text;
    if (killAfterMs !== undefined) timer ??= setTimeout(() => void killWithImage(), killAfterMs);
  });
  const killWithImage = () => {
    if (image()) child.kill('SIGKILL');
    else timer = setTimeout(killWithImage, 10);
  };
  child.stderr.setEncoding('utf8').on('data', (text) => {
    complaints += text;
  });
  const [code, signal] = await once(child, 'close');
  clearTimeout(timer);
  if (signal === 'SIGKILL' && timer !== undefined) return { killed: true, said };
  if (code !== 0) throw new Error(`the program ended with ${signal ?? `exit code ${code}`}:\n${complaints.trim()}`);
  return { killed: false, said };
}

/** @param {string} store */
async function runKilled(store) {
  const random = seededRandom(seed);
  let kills = 0;
  for (;;) {
    const after = kills < KILLS ? SHORTEST_MS + SPREAD_MS * random() : undefined;
    // The first kill may come before anything is in an image; the others are to leave something to go on from.
    const image = () => kills === 0 || (existsSync(join(store, 'images')) && readdirSync(join(store, 'images')).length > 0);
    const { killed, said } = await live(folders.killed, { CKPT_DIR: store, CKPT_INGEST_PACE_MS: '15' }, after, image);
    if (!killed) return kills;
    kills++;
    console.log(pc.dim(`  ${said.trim()}; killed after ${Math.round(after ?? 0)} ms`));
  }
}

/** Every line of the input has its own row, in order. */
function countedOnce() {
  const reports = readFileSync(DATA, 'utf8').trimEnd().split('\n').length - 1;
  const rows = readFileSync(join(folders.killed, 'ledger.csv'), 'utf8').trimEnd().split('\n').slice(1);
  return rows.length === reports && rows.every((row, index) => Number(row.split(',')[0]) === index + 1);
}

const stores = mkdtempSync(join(tmpdir(), 'ckpt-ingest-'));
try {
  rmSync(out, { recursive: true, force: true });
  console.log(pc.bold('The wildlife strikes of the FAA, one row for each report'));
  const undisturbed = await live(folders.undisturbed, { CKPT_DIR: join(stores, 'undisturbed') }, undefined);
  console.log(`Undisturbed: ${undisturbed.said.trim().split('\n').at(-1)}`);
  console.log(`The same, killed at random moments ${pc.dim(`(CKPT_DEMO_SEED=${seed} repeats them)`)}`);
  const kills = await runKilled(join(stores, 'killed'));
  const identical = ['ledger.csv', 'summary.csv'].every((file) =>
    readFileSync(join(folders.undisturbed, file)).equals(readFileSync(join(folders.killed, file))),
  );
  const once = countedOnce();
  console.log(`${pc.dim('kills survived  ')} ${kills}`);
  console.log(`${pc.dim('each line once  ')} ${once ? 'yes' : pc.red('no')}`);
  console.log(`identical: ${identical ? pc.green(pc.bold('yes')) : pc.red(pc.bold('no'))}`);
  process.exitCode = identical && once && kills > 0 ? 0 : 1;
} finally {
  rmSync(stores, { recursive: true, force: true });
}
