/** A strip of the plate, in a thread or a process of its own: edges go through channels. */
import { isMainThread, workerData } from 'node:worker_threads';
import { joinCheckpointer } from '@ckpt/sdk/member';
import { heatUp, relax, rowsOf } from './grid.js';

/** @type {[part: number, parts: number, size: number, steps: number]} */
const [part, parts, size, steps] = isMainThread ? process.argv.slice(2).map(Number) : workerData;
const { first, end } = rowsOf(part, parts, size);
const [above, below] = [part > 0 ? 1 : 0, part < parts - 1 ? 1 : 0];
const height = above + (end - first) + below;

const ckpt = await joinCheckpointer();
const strip = ckpt.state('strip', () => ({ step: 0, rows: beginning() }));
await ckpt.start();

let next = new Float64Array(height * size);
const up = above > 0 ? neighbour(part - 1) : undefined;
const down = below > 0 ? neighbour(part + 1) : undefined;
while (strip.step < steps) {
  await ckpt.safepoint(strip.step);
  const { rows } = strip;
  up?.send(rows.slice(size, 2 * size));
  down?.send(rows.slice((height - 2) * size, (height - 1) * size));
  if (up !== undefined) rows.set(await up.receive(), 0);
  if (down !== undefined) rows.set(await down.receive(), (height - 1) * size);
  relax(rows, next, above, height - below, size);
  strip.rows = next;
  next = rows;
  strip.step++;
}
ckpt.channel('rows', 'main').send(strip.rows.slice(above * size, (height - below) * size));
await ckpt.finish();

function beginning() {
  const rows = new Float64Array(height * size);
  heatUp(rows, first - above, size);
  return rows;
}

/** @param {number} other @returns {import('@ckpt/sdk').Channel<Float64Array>} */
function neighbour(other) {
  return ckpt.channel('edge', `strip-${other}`);
}
