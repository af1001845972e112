/** A copy of the state into memory that was touched before: what no capture of everything can beat. Arguments: bytes, runs. */
import { report, timed } from '../measure.mjs';
import { makeField } from '../state.mjs';

const bytes = Number(process.argv[2]);
const runs = Number(process.argv[3]);
const field = makeField(bytes);
const copy = new Float64Array(field.length).fill(1);
// A single copy of a small state is below the clock's resolution.
const repeats = Math.max(1, Math.floor((16 << 20) / bytes));
const once = () => {
  for (let i = 0; i < repeats; i++) copy.set(field);
};
once();
report({ samples: { copyMs: Array.from({ length: runs }, () => timed(once) / repeats) } });
