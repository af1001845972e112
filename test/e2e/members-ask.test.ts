/** Who asks and who ends: checkpoints that members ask for, and ends at awkward moments. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { JOIN } from '../fixtures/member-ring.js';
import { nodePath } from '../fixtures/node.js';
import { Laboratory } from '../fixtures/sdk-program.js';

const PATIENT = 120_000;

/** Asks once it is told to, and tells what came of it. */
const ASKS = `${JOIN}
await ckpt.start();
const orders = ckpt.channel('orders', 'main');
for await (const name of orders) {
  const tell = ckpt.channel('told', 'main');
  try {
    const signal = name === 'aborted' ? AbortSignal.abort() : undefined;
    const { image, reason } = await ckpt.checkpoint(name, signal && { signal });
    tell.send({ id: image.id, names: image.names, reason });
  } catch ({ code }) {
    tell.send({ code });
  }
}
`;

it(
  'two checkpoints that two members ask for at once share one image, and each member is answered',
  async () => {
    const said = await new Laboratory({ 'w.mjs': ASKS }).run(`
const ckpt = await open({ dir: 'store' });
const program = new URL('./w.mjs', import.meta.url);
ckpt.worker('thread', program);
ckpt.fork('process', './w.mjs');
await ckpt.start();
let images = 0;
ckpt.on('committed', () => images++);
const told = (who) => ckpt.safe(ckpt.channel('told', who).receive());
const ask = (who, name) => ckpt.channel('orders', who).send(name);
// Both are asked while the program does not stand, so that neither is served before the other has asked.
ask('thread', 'one');
ask('process', 'two');
await new Promise((resolve) => {
  let asked = 0;
  ckpt.on('requested', () => ++asked === 2 && resolve());
});
say('answers', { answers: [await told('thread'), await told('process')], images });
ask('thread', 'one');
say('again', await told('thread'));
ask('process', 'aborted');
say('aborted', await told('process'));
process.exit();
`);
    const { answers, images } = said['answers'] as unknown as {
      answers: { id: string; names: string[]; reason: string }[];
      images: number;
    };
    expect(images).toBe(1);
    expect(new Set(answers.map(({ id }) => id)).size).toBe(1);
    expect(answers[0]?.reason).toBe('call');
    expect(answers[0]?.names.toSorted()).toEqual(['one', 'two']); // whichever asked first
    expect(said).toMatchObject({ again: { code: 'ERR_CKPT_NAME_TAKEN' }, aborted: { code: 'ERR_CKPT_ABORTED' } });
  },
  PATIENT,
);

it(
  'F45: a member that exits with code 0 during its own capture has left, and the image is whole without it',
  async () => {
    const lab = new Laboratory({
      'w.mjs': `${JOIN}
ckpt.provide('p', { capture: () => (workerData === 'leaves' ? process.exit(0) : 1), restore() {} });
await ckpt.start();
for (;;) await ckpt.safepoint();
`,
    });
    const said = await lab.run(`
const ckpt = await open({ dir: 'store', quiesceTimeout: '20s', handlerTimeout: '20s' });
const [leaves] = ['leaves', 'stays'].map((name) => ckpt.worker(name, new URL('./w.mjs', import.meta.url), { workerData: name }));
await ckpt.start();
say('first', { code: await codeOf(() => ckpt.checkpoint()), done: await codeOf(() => leaves.done) });
say('second', { code: await codeOf(() => ckpt.checkpoint()) });
const { statImage } = await import('@ckpt/sdk/images');
say('members', { names: (await statImage('store')).members.map(({ name }) => name) });
process.exit();
`);
    expect(said['first']?.['done']).toBe('ok');
    expect(['ok', 'ERR_CKPT_MEMBER']).toContain(said['first']?.['code']);
    expect(said).toMatchObject({ second: { code: 'ok' }, members: { names: ['main', 'stays'] } });
  },
  PATIENT,
);

/** Counts in shared steps, in threads and processes, until it is ended. */
const ENDLESS = `${JOIN}
const s = ckpt.state('s', () => ({ step: 0 }));
await ckpt.start();
ckpt.channel('began', 'main').send(s.step);
for (;; s.step++) await ckpt.safepoint(s.step);
`;

it(
  'F64: the program dies first: its threads and processes die with it, and the next life goes on from its image',
  async () => {
    const program = `
const ckpt = await open({ dir: 'store' });
ckpt.fork('kid', './w.mjs');
ckpt.worker('thread', new URL('./w.mjs', import.meta.url));
await ckpt.start();
const began = [await ckpt.channel('began', 'kid').receive(), await ckpt.channel('began', 'thread').receive()];
say('began', { began });
await ckpt.checkpoint();
say('image');
await ckpt.safe(new Promise(() => {}));
`;
    const lab = new Laboratory({ 'w.mjs': ENDLESS });
    const first = lab.start(program);
    await first.hear('began');
    await first.hear('image');
    first.kill('SIGKILL');
    await first.ended; // the child holds its output as long as it lives
    const second = lab.start(program);
    const [kid, thread] = (await second.hear('began'))['began'] as number[];
    expect(kid).toBe(thread);
    second.kill('SIGKILL');
    await second.ended;
  },
  PATIENT,
);

it(
  'SIGUSR1 to the whole process group is one checkpoint, and ends no member',
  async () => {
    const lab = new Laboratory({
      'w.mjs': ENDLESS,
      'group.mjs': `
import { writeSync } from 'node:fs';
import { openCheckpointer } from '@ckpt/sdk';
const ckpt = await openCheckpointer({ dir: 'store', app: { name: 'group' }, signals: { SIGUSR1: 'checkpoint' }, requests: false });
const kids = ['a', 'b'].map((name) => ckpt.fork(name, './w.mjs'));
await ckpt.start();
for (const name of ['a', 'b']) await ckpt.channel('began', name).receive();
const reasons = [];
ckpt.on('committed', ({ reason }) => reasons.push(reason));
const first = new Promise((resolve) => ckpt.once('committed', resolve));
process.kill(-process.pid, 'SIGUSR1');
await ckpt.safe(first);
await ckpt.checkpoint();
writeSync(1, JSON.stringify({ reasons, alive: kids.every(({ pid }) => process.kill(pid, 0)) }));
process.exit();
`,
    });
    const child = spawn(nodePath, ['group.mjs'], { cwd: lab.folder, detached: true, stdio: ['ignore', 'pipe', 'inherit'] });
    let text = '';
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
    });
    const [code] = await once(child, 'close');
    expect(code).toBe(0);
    expect(JSON.parse(text)).toEqual({ reasons: ['signal', 'call'], alive: true });
  },
  PATIENT,
);

it(
  'safepointSync() in a program with members is refused with its reason, and its members may use it',
  async () => {
    const lab = new Laboratory();
    writeFileSync(join(lab.folder, 'w.mjs'), `${JOIN}\nawait ckpt.start();\nfor (;;) ckpt.safepointSync();\n`);
    const said = await lab.run(`
const ckpt = await open({ dir: 'store' });
ckpt.worker('w', new URL('./w.mjs', import.meta.url));
await ckpt.start();
const image = ckpt.checkpoint();
say('sync', { code: await codeOf(() => ckpt.safepointSync()) });
say('image', { code: await codeOf(() => image) });
process.exit();
`);
    expect(said).toMatchObject({ sync: { code: 'ERR_CKPT_PHASE' }, image: { code: 'ok' } });
  },
  PATIENT,
);
