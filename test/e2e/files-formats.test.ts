/** Compressed and rotated output, written the way the guide says, over random kills. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { Laboratory } from '../fixtures/sdk-program.js';
import { seeded } from '../fixtures/seeded.js';

const ROWS = 60;
const WHOLE = Array.from({ length: ROWS }, (_, n) => `row ${n}\n`).join('');

/** Makes an image after every seventh row; KILLED_AT counts the rows of this life. */
const LOOP = `
let rows = 0;
const next = async () => {
  if (++rows === Number(process.env.KILLED_AT)) process.kill(process.pid, 'SIGKILL');
  if (++state.row % 7 === 0) await ckpt.checkpoint();
  await ckpt.safepoint();
};`;

/** A gzip member for every four rows: what is not yet compressed is state. */
const MEMBERS = `
import { gzipSync } from 'node:zlib';
const ckpt = await open();
const state = ckpt.state('state', () => ({ row: 0, waiting: '' }));
const out = ckpt.file('rows', 'rows.gz', { flags: 'w' });
await ckpt.start();
${LOOP}
while (state.row < ${ROWS}) {
  state.waiting += \`row \${state.row}\\n\`;
  if (state.row % 4 === 3) {
    out.write(gzipSync(state.waiting));
    state.waiting = '';
  }
  await next();
}
await ckpt.finish();`;

/** A file for every ten rows, each with a name of its own. */
const PARTS = `
const ckpt = await open();
const state = ckpt.state('state', () => ({ row: 0, part: 0 }));
const part = () => ckpt.file('part', \`rows-\${state.part}.txt\`, { flags: 'w' });
let out = part();
await ckpt.start();
${LOOP}
while (state.row < ${ROWS}) {
  out.write(\`row \${state.row}\\n\`);
  if (state.row % 10 === 9 && state.row < ${ROWS - 1}) {
    await out.close();
    state.part++;
    out = part();
  }
  await next();
}
await ckpt.finish();`;

describe('output in other forms than one growing file', () => {
  const random = seeded(20);

  async function survive(lab: Laboratory, source: string): Promise<void> {
    for (let life = 0; life < 6; life++) {
      const { signal, code, stderr } = await lab.start(source, { env: { KILLED_AT: String(1 + random.whole(14)) } }).ended;
      expect({ signal, code, stderr }).toEqual({ signal: 'SIGKILL', code: null, stderr: '' });
    }
    await lab.run(source);
  }

  it('gzip: whole members written at safepoints are neither lost nor doubled', async () => {
    const lab = new Laboratory();
    await survive(lab, MEMBERS);
    expect(gunzipSync(readFileSync(join(lab.folder, 'rows.gz'))).toString()).toBe(WHOLE);
  });

  it('F77: parts with names of their own, closed one after the other, hold every row once', async () => {
    const lab = new Laboratory();
    await survive(lab, PARTS);
    const parts = readdirSync(lab.folder)
      .filter((name) => /^rows-\d+\.txt$/.test(name))
      .sort();
    expect(parts).toHaveLength(6);
    expect(parts.map((name) => readFileSync(join(lab.folder, name), 'utf8')).join('')).toBe(WHOLE);
  });
});
