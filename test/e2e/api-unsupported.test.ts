/** Values that cannot be carried: refused, or left out where a provider asks for it, with a whole restart in between. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { nodePath } from '../fixtures/node.js';
import { Laboratory } from '../fixtures/sdk-program.js';

const CLI = join(import.meta.dirname, '../../packages/sdk/dist/cli.js');

const PROGRAM = `
  const warnings = [];
  const ckpt = await open({ logger: { warn: (text) => warnings.push(text), error() {} } });
  const make = () => ({ step: 0, onStep: () => 1, list: [1, Symbol('s')], cache: new WeakMap() });
  const sim = ckpt.state('sim', make, { onUnsupported: 'drop' });
  const given = [];
  ckpt.provide('log', {
    capture: () => ({ open: Promise.resolve(), lines: 3 }),
    restore: (value) => given.push(Object.keys(value).join()),
    onUnsupported: 'drop',
  });
  ckpt.state('whole', () => ({ n: 1 }));
  const plan = await ckpt.planRestart();
  await ckpt.start();
  say('began', { keys: Object.keys(sim), list: sim.list.map((one) => typeof one), step: sim.step, given,
    plan: plan.providers.map(({ name, outcome, dropped }) => [name, outcome, dropped]) });
  for (let i = 0; i < 3; i++) {
    sim.step++;
    sim.onStep = () => 2;
    await ckpt.checkpoint();
  }
  say('warned', { warnings });
  if (process.env.DIE) process.kill(process.pid, 'SIGKILL');
  await ckpt.close();
`;

const SIM = {
  count: 3,
  first: [
    { path: 'sim.onStep', what: 'a function' },
    { path: 'sim.cache', what: 'a WeakMap' },
    { path: 'sim.list[1]', what: 'a symbol' },
  ],
};
const LOG = { count: 1, first: [{ path: 'log.open', what: 'a promise' }] };

it('what a provider asked to leave out is told in a warning, in the image, by the tools and by the plan, and is missing after a restart', async () => {
  const lab = new Laboratory();
  const first = await lab.start(PROGRAM, { env: { DIE: '1' } }).ended;
  const warnings = first.said.find(({ word }) => word === 'warned')?.['warnings'];
  expect(warnings).toEqual([
    expect.stringContaining('sim.onStep (a function), sim.cache (a WeakMap), sim.list[1] (a symbol)'),
    expect.stringContaining('log.open (a promise)'),
  ]);
  const [image = ''] = lab.images();
  const said = await lab.run(`
    import { readImage, statImage } from '@ckpt/sdk/images';
    const image = await readImage(${JSON.stringify(join(lab.store, 'images', image))});
    const sections = async ({ sections }) => Object.fromEntries(sections.map(({ name, dropped }) => [name, dropped ?? 'nothing']));
    say('read', await sections(image));
    say('value', { keys: Object.keys(await image.section('sim')) });
    await image.close();
    say('stat', await sections(await statImage()));
  `);
  for (const word of ['read', 'stat']) expect(said[word]).toMatchObject({ sim: SIM, log: LOG, whole: 'nothing' });
  expect(said['value']).toMatchObject({ keys: ['step', 'list'] });
  const { CKPT_RESTART: _, ...env } = process.env;
  const ckpt = (...args: readonly string[]) => promisify(execFile)(nodePath, [CLI, '--dir', lab.store, ...args], { cwd: lab.folder, env });
  expect((await ckpt('stat')).stdout).toMatch(/left out of sim, because it cannot be carried:\n {2}sim\.onStep \(a function\)/);
  expect((await ckpt('restart', '--dry-run')).stdout).toMatch(
    /left out of log, because it cannot be carried:\n {2}log\.open \(a promise\)/,
  );

  const second = await lab.run(PROGRAM);
  expect(second['began']).toMatchObject({
    keys: ['step', 'list'],
    list: ['number', 'undefined'],
    step: 3,
    given: ['lines'],
    plan: [
      ['sim', 'match', SIM],
      ['log', 'match', LOG],
      ['whole', 'match', null],
    ],
  });
});

it('has to be asked for: by default the value is refused, and another answer than refuse or drop is a TypeError', async () => {
  const said = await new Laboratory().run(`
    const ckpt = await open();
    const init = () => ({ f: () => 1 });
    say('codes', { codes: [
      await codeOf(() => ckpt.state('a', init)),
      await codeOf(() => ckpt.state('b', init, { onUnsupported: 'refuse' })),
      await codeOf(() => ckpt.state('c', init, { onUnsupported: 'ignore' })),
      await codeOf(() => ckpt.provide('d', { capture: () => 1, restore() {}, onUnsupported: true })),
      await codeOf(() => ckpt.state('e', () => () => 1, { onUnsupported: 'drop' })),
      await codeOf(() => ckpt.state('f', init, { onUnsupported: 'drop' })),
    ] });
    await ckpt.close();
  `);
  const codes = ['ERR_CKPT_UNSUPPORTED_VALUE', 'ERR_CKPT_UNSUPPORTED_VALUE', 'TypeError', 'TypeError', 'TypeError', 'ok'];
  expect(said['codes']?.['codes']).toEqual(codes);
});

it('F16: a handle, port, worker, timer or WebAssembly memory in the state is refused with the call that takes it', async () => {
  const said = await new Laboratory().run(`
    import { MessageChannel, Worker } from 'node:worker_threads';
    import { fork } from 'node:child_process';
    import { open as openFile } from 'node:fs/promises';
    const { port1 } = new MessageChannel();
    const worker = new Worker('setInterval(() => {}, 1000)', { eval: true });
    const child = fork('-e', ['setInterval(() => {}, 1000)'], { execArgv: [], stdio: 'ignore' });
    child.on('error', () => {});
    const file = await openFile(process.argv[1], 'r');
    const timer = setTimeout(() => {}, 60_000);
    const handles = { memory: new WebAssembly.Memory({ initial: 1 }), port: port1, worker, child, file, timer };
    const ckpt = await open();
    const refusals = {};
    for (const [name, handle] of Object.entries(handles)) {
      try {
        ckpt.state(name, () => ({ deep: [handle] }));
      } catch (error) {
        refusals[name] = [error.code, error.path, /(ckpt\\.\\w+)\\(/.exec(error.message)?.[1]];
      }
    }
    say('refusals', refusals);
    class Late {}
    let late;
    try { ckpt.registerClass('Late', Late); } catch (error) { late = [error.name, error.message]; }
    say('late', { late });
    port1.close();
    clearTimeout(timer);
    child.kill();
    await file.close();
    await worker.terminate();
    await ckpt.close();
  `);
  const refused = (name: string, call: string): unknown => ['ERR_CKPT_UNSUPPORTED_VALUE', `${name}.deep[0]`, `ckpt.${call}`];
  expect(said['refusals']).toMatchObject({
    memory: refused('memory', 'wasm'),
    port: refused('port', 'channel'),
    worker: refused('worker', 'worker'),
    child: refused('child', 'fork'),
    file: refused('file', 'file'),
    timer: refused('timer', 'timer'),
  });
  const message = expect.stringMatching(/registerClass\('Late', …\): classes are registered before the first state\(\)/);
  expect(said['late']).toMatchObject({ late: ['TypeError', message] });
});
