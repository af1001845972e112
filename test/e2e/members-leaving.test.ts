/**
 * Members that end without finish(), and what they had to say: a message that was sent is never lost without a word.
 */
import { describe, expect, it } from 'vitest';
import { JOIN, KILLED_AFTER_AN_IMAGE, killing } from '../fixtures/member-ring.js';
import { Laboratory } from '../fixtures/sdk-program.js';
import { seeded } from '../fixtures/seeded.js';

const kinds = ['worker', 'fork'] as const;

describe('a member that ends by itself', () => {
  const SPEAKER = `${JOIN}
await ckpt.start();
for (const word of ['first', 'second']) ckpt.channel('words', 'main').send({ word });
ckpt.channel('aside', 'listener').send('for the listener');
ckpt.channel('lost', 'nobody').send('for nobody');
`;
  const LISTENER = `${JOIN}
await ckpt.start();
await ckpt.safe(ckpt.channel('now', 'main').receive());
ckpt.channel('heard', 'main').send(await ckpt.safe(ckpt.channel('aside', 'speaker').receive()));
await ckpt.finish();
`;

  it.each(kinds)(
    'F47: as a %s, leaves its last messages to those who open the channel later, through an image and a kill',
    async (kind) => {
      const lab = new Laboratory({ 'speaker.mjs': SPEAKER, 'listener.mjs': LISTENER });
      const program = `
const log = [];
const ckpt = await open({ dir: 'store', logger: { warn: (line) => log.push(String(line)), error() {} } });
const s = ckpt.state('s', () => ({ spoken: false, words: [] }));
ckpt.${kind}('listener', new URL('./listener.mjs', import.meta.url));
const speaker = s.spoken ? undefined : ckpt.${kind}('speaker', new URL('./speaker.mjs', import.meta.url));
await ckpt.start();
if (speaker !== undefined) {
  await ckpt.safe(speaker.done);
  s.spoken = true;
  await ckpt.checkpoint();
  say('spoken', { log });
  process.kill(process.pid, 'SIGKILL');
}
const words = ckpt.channel('words', 'speaker');
while (s.words.length < 2) s.words.push(await ckpt.safe(words.receive()));
ckpt.channel('now', 'listener').send(true);
say('heard', { words: s.words, heard: await ckpt.safe(ckpt.channel('heard', 'listener').receive()) });
await ckpt.finish();
`;
      const first = await lab.start(program).ended;
      expect(first.said.map(({ word }) => word)).toEqual(['spoken']);
      expect(first.said[0]?.['log']).toContainEqual(
        expect.stringMatching(/'speaker' has left, and with it 1 message on channel 'lost' for 'nobody'/),
      );
      expect((await lab.run(program))['heard']).toMatchObject({
        words: [{ word: 'first' }, { word: 'second' }],
        heard: 'for the listener',
      });
    },
  );

  it.each(['finishes', 'leaves', 'dies'])('holds up nobody that goes on sending to it once it %s', async (how) => {
    const ends = { finishes: 'await ckpt.finish();', leaves: '', dies: "throw new Error('dies');" }[how];
    const lab = new Laboratory({
      'deaf.mjs': `${JOIN}\nawait ckpt.start();\nawait ckpt.safe(ckpt.channel('words', 'main').receive());\n${ends}\n`,
    });
    const program = `
const ckpt = await open({ dir: 'store' });
const deaf = ckpt.worker('deaf', new URL('./deaf.mjs', import.meta.url));
deaf.done.catch(() => {});
await ckpt.start();
const words = ckpt.channel('words', 'deaf');
for (let i = 0; i < 200; i++) await words.send(i);
say('sent');
await ckpt.close();
`;
    expect(await lab.run(program)).toMatchObject({ sent: { word: 'sent' } });
  });
});

