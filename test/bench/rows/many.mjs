/** What a store with very many images costs. Arguments: store, and `list`, `open`, `prune-nothing` or `prune-half`; of these, how many images. */
import { openCheckpointer } from '@ckpt/sdk';
import { listImages } from '@ckpt/sdk/images';
import { report, timedAsync } from '../measure.mjs';

const [dir = '', what = '', images = '0'] = process.argv.slice(2);
const before = process.memoryUsage.rss();
/** Far more than there are, or half of them. */
const keep = what === 'prune-half' ? Number(images) / 2 : 1e6;

async function open() {
  const ckpt = await openCheckpointer({ dir, app: { name: 'bench' }, signals: {}, requests: false, keep });
  const state = ckpt.state('state', () => ({ step: 0 }));
  await ckpt.start();
  return { ckpt, state };
}

async function measured() {
  if (what === 'list') return timedAsync(() => listImages(dir));
  if (what === 'open') {
    const began = performance.now();
    const { ckpt } = await open();
    const ms = performance.now() - began;
    await ckpt.close();
    return ms;
  }
  const { ckpt, state } = await open();
  state.step++;
  await ckpt.checkpoint();
  // Pruning follows the commit, and comes to its end before this returns.
  return timedAsync(() => ckpt.close());
}

const ms = await measured();
report({ samples: { ms: [ms], memoryMiB: [(process.resourceUsage().maxRSS * 1024 - before) / 2 ** 20] } });
