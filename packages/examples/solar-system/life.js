/**
 * One life of the program: started, listened to, and killed at the planned moment or left to its end.
 *
 * Invariants
 * 1. A life is over when the process has gone *and* everything it said has been read.
 * 2. No process outlives the demo.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

/** @import { Ended, Message, Started } from './report.js' */

/**
 * @typedef {object} Life
 * @property {boolean} killed false when the program came to its end
 * @property {number} year the last it reported
 * @property {number} startedAt when it began to compute, ms since 1970
 * @property {number} endedAt when it was killed or had come to its end, likewise
 * @property {Started} started
 * @property {Ended | undefined} ended
 * @property {number[]} freezesMs one for each image
 */

const PROGRAM = fileURLToPath(new URL('./simulate.js', import.meta.url));
const LONGEST_SILENCE_MS = 60_000;

/** @type {Set<import('node:child_process').ChildProcess>} */
const alive = new Set();
process.on('exit', () => {
  for (const child of alive) child.kill('SIGKILL');
});

/**
 * @param {object} how
 * @param {string} how.output
 * @param {Record<string, string>} how.environment
 * @param {{ year: number, delayMs: number } | undefined} how.kill
 * @param {(message: Message) => void} how.watch
 * @returns {Promise<Life>}
 */
export async function live({ output, environment, kill, watch }) {
  const { CKPT_RESTART: _, ...inherited } = process.env;
  const child = fork(PROGRAM, [output], { env: { ...inherited, ...environment }, stdio: ['ignore', 'ignore', 'pipe', 'ipc'] });
  alive.add(child);
  let complaints = '';
  child.stderr?.setEncoding('utf8').on('data', (text) => {
    complaints += text;
  });

  let silence = setTimeout(() => {}, 0);
  const heard = () => {
    clearTimeout(silence);
    silence = setTimeout(() => child.kill('SIGKILL'), LONGEST_SILENCE_MS);
  };
  heard();

  /** @type {{ year: number, startedAt: number, endedAt: number, started?: Started, ended?: Ended, freezesMs: number[] }} */
  const life = { year: 2000, startedAt: 0, endedAt: 0, freezesMs: [] };
  let doomed = false;
  child.on('message', (/** @type {Message} */ message) => {
    heard();
    if (message.kind === 'started') Object.assign(life, { started: message, startedAt: Date.now() });
    if (message.kind === 'ended') life.ended = message;
    if (message.kind === 'committed') life.freezesMs.push(message.freezeMs);
    if (message.kind === 'started' || message.kind === 'progress') life.year = message.year;
    if (kill && !doomed && life.year >= kill.year) {
      doomed = true;
      setTimeout(() => child.kill('SIGKILL'), kill.delayMs);
    }
    watch(message);
  });

  child.on('exit', () => {
    life.endedAt = Date.now();
  });
  const [[code, signal]] = await Promise.all([once(child, 'exit'), once(child, 'disconnect'), once(child, 'close')]);
  clearTimeout(silence);
  alive.delete(child);
  const killed = doomed && signal === 'SIGKILL';
  if (life.started === undefined || (!killed && life.ended === undefined)) {
    throw new Error(`the program ended with ${signal ?? `exit code ${code}`} in ${life.year}:\n${complaints.trim()}`);
  }
  return { ...life, started: life.started, ended: life.ended, killed };
}
