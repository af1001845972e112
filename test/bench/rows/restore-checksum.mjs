/** One restart in a new process from what generations.mjs or full-image.mjs wrote, and whether it is that. Arguments: store. */
import { readFileSync } from 'node:fs';
import { openCheckpointer } from '@ckpt/sdk';
import { report } from '../measure.mjs';
import { checksum } from '../state.mjs';

const store = process.argv[2] ?? '';
const began = performance.now();
const ckpt = await openCheckpointer({ dir: store, app: { name: 'bench' }, signals: {}, requests: false, restart: 'must' });
const state = ckpt.state('state', () => ({ field: new Float64Array() }));
await ckpt.start();
const restoreMs = performance.now() - began;
if (String(checksum(state.field)) !== readFileSync(`${store}.checksum`, 'utf8')) throw new Error('bench: the restored state differs');
await ckpt.close();
report({ samples: { restoreMs: [restoreMs] } });
