/** What the disk asks for one small durable file: its fsync, and that of its directory. Arguments: bytes, runs, folder. */
import { closeSync, fsyncSync, openSync, unlinkSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { report, timed } from '../measure.mjs';

const [bytes = 0, runs = 0] = process.argv.slice(2, 4).map(Number);
const folder = process.argv[4] ?? '';
const content = new Uint8Array(bytes).fill(1);
const samples = [];
for (let run = 0; run < 4 * runs; run++) {
  const path = join(folder, `small-${run}`);
  const file = openSync(path, 'wx');
  writeSync(file, content);
  const directory = openSync(folder, 'r');
  samples.push(
    timed(() => {
      fsyncSync(file);
      fsyncSync(directory);
    }),
  );
  closeSync(file);
  closeSync(directory);
  unlinkSync(path);
}
report({ samples: { syncMs: samples } });
