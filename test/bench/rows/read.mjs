/** Reads a file into memory that is new, two pieces in flight, as a restart does. Arguments: file. */
import { open, stat } from 'node:fs/promises';
import { report, timedAsync } from '../measure.mjs';

const path = process.argv[2] ?? '';
const PIECE = 4 << 20;
const { size } = await stat(path);
const file = await open(path);
const readMs = await timedAsync(async () => {
  const memory = new ArrayBuffer(size);
  let next = 0;
  const reader = async () => {
    while (next < size) {
      const at = next;
      next += PIECE;
      const length = Math.min(PIECE, size - at);
      await file.read(new Uint8Array(memory, at, length), 0, length, at);
    }
  };
  await Promise.all([reader(), reader()]);
});
await file.close();
report({ samples: { readMs: [readMs] } });
