/**
 * What a program would write without ckpt: the state encoded, written, synced, renamed. Arguments: bytes, runs, folder, and
 * `v8`, `msgpackr` or `json`.
 */
import { closeSync, fsyncSync, openSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { serialize } from 'node:v8';
import { Packr } from 'msgpackr';
import { report, timed } from '../measure.mjs';
import { makeField, touchAll } from '../state.mjs';

const [bytes = 0, runs = 0] = process.argv.slice(2, 4).map(Number);
const [, , folder = '', how = 'v8'] = process.argv.slice(2);
const state = { field: makeField(bytes) };
const packr = new Packr({ moreTypes: true });

function encode() {
  if (how === 'v8') return serialize(state);
  return how === 'msgpackr' ? packr.pack(state) : JSON.stringify({ field: Array.from(state.field) });
}

const once = () => {
  const file = openSync(join(folder, `${how}.tmp`), 'w');
  writeFileSync(file, encode());
  fsyncSync(file);
  closeSync(file);
  renameSync(join(folder, `${how}.tmp`), join(folder, `state.${how}`));
};
once();
const samples = [];
for (let run = 0; run < runs; run++) {
  touchAll(state.field);
  globalThis.gc?.();
  samples.push(timed(once));
}
report({ samples: { serializeMs: samples } });
