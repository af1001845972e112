/** Reads back, in a new process, what serialize.mjs wrote. Arguments: folder, runs it made. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { deserialize } from 'node:v8';
import { report, timed } from '../measure.mjs';
import { assertField } from '../state.mjs';

const folder = process.argv[2] ?? '';
let state = { field: new Float64Array() };
const ms = timed(() => {
  state = deserialize(readFileSync(join(folder, 'state.v8')));
});
assertField(state.field, Number(process.argv[3]));
report({ samples: { deserializeMs: [ms] } });
