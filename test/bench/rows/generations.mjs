/**
 * Many generations of a state of which a share of the pages changes at random. Arguments: bytes, generations, share, store.
 * What each image stores is told relative to the pages that were written since the one before.
 */
import { writeFileSync } from 'node:fs';
import { openCheckpointer } from '@ckpt/sdk';
import { report } from '../measure.mjs';
import { checksum, makeField } from '../state.mjs';

const [bytes = 0, generations = 0, share = 0] = process.argv.slice(2, 5).map(Number);
const store = process.argv[5] ?? '';
const PAGE = 4096;
const pages = bytes / PAGE;
const ckpt = await openCheckpointer({ dir: store, app: { name: 'bench' }, signals: {}, requests: false, keep: 3 });
const state = ckpt.state('state', () => ({ field: makeField(bytes) }));
await ckpt.start();

let seed = 88172645463325252n;
/** @param {number} below */
function random(below) {
  seed ^= (seed << 13n) & 0xffff_ffff_ffff_ffffn;
  seed ^= seed >> 7n;
  seed ^= (seed << 17n) & 0xffff_ffff_ffff_ffffn;
  return Number(seed % BigInt(below));
}

/** @returns {number} bytes of the pages that were written */
function scribble() {
  const touched = new Set();
  while (touched.size < Math.max(1, Math.round(pages * share))) touched.add(random(pages));
  for (const page of touched) state.field[page * 512 + random(512)] = random(1e9);
  return touched.size * PAGE;
}

/** @type {Record<'freezeMs' | 'durableMs', number[]>} */
const samples = { freezeMs: [], durableMs: [] };
await ckpt.checkpoint();
let [stored, written, worst, first] = [0, 0, 0, 0];
for (let generation = 2; generation <= generations; generation++) {
  const changed = scribble();
  const { bytes: amount, times } = await ckpt.checkpoint();
  samples.freezeMs.push(times.freezeMs);
  samples.durableMs.push(times.freezeMs + times.persistMs);
  if (generation === 2) first = amount.stored / changed;
  stored += amount.stored;
  written += changed;
  worst = Math.max(worst, amount.stored / changed);
}
writeFileSync(`${store}.checksum`, String(checksum(state.field)));
await ckpt.close();
report({ samples: { ...samples, first: [first], amortised: [stored / written], worst: [worst] } });
