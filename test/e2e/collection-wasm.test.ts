import { expect, it } from 'vitest';
import { Laboratory } from '../fixtures/sdk-program.js';

const COLLECTION = `
  const ckpt = await open();
  const s = ckpt.state('s', () => ({ step: 0 }));
  const c = ckpt.collection('c');
  await ckpt.start();
  while (s.step < 60) {
    for (let i = 0; i < 40; i++) c.set((s.step * 31 + i * 7) % 500, { at: s.step, big: new Float64Array(600).fill(s.step) });
    c.delete((s.step * 13) % 500);
    s.step++;
    if (s.step % 5 === 0) await ckpt.checkpoint();
    if (s.step === Number(process.env.DIE_AT)) process.kill(process.pid, 'SIGKILL');
  }
  say('end', { content: JSON.stringify([...c].map(([k, v]) => [k, v.at, v.big[599]])) });
  await ckpt.finish();
`;

it('a collection goes on after kills with the same content and order', async () => {
  const undisturbed = await new Laboratory().run(COLLECTION);
  const lab = new Laboratory();
  for (const at of ['13', '28', '43']) await lab.start(COLLECTION, { env: { DIE_AT: at } }).ended;
  const said = await lab.run(COLLECTION);
  expect(said['end']).toEqual(undisturbed['end']);
});

const WASM = `
  const { default: wabt } = await import('${new URL('../../node_modules/wabt/index.js', import.meta.url).href}');
  const text = '(module (memory (export "m") 1 40) (global $g (export "g") (mut i64) (i64.const 1))' +
    ' (global $k (export "k") i32 (i32.const 3))' +
    ' (func (export "step") (global.set $g (i64.add (i64.mul (global.get $g) (i64.const 6364136223846793005)) (i64.const 1442695040888963407)))' +
    ' (i64.store (i32.and (i32.wrap_i64 (i64.shr_u (global.get $g) (i64.const 33))) (i32.const 65528)) (global.get $g))))';
  const module = await WebAssembly.compile((await wabt()).parseWat('m.wat', text).toBinary({}).buffer);
  const { m, g, k, step } = (await WebAssembly.instantiate(module)).exports;
  const ckpt = await open();
  const s = ckpt.state('s', () => ({ step: 0 }));
  let immutable;
  try { ckpt.wasm('other', m, { globals: { k } }); } catch (error) { immutable = error.constructor.name; }
  ckpt.wasm('heap', m, { globals: { g } });
  await ckpt.start();
  while (s.step < 60) {
    step();
    if (s.step % 10 === 0) { const at = m.grow(1) * 65536; new Uint8Array(m.buffer, at)[7] = s.step; }
    s.step++;
    if (s.step % 5 === 0) await ckpt.checkpoint();
    if (s.step === Number(process.env.DIE_AT)) process.kill(process.pid, 'SIGKILL');
  }
  const { createHash } = await import('node:crypto');
  say('end', { hash: createHash('sha256').update(new Uint8Array(m.buffer)).digest('hex'), g: String(g.value), size: m.buffer.byteLength, immutable });
  await ckpt.finish();
`;

it('a WebAssembly instance whose memory grows goes on after kills', async () => {
  const undisturbed = await new Laboratory().run(WASM);
  expect(undisturbed['end']).toMatchObject({ immutable: 'TypeError', size: 7 * 65_536 });
  const lab = new Laboratory();
  for (const at of ['13', '28', '43']) await lab.start(WASM, { env: { DIE_AT: at } }).ended;
  expect((await lab.run(WASM))['end']).toEqual(undisturbed['end']);
});
