/**
 * Short lines to a file, as a program writes them, until all of them are in it. Arguments: runs, folder, lines.
 * In turn, in one process: our handle, and a plain fs.WriteStream that waits for 'drain' when it is told to.
 */
import { once } from 'node:events';
import { createWriteStream, rmSync } from 'node:fs';
import { join } from 'node:path';
import { openCheckpointer } from '@ckpt/sdk';
import { report, timedAsync } from '../measure.mjs';

const [runs = 0] = process.argv.slice(2).map(Number);
const folder = process.argv[3] ?? '';
const lines = Number(process.argv[4]);
const ckpt = await openCheckpointer({ dir: join(folder, 'store'), app: { name: 'bench' }, signals: {}, requests: false });
await ckpt.start();

/** @param {number} n */
const line = (n) => `${n},some station in Zürich,${(n * 7919) % 1000},12.5\n`;

/** @param {number} run */
async function ours(run) {
  const file = ckpt.file('lines', join(folder, `ours-${run}`), { flags: 'w' });
  await file.flush();
  const ms = await timedAsync(async () => {
    for (let n = 0; n < lines; n++) {
      const pressure = file.write(line(n));
      if (pressure !== undefined) await pressure;
    }
    await file.flush();
  });
  await file.close();
  rmSync(file.path);
  return ms;
}

/** @param {number} run */
async function theirs(run) {
  const path = join(folder, `stream-${run}`);
  const stream = createWriteStream(path);
  await once(stream, 'open');
  const ms = await timedAsync(async () => {
    for (let n = 0; n < lines; n++) if (!stream.write(line(n))) await once(stream, 'drain');
    stream.end();
    await once(stream, 'finish');
  });
  rmSync(path);
  return ms;
}

/** @type {Record<'oursMs' | 'streamMs', number[]>} */
const samples = { oursMs: [], streamMs: [] };
await ours(-1);
await theirs(-1);
for (let run = 0; run < runs; run++) {
  samples.oursMs.push(await ours(run));
  samples.streamMs.push(await theirs(run));
}
await ckpt.close();
report({ samples });
