/**
 * Reading a file line by line. Arguments: runs, folder, MiB. In turn, in one process: lines() of our handle, and
 * node:readline over a stream.
 */
import { createReadStream, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { openCheckpointer } from '@ckpt/sdk';
import { report, timedAsync } from '../measure.mjs';

const [runs = 0] = process.argv.slice(2).map(Number);
const folder = process.argv[3] ?? '';
const bytes = Number(process.argv[4]) * 2 ** 20;
const path = join(folder, 'input');
const block = Array.from({ length: 20_000 }, (_, n) => `${n},some station in Zürich,${(n * 7919) % 1000},12.5\n`).join('');
writeFileSync(path, block.repeat(Math.ceil(bytes / Buffer.byteLength(block))));

const ckpt = await openCheckpointer({ dir: join(folder, 'store'), app: { name: 'bench' }, signals: {}, requests: false });
const file = ckpt.file('input', path, { flags: 'r' });
await ckpt.start();

let characters = 0;
async function ours() {
  file.position = 0;
  for await (const line of file.lines()) characters += line.length;
}
async function theirs() {
  for await (const line of createInterface({ input: createReadStream(path), crlfDelay: Number.POSITIVE_INFINITY }))
    characters -= line.length;
}

/** @type {Record<'oursMs' | 'readlineMs', number[]>} */
const samples = { oursMs: [], readlineMs: [] };
await ours();
await theirs();
for (let run = 0; run < runs; run++) {
  samples.oursMs.push(await timedAsync(ours));
  samples.readlineMs.push(await timedAsync(theirs));
}
if (characters !== 0) throw new Error(`the two read different lines: ${characters} characters`);
await ckpt.close();
report({ samples });
