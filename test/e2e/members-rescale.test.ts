/** Restarts with other members than the image has: what the rescale hook is shown, what it has to account for, what members get. */
import { describe, expect, it } from 'vitest';
import { JOIN } from '../fixtures/member-ring.js';
import { Laboratory } from '../fixtures/sdk-program.js';

/** Counts, has messages waiting for it, and says what it began with. */
const WORKER = `${JOIN}
const data = ckpt.state('data', () => ({ numbers: [], view: new Float64Array(2) }));
const tally = ckpt.collection('tally');
const { restarted } = await ckpt.start();
const orders = ckpt.channel('orders', 'main');
const told = ckpt.channel('told', 'main');
told.send({ data: { numbers: data.numbers, view: [...data.view] }, tally: [...tally], restarted, workerData });
for (;;) {
  const order = await ckpt.safe(orders.receive());
  if (order === 'stand') {
    told.send({ took: order });
    await ckpt.safe(new Promise((resolve) => setTimeout(resolve, 1e6)));
  }
  data.numbers.push(order);
  data.view[0] += order;
  tally.set(order, { seen: true });
  told.send({ took: order });
}
`;

/** Two workers; each has taken a number, stands, and two messages to it and one of it are on their way. */
const TWO = `
const ckpt = await open({ dir: 'store' });
for (const name of ['a', 'b']) ckpt.worker(name, new URL('./w.mjs', import.meta.url), { workerData: { of: 2 } });
await ckpt.start();
for (const [name, first] of [['a', 1], ['b', 10]]) {
  await ckpt.channel('told', name).receive();
  ckpt.channel('orders', name).send(first);
  await ckpt.channel('told', name).receive();
  ckpt.channel('orders', name).send('stand');
  await ckpt.channel('told', name).receive();
  ckpt.channel('orders', name).send(first + 1);
  ckpt.channel('orders', name).send(first + 2);
}
await ckpt.checkpoint();
process.kill(process.pid, 'SIGKILL');
`;

const files = { 'w.mjs': WORKER };

/** Starts with the members that `declare` says and tells how it went. */
function program(declare: string, hook: string, then = ''): string {
  return `
const ckpt = await open({ dir: 'store' });
const worker = (name, of) => ckpt.worker(name, new URL('./w.mjs', import.meta.url), { workerData: { of } });
${declare}
ckpt.rescale(${hook});
const outcomes = async () => (await ckpt.planRestart()).members.map(({ name, outcome }) => name + ' ' + outcome);
say('plan', { outcomes: await outcomes() });
let error;
await ckpt.start().catch((thrown) => { error = thrown; });
if (error) say('refused', { code: error.code, message: error.message });
else { ${then} }
process.exit();
`;
}

