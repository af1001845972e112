/**
 * The demo: a century of the solar system, once undisturbed and once killed again and again; then both are compared bit for bit.
 *
 * Environment: CKPT_DEMO_SEED repeats the moments of an earlier demo, CKPT_DEMO_YEARS shortens it (default 100), CKPT_DEMO_OUT is
 * the folder for the two trajectories (default: out/ beside this file).
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import pc from 'picocolors';
import { NAMES, TOLERANCE_ARCSEC } from './bodies.js';
import { live } from './life.js';
import { planKills } from './plan.js';
import { lastStep } from './system.js';
import { duration, fact, liveLine, median, theoryTable } from './tables.js';

/** @import { Life } from './life.js' */
/** @import { Ended } from './report.js' */

/**
 * @typedef {object} Survived a run that was killed and came to its end all the same
 * @property {Ended} ended
 * @property {number} kills
 * @property {number[]} freezesMs
 * @property {number[]} lostMs how long the program had computed what it had to compute again, one for each kill whose restart was
 *   not set back on purpose
 */

const years = Number(process.env.CKPT_DEMO_YEARS ?? 100);
const seed = Number(process.env.CKPT_DEMO_SEED ?? Math.floor(Math.random() * 1e6));
const named = `before-${2000 + years / 4}`;
const out = process.env.CKPT_DEMO_OUT ?? fileURLToPath(new URL('./out', import.meta.url));
const outputs = { undisturbed: join(out, 'undisturbed.csv'), killed: join(out, 'killed.csv') };
/** A program may come to its end before a kill that was planned arrives, on a machine that is very busy. */
const ATTEMPTS = 3;

const screen = liveLine(process.stdout);

/**
 * @param {string} store
 * @returns {Record<string, string>}
 */
function environment(store) {
  return { CKPT_DIR: store, CKPT_DEMO_YEARS: String(years) };
}

/** @param {number} year */
const fraction = (year) => (year - 2000) / years;

/**
 * @param {string} store
 * @returns {Promise<Ended>}
 */
async function runUndisturbed(store) {
  const startedAt = performance.now();
  const life = await live({
    output: outputs.undisturbed,
    environment: { ...environment(store), CKPT_DEMO_EVERY: 'never', CKPT_RESTART: 'never' },
    kill: undefined,
    watch: (message) => {
      if (message.kind === 'progress') screen.draw(fraction(message.year), `${message.year.toFixed(0)}  undisturbed`);
    },
  });
  if (life.ended === undefined) throw new Error('the undisturbed run was killed by someone else');
  screen.print(`Undisturbed run, without images: ${duration(performance.now() - startedAt)}`);
  return life.ended;
}

/**
 * How long the killed life had gone on after the capture of the image from which the next one started.
 * @param {Life} before
 * @param {Life} after
 */
function lostMs(before, after) {
  return Math.max(0, before.endedAt - (after.started.capturedAt ?? before.startedAt));
}

/**
 * @param {number} number
 * @param {Life} before
 * @param {Life} after
 * @param {boolean} onPurpose
 */
function killLine(number, before, after, onPurpose) {
  const { restarted, image, year } = after.started;
  const from = restarted ? `${image}, ${year.toFixed(2)}` : 'the start';
  const lost = onPurpose ? 'on purpose' : duration(lostMs(before, after));
  return `  ${String(number).padEnd(6)}${before.year.toFixed(1).padEnd(11)}${from.padEnd(24)}${lost}`;
}

/**
 * The run that is killed.
 * @param {string} store
 * @returns {Promise<Survived | undefined>} undefined when it came to its end before the last kill
 */
async function runKilled(store) {
  const kills = planKills(seed);
  /** @type {Life[]} */
  const lives = [];
  /** @type {number[]} */
  const lost = [];
  screen.print(pc.dim('  kill  in about   goes on from            work lost'));
  for (const [index, next] of [...kills, undefined].entries()) {
    const before = lives.at(-1);
    const onPurpose = kills[index - 1]?.thenFromName ?? false;
    const life = await live({
      output: outputs.killed,
      environment: { ...environment(store), ...(onPurpose ? { CKPT_RESTART: named } : {}) },
      kill: next && { year: 2000 + next.fraction * years, delayMs: next.delayMs },
      watch: (message) => {
        if (message.kind === 'progress') screen.draw(fraction(message.year), `${message.year.toFixed(0)}  killed ${index} times`);
      },
    });
    if (before) screen.print(killLine(index, before, life, onPurpose));
    if (before && !onPurpose) lost.push(lostMs(before, life));
    lives.push(life);
    if (next && !life.killed) return undefined;
  }
  const ended = lives.at(-1)?.ended;
  if (ended === undefined) throw new Error('the last life did not come to its end');
  return {
    ended,
    kills: kills.length,
    freezesMs: lives.flatMap((life) => life.freezesMs),
    lostMs: lost,
  };
}

/**
 * @param {string} folder
 * @returns {Promise<Survived>}
 */
async function survive(folder) {
  for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
    const survived = await runKilled(join(folder, `killed-${attempt}`));
    if (survived) return survived;
    screen.print(pc.yellow('  It came to its end before it could be killed; once more from the start.'));
  }
  throw new Error(`the program came to its end before the last kill in ${ATTEMPTS} attempts: the machine is too busy`);
}

/**
 * @param {Ended} undisturbed
 * @param {Survived} survived
 * @returns {boolean} whether all is well
 */
function tell(undisturbed, survived) {
  const { ended, kills, freezesMs, lostMs } = survived;
  const sameState = undisturbed.digest === ended.digest;
  const sameFile = readFileSync(outputs.undisturbed).equals(readFileSync(outputs.killed));
  const identical = sameState && sameFile;
  const accurate = NAMES.every((_, body) => ended.arcSeconds[body] <= TOLERANCE_ARCSEC[body]);
  const lines = [
    '',
    fact('kills survived', String(kills)),
    fact('images written', String(freezesMs.length)),
    fact('median freeze', duration(median(freezesMs))),
    fact('work lost per kill', `${duration(median(lostMs))} (median), ${duration(Math.max(...lostMs))} at most`),
    '',
    ...theoryTable(ended.arcSeconds),
    '',
    `${pc.dim('state      ')} ${ended.digest}`,
    `${pc.dim('trajectory ')} ${outputs.killed}`,
    '',
  ];
  for (const line of lines) screen.print(line);
  if (!sameState) screen.print(pc.red(`The final states differ: ${undisturbed.digest} undisturbed, ${ended.digest} killed.`));
  if (!sameFile) screen.print(pc.red('The trajectories differ.'));
  if (!accurate) screen.print(pc.red('The end is farther from the theory than it may be.'));
  screen.print(`identical: ${identical ? pc.green(pc.bold('yes')) : pc.red(pc.bold('no'))}`);
  return identical && accurate;
}

const folder = mkdtempSync(join(tmpdir(), 'ckpt-demo-'));
try {
  screen.print(pc.bold(`The Sun and eight planets, 2000 to ${2000 + years}, in ${lastStep({ years }).toLocaleString('en')} steps`));
  const undisturbed = await runUndisturbed(join(folder, 'undisturbed'));
  screen.print(`The same with an image every 100 ms, killed at random moments ${pc.dim(`(CKPT_DEMO_SEED=${seed} repeats them)`)}`);
  const survived = await survive(folder);
  process.exitCode = tell(undisturbed, survived) ? 0 : 1;
} catch (error) {
  screen.print(pc.red(`The demo failed: ${error instanceof Error ? error.message : String(error)}`));
  process.exitCode = 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
