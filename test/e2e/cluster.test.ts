/** node:cluster: the primary holds the checkpointer and what is outstanding; its workers hold nothing that has to survive. */
import { expect, it } from 'vitest';
import { Laboratory } from '../fixtures/sdk-program.js';

it('a worker of node:cluster is told at once to leave the checkpointer to its primary', async () => {
  const said = await new Laboratory().run(`
import cluster from 'node:cluster';
import { joinCheckpointer } from '@ckpt/sdk/member';
if (cluster.isWorker) {
  const opened = await codeOf(() => open({ dir: 'store', lockWait: '1h' }));
  process.send({ opened, joined: await codeOf(joinCheckpointer) }, () => process.exit());
} else {
  const ckpt = await open({ dir: 'store' });
  await ckpt.start();
  const told = await new Promise((resolve) => cluster.fork().on('message', resolve));
  await ckpt.checkpoint();
  say('told', told);
  await ckpt.close();
}
`);
  expect(said['told']).toMatchObject({ opened: 'ERR_CKPT_MEMBER', joined: 'ERR_CKPT_MEMBER' });
});

it('F47: requests that workers of a cluster have not answered at the checkpoint are sent again, and each answer counts once', async () => {
  const lab = new Laboratory();
  const patient = { patienceMs: 100_000 };
  const program = `
import cluster from 'node:cluster';
if (cluster.isWorker) {
  process.on('message', (number) => setTimeout(() => process.send({ number, square: number * number }), number % 7));
  process.send('ready'); // what is sent to a worker of a cluster before it listens is lost
} else {
  const ckpt = await open({ dir: 'store', every: 50 });
  const work = ckpt.state('work', () => ({ next: 0, outstanding: new Set(), answers: 0, sum: 0 }));
  const { restarted } = await ckpt.start();
  say('begun', { outstanding: work.outstanding.size });
  const answers = [];
  let arrived = () => {};
  const workers = [cluster.fork(), cluster.fork()];
  await Promise.all(workers.map((worker) => new Promise((resolve) => worker.once('message', resolve))));
  for (const worker of workers) worker.on('message', (answer) => { answers.push(answer); arrived(); });
  const send = (number) => workers[number % 2].send(number);
  for (const number of work.outstanding) send(number);
  while (work.answers < 60) {
    for (; work.next < 60 && work.outstanding.size < 16; work.next++) {
      work.outstanding.add(work.next);
      send(work.next);
    }
    if (!restarted && work.answers === 20) {
      await ckpt.checkpoint();
      process.kill(process.pid, 'SIGKILL');
    }
    if (answers.length === 0) await ckpt.safe(new Promise((resolve) => { arrived = resolve; }));
    const answer = answers.shift();
    if (answer === undefined || !work.outstanding.delete(answer.number)) continue;
    work.answers++;
    work.sum += answer.square;
  }
  for (const worker of workers) worker.kill();
  say('sum', work);
  await ckpt.close();
}
`;
  expect((await lab.start(program, patient).ended).signal).toBe('SIGKILL');
  const said = await lab.run(program, patient);
  expect(said['begun']?.['outstanding']).toBeGreaterThan(0);
  expect(said['sum']).toMatchObject({ answers: 60, sum: (59 * 60 * 119) / 6 });
}, 240_000);
