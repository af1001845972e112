import { readFileSync } from 'node:fs';
import { join } from 'node:path';
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

it('a collection is looked into as the Map that it is', async () => {
  const said = await new Laboratory().run(`
    const { diffImages, readImage } = await import('@ckpt/sdk/images');
    const ckpt = await open({ dir: './store' });
    const c = ckpt.collection('c');
    await ckpt.start();
    c.set('k', 1);
    await ckpt.checkpoint('one');
    c.set('l', 2);
    await ckpt.checkpoint('two');
    const image = await readImage('two', { dir: './store' });
    const { differences } = await diffImages('one', 'two', { dir: './store' });
    say('found', { value: [...(await image.section('c'))], differences: differences.map(({ mark, path }) => [mark, path]) });
    await image.close();
    await ckpt.close();
  `);
  expect(said['found']).toMatchObject({
    value: [
      ['k', 1],
      ['l', 2],
    ],
    differences: [['+', 'c<key "l">']],
  });
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

const RAPIER = `
  // The engine keeps its memory to itself: it is seen where the module is instantiated.
  let memory;
  const { instantiate } = WebAssembly;
  WebAssembly.instantiate = async (...given) => {
    const made = await instantiate(...given);
    memory = (made.instance ?? made).exports.memory;
    return made;
  };
  const { default: RAPIER } = await import('${new URL('../../node_modules/@dimforge/rapier3d-compat/dist/rapier.mjs', import.meta.url).href}');
  await RAPIER.init();
  // Its first step keeps an object of JavaScript, by a number in the memory: in each life at the same place.
  const warm = new RAPIER.World({ x: 0, y: 0, z: 0 });
  warm.step();
  warm.free();
  const world = new RAPIER.World({ x: 0, y: -9.81, z: 0 });
  world.createCollider(RAPIER.ColliderDesc.cuboid(20, 0.1, 20));
  const bodies = [];
  for (let i = 0; i < 20; i++) {
    const place = RAPIER.RigidBodyDesc.dynamic().setTranslation((i % 4) * 1.1 + (i % 3) * 0.2, 1 + (i >> 2) * 1.3, (i % 5) * 0.4);
    const body = world.createRigidBody(place);
    world.createCollider(i % 2 === 0 ? RAPIER.ColliderDesc.ball(0.5) : RAPIER.ColliderDesc.cuboid(0.4, 0.5, 0.6), body);
    if (i % 5 === 4) world.createImpulseJoint(RAPIER.JointData.spherical({ x: 0, y: 1, z: 0 }, { x: 0, y: -1, z: 0 }), bodies[i - 1], body, true);
    bodies.push(body);
  }
  const ckpt = await open();
  const s = ckpt.state('s', () => ({ step: 0 }));
  ckpt.wasm('physics', memory);
  await ckpt.start();
  const first = s.step;
  while (s.step < 60) {
    if (s.step % 20 === 0) bodies[s.step % 20].applyImpulse({ x: 3, y: 5, z: -2 }, true);
    world.step();
    s.step++;
    if (s.step % 10 === 0) await ckpt.checkpoint();
    if (s.step === Number(process.env.DIE_AT)) process.kill(process.pid, 'SIGKILL');
  }
  const { createHash } = await import('node:crypto');
  const places = createHash('sha256').update(Float64Array.from(bodies.flatMap((body) => Object.values(body.translation()).concat(Object.values(body.rotation())))));
  say('end', { places: places.digest('hex'), world: createHash('sha256').update(world.takeSnapshot()).digest('hex') });
  say('began', { first });
  await ckpt.finish();
`;

it('a physics engine in WebAssembly goes on after kills to the very world of an undisturbed run', async () => {
  const flags = ['--liftoff-only']; // megabytes of code, run for a moment
  const undisturbed = await new Laboratory().run(RAPIER, { flags });
  const lab = new Laboratory();
  await lab.start(RAPIER, { flags, env: { DIE_AT: '33' } }).ended;
  const said = await lab.run(RAPIER, { flags });
  expect(said['end']).toEqual(undisturbed['end']);
  expect([undisturbed['began'], said['began']]).toMatchObject([{ first: 0 }, { first: 30 }]);
});

const SHARED = `
  const memory = new WebAssembly.Memory({ initial: 1, maximum: Number(process.env.MAXIMUM ?? 9), shared: true });
  const make = (value, initial) => new WebAssembly.Global({ value, mutable: true }, initial);
  const globals = { i: make('i32', 0), l: make('i64', 0n), d: make('f64', 0) };
  const ckpt = await open();
  const s = ckpt.state('s', () => ({ step: 0 }));
  let twice;
  ckpt.wasm('heap', memory, { globals });
  try { ckpt.wasm('again', memory); } catch (error) { twice = error.code; }
  const untouched = () => [memory.buffer.byteLength / 65536, globals.l.value === 0n, new Int32Array(memory.buffer)[9]];
  const refused = await codeOf(() => ckpt.start());
  if (refused !== 'ok') {
    say('refused', { refused, untouched: untouched() });
    process.exit(0);
  }
  say('began', { step: s.step, l: String(globals.l.value), pages: memory.buffer.byteLength / 65536, twice });
  while (s.step < 6) {
    s.step++;
    memory.grow(1);
    Atomics.add(new Int32Array(memory.buffer), 9, s.step);
    globals.i.value -= s.step;
    globals.l.value = globals.l.value * 31n + 7n;
    globals.d.value = 1 / s.step;
    await ckpt.checkpoint('step-' + s.step);
  }
  say('end', { at: new Int32Array(memory.buffer)[9], i: globals.i.value, l: String(globals.l.value), d: globals.d.value });
  await ckpt.close();
`;

it('shared WebAssembly memory that grew goes on from an older named image; a maximum that is too small is refused and harms nothing', async () => {
  const lab = new Laboratory();
  const first = await lab.run(SHARED);
  expect(first['began']).toMatchObject({ step: 0, twice: 'ERR_CKPT_EXISTS' });
  const refused = await lab.run(SHARED, { env: { CKPT_RESTART: 'step-3', MAXIMUM: '3' } });
  expect(refused['refused']).toMatchObject({ refused: 'ERR_CKPT_SCHEMA', untouched: [1, true, 0] });
  const again = await lab.run(SHARED, { env: { CKPT_RESTART: 'step-3' } });
  expect(again['began']).toMatchObject({ step: 3, l: String((7n * 31n + 7n) * 31n + 7n), pages: 4 });
  expect(again['end']).toEqual(first['end']);
});

const PORTS = new URL('../faults/ports.mjs', import.meta.url).href;

const COUNTS = `
  const ckpt = await open(process.env.PORTS ? { ports: process.env.PORTS } : {});
  const c = ckpt.collection('c');
  const s = ckpt.state('s', () => ({ sync: 0 }));
  await ckpt.start();
  const content = () => [...c].map(([key, value]) => [key, value.n ?? value]);
  say('began', { content: content(), sync: s.sync });
`;

it('F63: what a collection had changed when the disk was full is in the next image, with deleted keys and order', async () => {
  const lab = new Laboratory();
  const [faults, log] = [join(lab.folder, 'faults.json'), join(lab.folder, 'fired.log')];
  const said = await lab.run(
    `${COUNTS}
    for (let i = 0; i < 2000; i++) c.set(i, { n: i });
    await ckpt.checkpoint('full');
    c.set(5, { n: 500 }).set('new', { n: 1 });
    c.delete(7);
    fs.writeFileSync(process.env.CKPT_FAULT_FILE, JSON.stringify({ thread: 'helper', op: 'write', nth: 1, action: 'errno:ENOSPC' }));
    const failed = await codeOf(() => ckpt.checkpoint());
    fs.writeFileSync(process.env.CKPT_FAULT_FILE, '[]');
    c.set('newer', { n: 2 });
    c.delete(8);
    c.delete(5);
    c.set(5, { n: 501 });
    const { bytes } = await ckpt.checkpoint();
    say('end', { failed, dirty: bytes, tail: content().slice(-4) });
    await ckpt.close();`,
    { env: { PORTS, CKPT_FAULT_FILE: faults, CKPT_FAULT_LOG: log } },
  );
  expect(readFileSync(log, 'utf8')).toMatch(/^helper write .*errno:ENOSPC\n$/);
  expect(said['end']).toMatchObject({ failed: 'ERR_CKPT_NO_SPACE' });
  expect(lab.leftovers()).toEqual([]);
  const next = await lab.run(`${COUNTS} await ckpt.close();`);
  const kept = Array.from({ length: 2000 }, (_, i) => [i, i]).filter(([i]) => i !== 5 && i !== 7 && i !== 8);
  const expected = [...kept, ['new', 1], ['newer', 2], [5, 501]];
  expect(next['began']?.['content']).toEqual(expected);
  const older = await lab.run(`${COUNTS} c.delete(0); await ckpt.checkpoint(); await ckpt.close();`, { env: { CKPT_RESTART: 'full' } });
  expect(older['began']?.['content']).toEqual(Array.from({ length: 2000 }, (_, i) => [i, i]));
  const after = await lab.run(`${COUNTS} await ckpt.close();`);
  expect(after['began']?.['content']).toEqual(Array.from({ length: 1999 }, (_, i) => [i + 1, i + 1]));
});

it('a collection is captured at safepointSync() and by finish(), and a clear or a key that comes again keeps the order of the program', async () => {
  const lab = new Laboratory();
  const first = await lab.start(`
    ${COUNTS}
    for (const key of ['a', 'b', 'c', 'd']) c.set(key, { n: 1 });
    c.delete('b');
    c.set('b', { n: 2 });
    await ckpt.checkpoint();
    c.clear();
    c.set('z', { n: 3 }).set('a', { n: 4 });
    c.get('z').n = 30;
    c.touch('z');
    s.sync = 1;
    let done = false;
    ckpt.on('committed', () => (done = true));
    const asked = ckpt.checkpoint('sync');
    ckpt.safepointSync();
    say('synced', { done });
    process.kill(process.pid, 'SIGKILL');`).ended;
  expect([first.signal, first.said.at(-1)]).toMatchObject(['SIGKILL', { done: true }]);
  const next = await lab.run(`${COUNTS} c.set('y', 5); c.delete('z'); await ckpt.finish();`);
  expect(next['began']).toMatchObject({
    content: [
      ['z', 30],
      ['a', 4],
    ],
    sync: 1,
  });
  const last = await lab.run(`${COUNTS} await ckpt.close();`);
  expect(last['began']).toMatchObject({
    content: [
      ['a', 4],
      ['y', 5],
    ],
  });
});
