/** State of members: everything the program's own state can be, encoded and decoded in the member's thread. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { JOIN } from '../fixtures/member-ring.js';
import { Laboratory } from '../fixtures/sdk-program.js';

const WABT = new URL('../../node_modules/wabt/index.js', import.meta.url).href;

/** Counts to 40 in all that a member can register, and waits at each tenth step; one object is held by two providers. */
const WORKER = `
import { workerData } from 'node:worker_threads';
import { joinCheckpointer } from '@ckpt/sdk/member';
const { default: wabt } = await import('${WABT}');
const text = '(module (memory (export "m") 1 4) (global $g (export "g") (mut i64) (i64.const 1))' +
  ' (func (export "step") (global.set $g (i64.add (global.get $g) (i64.const 3))) (i64.store (i32.const 8) (global.get $g))))';
const { m, g, step } = (await WebAssembly.instantiate(await WebAssembly.compile((await wabt()).parseWat('m.wat', text).toBinary({}).buffer))).exports;
class Cell { count = 0; }
const ckpt = await joinCheckpointer();
ckpt.registerClass('Cell', Cell);
const one = ckpt.state('one', () => ({ step: 0, cell: new Cell(), bulk: new Float64Array(2000) }));
const two = ckpt.state('two', () => ({ same: one.cell, view: one.bulk.subarray(10, 20), small: new Uint8Array(8) }));
const map = ckpt.collection('map');
ckpt.wasm('heap', m, { globals: { g } });
const dice = ckpt.random('dice', workerData.seed);
await ckpt.start();
const peer = ckpt.channel('answers', 'main');
const end = Number(workerData.steps);
while (one.step < end) {
  await ckpt.safepoint();
  two.same.count += workerData.weights[one.step % 1000];
  two.view[3] += dice.next();
  map.set(one.step % 7, { step: one.step, big: new Float64Array(300).fill(one.step) });
  step();
  one.step++;
  if (one.step % 10 > 0) continue;
  peer.send(one.step);
  await ckpt.safe(peer.receive());
}
peer.send({
  cell: one.cell instanceof Cell && one.cell === two.same && one.cell.count, bulk: one.bulk[13], g: String(g.value),
  small: two.small?.length, heap: String(new BigInt64Array(m.buffer)[1]), map: JSON.stringify([...map].map(([key, { step, big }]) => [key, step, big[299]])),
});
await ckpt.finish();
`;

/** Takes an image at each tenth step, and dies after the second one of a life. */
const PROGRAM = `
const ckpt = await open({ dir: 'store', ...JSON.parse(process.env.OPTIONS ?? '{}') });
const weights = Float64Array.from({ length: 1000 }, (_, i) => i);
const w = ckpt.worker('w', new URL('./w.mjs', import.meta.url), { workerData: { seed: 5, steps: 40, weights } });
const answers = ckpt.channel('answers', 'w');
const { restarted } = await ckpt.start();
let images = 0;
for await (const answer of answers) {
  if (typeof answer === 'object') { say('end', answer); break; }
  await ckpt.checkpoint();
  if (++images === Number(process.env.IMAGES)) process.kill(process.pid, 'SIGKILL');
  answers.send('on');
}
await ckpt.close();
`;

function laboratory(worker = WORKER): Laboratory {
  const lab = new Laboratory();
  writeFileSync(join(lab.folder, 'w.mjs'), worker);
  return lab;
}

describe('state of a member', () => {
  it('of every kind comes back over kills as in a run without any', async () => {
    const undisturbed = await laboratory().run(PROGRAM);
    expect(undisturbed['end']).toMatchObject({ cell: 780, g: '121', heap: '121' });
    const lab = laboratory();
    for (const images of ['1', '2']) await lab.start(PROGRAM, { env: { IMAGES: images } }).ended;
    expect((await lab.run(PROGRAM))['end']).toEqual(undisturbed['end']);
  });

  it('that no provider claims refuses the start, or is carried on with what it imports', async () => {
    const lab = laboratory();
    await lab.start(PROGRAM, { env: { IMAGES: '2' } }).ended;
    writeFileSync(
      join(lab.folder, 'w.mjs'),
      WORKER.replaceAll(/^const two = .*$/gm, 'const two = { same: one.cell, view: one.bulk.subarray(10, 20) };'),
    );
    const refused = await lab.start(PROGRAM).ended;
    expect(refused.stderr).toContain('ERR_CKPT_UNCLAIMED');
    await lab.start(PROGRAM, { env: { IMAGES: '1', OPTIONS: '{"allowUnclaimed":"carry"}' } }).ended;
    writeFileSync(join(lab.folder, 'w.mjs'), WORKER);
    expect((await lab.run(PROGRAM))['end']).toMatchObject({ cell: false, small: 8, g: '121' }); // what was carried is a copy;
  });

  it('holds no tracked files: file() is refused with what to do instead, and nothing is opened', async () => {
    const lab = laboratory(`${JOIN}
let refusal;
try { ckpt.file('log', 'log.txt', { flags: 'a' }); } catch ({ code, message }) { refusal = { code, message }; }
await ckpt.start();
ckpt.channel('refusal', 'main').send(refusal);
await ckpt.finish();
`);
    const said = await lab.run(`
const ckpt = await open({ dir: 'store' });
ckpt.worker('w', new URL('./w.mjs', import.meta.url));
await ckpt.start();
say('file', { ...(await ckpt.safe(ckpt.channel('refusal', 'w').receive())), opened: fs.existsSync('log.txt') });
await ckpt.close();
`);
    expect(said['file']).toMatchObject({ code: 'ERR_CKPT_MEMBER', message: expect.stringContaining('in the program'), opened: false });
  });
});
