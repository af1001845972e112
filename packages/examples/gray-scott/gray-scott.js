/**
 * Spots that divide: the Gray-Scott reaction on a large grid, with a picture of it now and then. Every second an image is
 * written while it goes on; at the end it says what that cost.
 *
 *   node gray-scott.js FOLDER [SIZE] [STEPS]
 *
 * Writes FOLDER/frames/00000.png and so on, and FOLDER/result.txt. Kill it whenever you like and start it again.
 * Environment: CKPT_GRAY_SCOTT_EVERY (time between two images, default 1s).
 */
import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { openCheckpointer } from '@ckpt/sdk';
import { encode } from 'fast-png';
import { begin, forward } from './reaction.js';

const [folder = 'out', size = '1024', steps = '2000'] = process.argv.slice(2);
const every = process.env.CKPT_GRAY_SCOTT_EVERY ?? '1s';
const frameEvery = 100;
mkdirSync(join(folder, 'frames'), { recursive: true });

const ckpt = await openCheckpointer({
  dir: join(folder, 'ckpt'),
  app: { name: 'gray-scott' },
  every,
  roots: [folder], // frames that only an image knows lie here
  // The report on open files looks while the program goes on already, and may see a frame that was opened since.
  files: [{ pattern: join(folder, 'frames/*.png'), policy: 'ignore' }],
});
const reaction = ckpt.state('reaction', () => begin(Number(size)));
const cost = { images: 0, stoodMs: 0, longestMs: 0 };
ckpt.on('captured', ({ freezeMs }) => {
  cost.images++;
  cost.stoodMs += freezeMs;
  cost.longestMs = Math.max(cost.longestMs, freezeMs);
});
const { restarted, finished } = await ckpt.start();
console.log(restarted ? `going on from step ${reaction.step}` : 'beginning');

if (!finished) {
  const between = { u: new Float32Array(reaction.u.length), v: new Float32Array(reaction.v.length) };
  const began = performance.now();
  while (reaction.step < Number(steps)) {
    await ckpt.safepoint();
    // Goes on from here: a frame that was half written at a kill is written again.
    if (reaction.step % frameEvery === 0) await writeFrame();
    forward(reaction, between);
  }
  await writeFrame();
  const ranMs = performance.now() - began;
  const share = ((100 * cost.stoodMs) / ranMs).toFixed(2);
  console.log(
    `${cost.images} images in ${(ranMs / 1000).toFixed(1)} s: stood ${cost.stoodMs.toFixed(1)} ms for them, ${share} % of the time, ` +
      `${cost.longestMs.toFixed(1)} ms at most`,
  );
  const digest = createHash('sha256').update(reaction.u).update(reaction.v).digest('hex');
  writeFileSync(join(folder, 'result.txt'), `step ${reaction.step}: ${digest}\n`);
  await ckpt.finish();
}

/** A picture of V, white where there is none. */
async function writeFrame() {
  const data = Uint8Array.from(reaction.v, (v) => 255 - Math.min(255, Math.round(v * 640)));
  const png = encode({ width: reaction.size, height: reaction.size, data, channels: 1, depth: 8 });
  const number = String(reaction.step / frameEvery).padStart(5, '0');
  // One handle after the other under one name; what a life wrote behind its last image, the next start takes back.
  const frame = ckpt.file('frame', join(folder, 'frames', `${number}.png`), { flags: 'w' });
  const pressure = frame.write(png);
  if (pressure !== undefined) await pressure;
  await frame.close();
}