describe('a restart with other members', () => {
  it('hands the old state and the messages to the hook, and each new member begins with what it gives, messages included', async () => {
    const lab = new Laboratory(files);
    await lab.start(TWO).ended;
    const one = program(
      `worker('c', 1);`,
      `({ members, messages }) => {
  say('old', { members: members.map(({ name, kind, finished, workerData, args }) => ({ name, kind, finished, workerData, args })), messages });
  const both = members.map(({ sections }) => sections);
  const view = both.reduce((sum, { data }) => sum.map((x, i) => x + data.view[i]), new Float64Array(2));
  return {
    members: { c: { data: { numbers: both.flatMap(({ data }) => data.numbers), view }, tally: new Map(both.flatMap(({ tally }) => [...tally])) } },
    messages: messages.map((message) => ({ ...message, to: 'c' })),
  };
}`,
      `
const told = ckpt.channel('told', 'c');
const first = await ckpt.safe(told.receive());
const took = [];
for (let i = 0; i < 4; i++) took.push((await ckpt.safe(told.receive())).took);
say('begun', { first, took });
await ckpt.checkpoint();
`,
    );
    const said = await lab.run(one);
    expect(said['plan']).toMatchObject({ outcomes: ['c rescale', 'a rescale', 'b rescale'] });
    expect(said['old']).toMatchObject({
      members: [
        { name: 'a', kind: 'worker', finished: false, workerData: { of: 2 }, args: [] },
        { name: 'b', kind: 'worker', finished: false, workerData: { of: 2 }, args: [] },
      ],
      messages: [2, 3, 11, 12].map((value, id) => ({ id, channel: 'orders', from: 'main', to: value < 10 ? 'a' : 'b', value })),
    });
    expect(said['begun']).toMatchObject({
      first: {
        data: { numbers: [1, 10], view: [11, 0] },
        tally: [
          [1, { seen: true }],
          [10, { seen: true }],
        ],
        restarted: true,
        workerData: { of: 1 },
      },
      took: [2, 3, 11, 12],
    });
    // The image of the new set needs no hook, and what it holds is whole.
    const again = await lab.run(
      program(
        `worker('c', 7);`,
        `() => { throw new Error('not to be asked'); }`,
        `say('again', await ckpt.safe(ckpt.channel('told', 'c').receive()));`,
      ),
    );
    expect(again['plan']).toMatchObject({ outcomes: ['c match'] });
    expect(again['again']).toMatchObject({
      data: { numbers: [1, 10, 2, 3, 11, 12] },
      tally: [1, 10, 2, 3, 11, 12].map((number) => [number, { seen: true }]),
      workerData: { of: 1 },
    });
  });

  it('lets a member go on as recorded, beside one that begins anew', async () => {
    const lab = new Laboratory(files);
    await lab.start(TWO).ended;
    const said = await lab.run(
      program(
        `worker('a', 3); worker('b', 3); worker('c', 3);`,
        `({ members, messages }) => {
  members[0].sections.data.view[0] = -1; // of no effect on a member that goes on as recorded
  return { members: { a: 'recorded', b: 'recorded', c: {} }, messages };
}`,
        `
const tell = async (name, n) => { const all = []; for (let i = 0; i < n; i++) all.push(await ckpt.safe(ckpt.channel('told', name).receive())); return all; };
say('begun', { a: await tell('a', 3), b: await tell('b', 3), c: await tell('c', 1) });
`,
      ),
    );
    expect(said['begun']).toMatchObject({
      a: [{ data: { numbers: [1], view: [1, 0] }, restarted: true, workerData: { of: 2 } }, { took: 2 }, { took: 3 }],
      b: [{ data: { numbers: [10], view: [10, 0] }, restarted: true, workerData: { of: 2 } }, { took: 11 }, { took: 12 }],
      c: [{ data: { numbers: [], view: [0, 0] }, tally: [], restarted: false, workerData: { of: 3 } }],
    });
  });

  it('is refused, with nothing changed, where the hook throws or forgets a message', async () => {
    const lab = new Laboratory(files);
    await lab.start(TWO).ended;
    const images = lab.images();
    const wrong = {
      'it is too much': `() => { throw new Error('it is too much'); }`,
      'neither among messages nor among dropped': `({ messages }) => ({ members: { c: {} }, dropped: messages.slice(1) })`,
    };
    for (const [words, hook] of Object.entries(wrong)) {
      const { refused } = await lab.run(program(`worker('c', 1);`, hook));
      expect(refused, words).toMatchObject({ code: 'ERR_CKPT_RESCALE' });
      expect(String(refused?.['message'])).toContain(words);
    }
    expect(lab.images()).toEqual(images);
    const { begun } = await lab.run(
      program(
        `worker('a', 2); worker('b', 2);`,
        `() => { throw new Error('not to be asked'); }`,
        `say('begun', await ckpt.safe(ckpt.channel('told', 'a').receive()));`,
      ),
    );
    expect(begun).toMatchObject({ data: { numbers: [1] }, restarted: true });
  }, 60_000);

  it('is refused without a hook, and where the program has used a channel before start()', async () => {
    const lab = new Laboratory(files);
    await lab.start(TWO).ended;
    const start = `say('code', { code: await codeOf(() => ckpt.start()) }); process.exit();`;
    const declare = `
const ckpt = await open({ dir: 'store' });
ckpt.worker('c', new URL('./w.mjs', import.meta.url));
`;
    expect((await lab.run(`${declare}${start}`))['code']).toMatchObject({ code: 'ERR_CKPT_UNCLAIMED' });
    const drops = `ckpt.rescale(({ messages }) => ({ members: { c: {} }, dropped: messages }));`;
    const talks = `ckpt.channel('orders', 'c').send(5);`;
    expect((await lab.run(`${declare}${drops}${talks}${start}`))['code']).toMatchObject({ code: 'ERR_CKPT_PHASE' });
    const twice = `say('twice', { code: await codeOf(() => ckpt.rescale(() => ({ members: {} }))) });`;
    const said = await lab.run(`${declare}${drops}${twice}${start}`);
    expect(said).toMatchObject({ twice: { code: 'ERR_CKPT_EXISTS' }, code: { code: 'ok' } });
  });

  it('keeps a request between members that stay, and lets one that is dropped be asked again', async () => {
    const lab = new Laboratory({
      'w.mjs': `${JOIN}
const s = ckpt.state('s', () => ({ owed: [], served: [] }));
await ckpt.start();
const jobs = ckpt.channel('jobs', 'main');
if (process.env.ANSWER) for (const id of s.owed.splice(0)) jobs.reply(id, 'old');
for await (const { id, value } of jobs.requests()) {
  s.owed.push(id);
  s.served.push(value);
  if (process.env.ANSWER) { jobs.reply(id, 'new'); s.owed.length = 0; }
  else ckpt.channel('got', 'main').send(value);
}
`,
    });
    const declare = (names: string): string => `
const ckpt = await open({ dir: 'store' });
for (const name of ${names}) ckpt.worker(name, new URL('./w.mjs', import.meta.url));
const ask = (who, what) => ckpt.safe(ckpt.channel('jobs', who).request(what));
`;
    await lab.start(`${declare(`['a', 'b']`)}
await ckpt.start();
void ckpt.channel('jobs', 'a').request('first'); void ckpt.channel('jobs', 'b').request('second');
for (const who of ['a', 'b']) await ckpt.channel('got', who).receive();
await ckpt.checkpoint();
process.kill(process.pid, 'SIGKILL');
`).ended;
    const said = await lab.run(
      `${declare(`['a', 'c']`)}
ckpt.rescale(({ members, messages }) => {
  say('old', { messages });
  return {
    members: { a: 'recorded', c: {} },
    messages: messages.filter(({ to }) => to === 'a'),
    dropped: messages.filter(({ to }) => to === 'b'),
  };
});
await ckpt.start();
say('replies', { first: await ask('a', 'first'), second: await ask('c', 'second') });
process.exit();
`,
      { env: { ANSWER: '1' } },
    );
    expect(said['old']).toMatchObject({
      messages: [
        { channel: 'jobs', from: 'main', to: 'a', value: 'first', request: 'owed' },
        { channel: 'jobs', from: 'main', to: 'b', value: 'second', request: 'owed' },
      ],
    });
    expect(said['replies']).toMatchObject({ first: 'old', second: 'new' });
  });
});