it.each(kinds)('F47: a %s that is declared anew gets what was sent to its name since', async (kind) => {
  const lab = new Laboratory({
    'w.mjs': `${JOIN}
await ckpt.start();
const words = ckpt.channel('words', 'main');
const word = await ckpt.safe(words.receive());
if (word === 'die') process.exit(3);
words.send('got ' + word);
await ckpt.safe(words.receive());
`,
  });
  const said = await lab.run(`
const ckpt = await open({ dir: 'store' });
const declared = () => ckpt.${kind}('m', new URL('./w.mjs', import.meta.url));
const first = declared();
await ckpt.start();
const words = ckpt.channel('words', 'm');
words.send('die');
await first.done.catch(() => {});
declared();
words.send('after');
say('heard', { answer: await words.receive() });
process.exit();
`);
  expect(said).toMatchObject({ heard: { answer: 'got after' } });
});

it('members that still run after the program has finished are told of, and a run that had finished is nobody to talk to', async () => {
  const lab = new Laboratory({
    'w.mjs': `${JOIN}\nawait ckpt.start();\nfor await (const x of ckpt.channel('c', 'main')) if (x === 'end') break;\n`,
  });
  const program = `
const heard = new Promise((resolve) => {
  globalThis.logger = { warn: (line) => String(line).includes('still run') && resolve(String(line)), error() {} };
});
const ckpt = await open({ dir: 'store', logger: globalThis.logger });
const w = ckpt.worker('w', new URL('./w.mjs', import.meta.url));
const { finished } = await ckpt.start();
const c = ckpt.channel('c', 'w');
if (finished) say('talking', { codes: [await codeOf(() => c.receive()), await codeOf(() => c.send(1)), await codeOf(() => c.request(1))] });
await ckpt.finish();
if (!finished) say('told', { line: await heard });
await w.terminate();
`;
  expect((await lab.run(program))['told']?.['line']).toMatch(/'w' \(declared at .*program-1\.mjs:\d+:\d+\) still run/);
  expect((await lab.run(program))['talking']).toMatchObject({ codes: ['ERR_CKPT_PHASE', 'ERR_CKPT_PHASE', 'ERR_CKPT_PHASE'] });
}, 60_000);

it('F47: members that come and go give each result once, however often the program is killed', async () => {
  const lab = new Laboratory({
    'short.mjs': `${JOIN}
const s = ckpt.state('s', () => ({ k: 0, sum: 0 }));
await ckpt.start();
for (; s.k < 20; s.k++) {
  await ckpt.safepoint();
  s.sum += s.k * Number(ckpt.name.slice(2));
  await new Promise((resolve) => setTimeout(resolve, 1));
}
ckpt.channel('result', 'main').send(s.sum);
`,
  });
  const program = `
const ckpt = await open({ dir: 'store', every: 15 });
const crew = ckpt.state('crew', () => ({ next: 0, owed: [], results: [] }));
const program = new URL('./short.mjs', import.meta.url);
ckpt.onMember(() => program);
await ckpt.start();
${KILLED_AFTER_AN_IMAGE}while (crew.next < 12 || crew.owed.length > 0) {
  for (; crew.next < 12 && crew.owed.length < 4; crew.next++) {
    crew.owed.push('w-' + crew.next);
    if (crew.next % 3 === 0) ckpt.fork('w-' + crew.next, program);
    else ckpt.worker('w-' + crew.next, program);
  }
  const result = await ckpt.safe(ckpt.channel('result', crew.owed[0]).receive());
  crew.results.push([crew.owed.shift(), result]);
}
say('results', { results: crew.results });
await ckpt.close();
`;
  const random = seeded(4747);
  for (let life = 0; life < 3; life++) {
    const ended = await lab.start(program, { env: killing(random) }).ended;
    expect(ended.said.filter(({ word }) => word === 'failed')).toEqual([]);
  }
  const { results } = await lab.run(program);
  expect(results?.['results']).toEqual(Array.from({ length: 12 }, (_, n) => [`w-${n}`, 190 * n]));
}, 120_000);
