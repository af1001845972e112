/** Restarts with other members than the image has, where members have members: these follow their parents, or end with them. */
import { describe, expect, it } from 'vitest';
import { JOIN } from '../fixtures/member-ring.js';
import { Laboratory } from '../fixtures/sdk-program.js';

const files = {
  'parent.mjs': `${JOIN}
const own = ckpt.state('own', () => ({ words: [] }));
ckpt.worker('leaf', new URL('./leaf.mjs', import.meta.url), { workerData: { life: process.env.LIFE } });
if (process.env.TOOL) ckpt.worker('tool', new URL('./tool.mjs', import.meta.url), { opaque: 'restart' });
const { restarted } = await ckpt.start();
ckpt.channel('told', 'main').send({ restarted, words: own.words });
own.words.push('of the parent');
await ckpt.safe(new Promise((resolve) => setTimeout(resolve, 1e6)));
`,
  // Has one of its own: who follows may itself be followed.
  'leaf.mjs': `${JOIN}
const own = ckpt.state('own', () => ({ words: [] }));
if (workerData.life !== 'bud') ckpt.worker('bud', new URL('./leaf.mjs', import.meta.url), { workerData: { life: 'bud' } });
const { restarted } = await ckpt.start();
const told = ckpt.channel('told', 'main');
told.send({ restarted, words: own.words, workerData });
const orders = ckpt.channel('orders', 'main');
for (;;) {
  const word = await ckpt.safe(orders.receive());
  if (word === 'stand') {
    told.send('stands');
    await ckpt.safe(new Promise((resolve) => setTimeout(resolve, 1e6)));
  }
  own.words.push(word);
  told.send({ took: word });
}
`,
  'tool.mjs': `setInterval(() => {}, 1000);`,
};

/** An image in which the leaf and its bud have taken one word each and one more is on its way to each. */
const FIRST = `
const ckpt = await open({ dir: 'store' });
ckpt.worker('parent', new URL('./parent.mjs', import.meta.url));
await ckpt.start();
await ckpt.channel('told', 'parent').receive();
for (const name of ['leaf', 'bud']) {
  const [orders, told] = [ckpt.channel('orders', name), ckpt.channel('told', name)];
  await told.receive();
  orders.send('first of ' + name);
  await told.receive();
  orders.send('stand');
  await told.receive();
  orders.send('second of ' + name);
}
await ckpt.checkpoint();
process.kill(process.pid, 'SIGKILL');
`;

function program(declared: readonly string[], hook: string, then = ''): string {
  return `
const ckpt = await open({ dir: 'store' });
const script = (name) => new URL(name === 'parent' ? './parent.mjs' : './leaf.mjs', import.meta.url);
for (const name of ${JSON.stringify(declared)}) ckpt.worker(name, script(name), { workerData: { life: 'bud' } });
ckpt.rescale(${hook});
say('plan', { outcomes: (await ckpt.planRestart()).members.map(({ name, outcome, parent }) => [name, outcome, parent ?? 'main'].join(' ')) });
let error;
await ckpt.start().catch((thrown) => { error = thrown; });
const told = async (name, n) => { const all = []; while (all.length < n) all.push(await ckpt.safe(ckpt.channel('told', name).receive())); return all; };
if (error) say('refused', { code: error.code, message: error.message });
else { ${then} }
process.exit();
`;
}

async function recorded(env: NodeJS.ProcessEnv = {}): Promise<Laboratory> {
  const lab = new Laboratory(files);
  await lab.start(FIRST, { env: { LIFE: 'first', ...env } }).ended;
  expect(lab.images()).toHaveLength(1);
  return lab;
}

describe('a restart with other members, where members have members', () => {
  it('F47: lets nested members go on as recorded with a parent that does, at any depth, with the messages to them', async () => {
    const lab = await recorded();
    const said = await lab.run(
      program(
        ['parent', 'other'],
        `({ members, messages }) => {
  say('old', { members: members.map(({ name, parent, sections }) => [name, parent ?? 'main', ...sections.own.words].join(' ')) });
  for (const { sections } of members) sections.own.words.push('of no effect');
  return { members: { parent: 'recorded', other: {} }, messages };
}`,
        `say('begun', { parent: await told('parent', 1), leaf: await told('leaf', 2), bud: await told('bud', 2), other: await told('other', 1) });`,
      ),
      { env: { LIFE: 'second' } },
    );
    expect(said['plan']?.['outcomes']).toEqual(['parent rescale main', 'other rescale main', 'leaf rescale parent', 'bud rescale leaf']);
    expect(said['old']?.['members']).toEqual(['parent main of the parent', 'leaf parent first of leaf', 'bud leaf first of bud']);
    expect(said['begun']).toMatchObject({
      parent: [{ restarted: true, words: ['of the parent'] }],
      leaf: [{ restarted: true, words: ['first of leaf'], workerData: { life: 'first' } }, { took: 'second of leaf' }],
      bud: [{ restarted: true, words: ['first of bud'], workerData: { life: 'bud' } }, { took: 'second of bud' }],
      other: [{ restarted: false, words: [] }],
    });
  }, 60_000);

  it('ends them with a parent that is gone; their state and messages are for the hook, which must not forget or name them', async () => {
    const lab = await recorded({ TOOL: '1' });
    const wrong = {
      "from 'main' to 'leaf' on channel 'orders' is neither": `({ messages }) => ({ members: { other: {} }, dropped: messages.filter(({ to }) => to !== 'leaf') })`,
      "'leaf' is no member that the program declares": `({ messages }) => ({ members: { other: {} }, messages })`,
      "it was a member of 'parent'": `({ messages }) => ({ members: { other: {}, leaf: 'recorded' }, dropped: messages })`,
    };
    for (const [words, hook] of Object.entries(wrong)) {
      const { refused } = await lab.run(program(['other'], hook));
      expect(refused, words).toMatchObject({ code: 'ERR_CKPT_RESCALE' });
      expect(String(refused?.['message'])).toContain(words);
    }
    const said = await lab.run(
      program(
        ['other'],
        `({ members, messages }) => ({
  members: { other: { own: { words: members.flatMap(({ sections }) => sections.own.words) } } },
  messages: messages.map((message) => ({ ...message, to: 'other' })),
})`,
        `say('begun', { other: await told('other', 3) });`,
      ),
    );
    const outcomes = [...((said['plan']?.['outcomes'] as readonly string[] | undefined) ?? [])].sort(); // as program() says it
    expect(outcomes).toEqual([
      'bud rescale leaf',
      'leaf rescale parent',
      'other rescale main',
      'parent rescale main',
      'tool excluded parent',
    ]);
    expect(said['begun']).toMatchObject({
      other: [
        { restarted: true, words: ['of the parent', 'first of leaf', 'first of bud'] },
        { took: 'second of leaf' },
        { took: 'second of bud' },
      ],
    });
  }, 90_000);

  it('lets one that a parent with other state declares begin anew, with what that gives it', async () => {
    const lab = await recorded();
    const said = await lab.run(
      program(
        ['parent', 'other'],
        `({ messages }) => ({ members: { parent: { own: { words: ['given'] } }, other: {} }, dropped: messages })`,
        `say('begun', { parent: await told('parent', 1), leaf: await told('leaf', 1) }); await ckpt.checkpoint();`,
      ),
      { env: { LIFE: 'second' } },
    );
    expect(said['begun']).toMatchObject({
      parent: [{ restarted: true, words: ['given'] }],
      leaf: [{ restarted: false, words: [], workerData: { life: 'second' } }],
    });
  }, 60_000);
});
