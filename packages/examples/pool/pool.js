/**
 * How the primes thin out, counted block by block on the threads of Piscina.
 *
 *   node pool.js FOLDER [BLOCKS]
 *
 * The threads hold no state that has to survive: the blocks that are not counted yet are the state. Killed at any moment and
 * started again, it submits those again; none is left out, and none is counted twice. Writes FOLDER/primes.json at the end.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { openCheckpointer } from '@ckpt/sdk';
import { Piscina } from 'piscina';

const [folder = 'out', blocks = '400'] = process.argv.slice(2);
const total = Number(blocks);
mkdirSync(folder, { recursive: true });
const ckpt = await openCheckpointer({
  dir: join(folder, 'ckpt'),
  every: process.env.CKPT_POOL_EVERY ?? '1s',
  app: { name: 'pool' },
  openFiles: 'ignore', // the threads of the pool have pipes of their own
});

const work = ckpt.state('work', () => ({ next: 0, outstanding: new Set(), counted: 0, primes: new Uint32Array(total) }));
const { restarted, finished } = await ckpt.start();
console.log(restarted ? `going on: ${work.counted} counted, ${work.outstanding.size} submitted again` : 'beginning');

if (!finished) {
  const pool = new Piscina({ filename: new URL('./count-primes.js', import.meta.url).href, maxThreads: 2 });
  const running = new Map();
  /** @param {number} block */
  const submit = (block) =>
    running.set(
      block,
      pool.run(block).then((primes) => ({ block, primes })),
    );
  for (const block of work.outstanding) submit(block); // of the life before
  while (work.counted < total) {
    for (; work.next < total && running.size < 8; work.next++) {
      work.outstanding.add(work.next);
      submit(work.next);
    }
    const { block, primes } = await ckpt.safe(Promise.race(running.values()));
    // A result counts together with its leaving the outstanding ones: no image is between the two.
    running.delete(block);
    work.outstanding.delete(block);
    work.primes[block] += primes;
    work.counted++;
  }
  await pool.destroy();
  const sum = work.primes.reduce((all, primes) => all + primes, 0);
  writeFileSync(join(folder, 'primes.json'), `${JSON.stringify({ counted: work.counted, sum, primes: [...work.primes] })}\n`);
  await ckpt.finish();
}
