/**
 * The freeze with and without output that was written and not synced yet. Arguments: runs, folder, MiB. In turn, in one process;
 * before each checkpoint the state has changed.
 */
import { join } from 'node:path';
import { openCheckpointer } from '@ckpt/sdk';
import { report } from '../measure.mjs';

const [runs = 0] = process.argv.slice(2).map(Number);
const folder = process.argv[3] ?? '';
const bytes = Number(process.argv[4]) * 2 ** 20;
const ckpt = await openCheckpointer({ dir: join(folder, 'store'), app: { name: 'bench' }, signals: {}, requests: false, keep: 1 });
const state = ckpt.state('state', () => ({ step: 0, field: new Float64Array(1024) }));
const file = ckpt.file('output', join(folder, 'output'), { flags: 'w' });
await ckpt.start();

const text = 'a line of output that nobody has synced yet\n'.repeat(20);

async function freeze() {
  state.field[0] = ++state.step;
  globalThis.gc?.();
  return (await ckpt.checkpoint()).times.freezeMs;
}

/** The last of it is still in memory when the checkpoint is asked for. */
async function writeMuch() {
  for (let written = 0; written < bytes; written += text.length) {
    const pressure = file.write(text);
    if (pressure !== undefined) await pressure;
  }
}

/** @type {Record<'withMs' | 'withoutMs', number[]>} */
const samples = { withMs: [], withoutMs: [] };
await writeMuch();
await freeze();
for (let run = 0; run < runs; run++) {
  await writeMuch();
  samples.withMs.push(await freeze());
  samples.withoutMs.push(await freeze());
}
await ckpt.close();
report({ samples });
