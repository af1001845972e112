/**
 * A loop over the state, in a program that was begun fresh or restarted: restored memory has to be as fast as other memory. The first life of
 * a store writes one image and ends. Arguments: bytes, runs, store.
 */
import { openCheckpointer } from '@ckpt/sdk';
import { report, timed } from '../measure.mjs';
import { makeField } from '../state.mjs';

const [bytes = 0, runs = 0] = process.argv.slice(2, 4).map(Number);
const ckpt = await openCheckpointer({ dir: process.argv[4], app: { name: 'bench' }, signals: {}, requests: false });
const state = ckpt.state('state', () => ({ field: makeField(bytes) }));
const { restarted } = await ckpt.start();

/** Each element becomes the mean of itself and its neighbours. @param {Float64Array} field */
function step(field) {
  let before = field[0] ?? 0;
  for (let i = 1; i < field.length - 1; i++) {
    const own = field[i] ?? 0;
    field[i] = (before + own + (field[i + 1] ?? 0)) / 3;
    before = own;
  }
}

if (!restarted) await ckpt.checkpoint();
// The first ones warm up.
for (let i = 0; i < 3; i++) step(state.field);
const samples = [];
for (let run = 0; run < 4 * runs; run++) samples.push(timed(() => step(state.field)));
await ckpt.close();
report({ samples: { stepMs: samples, restarted: [Number(restarted)] } });
