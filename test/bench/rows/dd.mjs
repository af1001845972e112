/** What dd takes to write as many bytes and sync them, by its own clock. Arguments: bytes, runs, folder, `direct` or `buffered`. */
import { spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { report } from '../measure.mjs';

const [bytes = 0, runs = 0] = process.argv.slice(2, 4).map(Number);
const [, , folder = '', how] = process.argv.slice(2);
const block = Math.min(bytes, 4 << 20);

/** @param {number} run */
function once(run) {
  const file = join(folder, `dd-${run}`); // a new file each time: nothing old has to go first
  const direct = how === 'direct' ? ['oflag=direct'] : [];
  const args = ['if=/dev/zero', `of=${file}`, `bs=${block}`, `count=${bytes / block}`, 'conv=fsync', ...direct];
  const { stderr, status } = spawnSync('dd', args, { encoding: 'utf8', env: { ...process.env, LC_ALL: 'C' } });
  rmSync(file, { force: true });
  const [, seconds] = /copied, ([\d.e-]+) s/.exec(stderr) ?? [];
  if (status !== 0 || seconds === undefined) throw new Error(`bench: dd: ${stderr}`);
  return Number(seconds) * 1000;
}

once(-1);
report({ samples: { ddMs: Array.from({ length: runs }, (_, run) => once(run)) } });
