/** One restart, in a new process, from what checkpoint.mjs wrote: from the open to the end of start(). Arguments: store, runs it made. */
import { openCheckpointer } from '@ckpt/sdk';
import { report } from '../measure.mjs';
import { assertField } from '../state.mjs';

const began = performance.now();
const ckpt = await openCheckpointer({ dir: process.argv[2], app: { name: 'bench' }, signals: {}, requests: false, restart: 'must' });
const state = ckpt.state('state', () => ({ field: new Float64Array() }));
const { restarted } = await ckpt.start();
const restoreMs = performance.now() - began;
if (!restarted) throw new Error('bench: expected a restart from the image, found a fresh start');
assertField(state.field, Number(process.argv[3]));
await ckpt.close();
report({ samples: { restoreMs: [restoreMs] } });
