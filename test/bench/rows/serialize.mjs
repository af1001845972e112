/** What a program would write without ckpt: v8.serialize, write, fsync, rename. Arguments: bytes, runs, folder. */
import { closeSync, fsyncSync, openSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { serialize } from 'node:v8';
import { report, timed } from '../measure.mjs';
import { makeField, touchAll } from '../state.mjs';

const [bytes = 0, runs = 0] = process.argv.slice(2, 4).map(Number);
const folder = process.argv[4] ?? '';
const state = { field: makeField(bytes) };
const once = () => {
  const file = openSync(join(folder, 'state.tmp'), 'w');
  writeFileSync(file, serialize(state));
  fsyncSync(file);
  closeSync(file);
  renameSync(join(folder, 'state.tmp'), join(folder, 'state.v8'));
};
once();
const samples = [];
for (let run = 0; run < runs; run++) {
  touchAll(state.field);
  globalThis.gc?.();
  samples.push(timed(once));
}
report({ samples: { serializeMs: samples } });
