/**
 * The program: integrates the solar system from J2000 over a century, writes the trajectory on the way and checks the end
 * against the theory. Kill it whenever you like and start it again: it goes on from its newest image.
 *
 *   node simulate.js [trajectory.csv]
 *
 * Environment: CKPT_DIR (where the images live), CKPT_RESTART (an image's name, or `never`), CKPT_DEMO_YEARS (default 100),
 * CKPT_DEMO_EVERY (time between two images, or `never`).
 */
import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openCheckpointer } from '@ckpt/sdk';
import { NAMES, TOLERANCE_ARCSEC } from './bodies.js';
import { createReporter } from './report.js';
import { begin, digest, forward, header, julianDate, lastStep, row, STEPS_PER_YEAR } from './system.js';
import { differences } from './theory.js';

const here = dirname(fileURLToPath(import.meta.url));
const output = process.argv[2] ?? `${here}/out/trajectory.csv`;
const every = process.env.CKPT_DEMO_EVERY ?? '100ms';

const ckpt = await openCheckpointer({ dir: process.env.CKPT_DIR ?? `${here}/ckpt`, every: every === 'never' ? false : every });
const system = ckpt.state('solar-system', () => begin(Number(process.env.CKPT_DEMO_YEARS ?? 100)));
const trajectory = ckpt.file('trajectory', output, { flags: 'w' });
const report = createReporter(system);
ckpt.on('committed', report.committed);
mkdirSync(dirname(output), { recursive: true });
const start = await ckpt.start();
report.started(start);

// A named image is never pruned: a quarter of the way can be gone back to until it is removed.
const end = lastStep(system);
const quarter = end / 4;
const name = `before-${2000 + system.years / 4}`;

// A restart finds in the file what was there at the capture: the header, and a row for each 15 days until then.
if (!start.restarted) trajectory.write(`${header()}${row(system)}`);
while (system.step < end) {
  if (system.step === quarter) await ckpt.checkpoint(name);
  forward(system);
  const line = row(system);
  if (line !== undefined) trajectory.write(line);
  if (system.step % (STEPS_PER_YEAR / 2) === 0) report.progress();
  await ckpt.safepoint();
}

await ckpt.finish();

const arcSeconds = differences(system.positions, julianDate(system));
report.ended(digest(system), arcSeconds, output);
process.exitCode = NAMES.every((_, body) => arcSeconds[body] <= TOLERANCE_ARCSEC[body]) ? 0 : 1;
