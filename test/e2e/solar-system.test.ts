/**
 * The main job: its physics against the published theory, and its demo with a shorter time span.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { GM, J2000, NAMES, TOLERANCE_ARCSEC } from '../../packages/examples/solar-system/bodies.js';
import { advance } from '../../packages/examples/solar-system/integrator.js';
import { planKills } from '../../packages/examples/solar-system/plan.js';
import { begin, digest, forward, header, julianDate, lastStep, row } from '../../packages/examples/solar-system/system.js';
import { differences, heliocentricTheory, toBarycentric } from '../../packages/examples/solar-system/theory.js';

const nodePath = process.env['CKPT_TEST_NODE'] ?? process.execPath;
const example = (file: string): string => fileURLToPath(new URL(`../../packages/examples/solar-system/${file}`, import.meta.url));

/** How far a circular two-body orbit is off after one period with that many steps. */
function circleError(steps: number): number {
  const positions = Float64Array.of(0, 0, 0, 1, 0, 0);
  const velocities = Float64Array.of(0, 0, 0, 0, 1, 0);
  for (let step = 0; step < steps; step++) advance(positions, velocities, Float64Array.of(1, 0), (2 * Math.PI) / steps);
  return Math.hypot((positions[3] ?? 0) - 1, positions[4] ?? 0, positions[5] ?? 0);
}

describe('the physics', () => {
  it('halving the step divides the error of the integrator by sixteen', () => {
    expect(circleError(100) / circleError(200)).toBeCloseTo(16, 0);
  });

  it('the velocities of the theory are the derivatives of its positions', () => {
    const h = 0.01;
    const { velocities } = heliocentricTheory(J2000);
    const after = heliocentricTheory(J2000 + h).positions;
    const before = heliocentricTheory(J2000 - h).positions;
    for (const [i, velocity] of velocities.entries()) {
      expect(((after[i] ?? 0) - (before[i] ?? 0)) / (2 * h)).toBeCloseTo(velocity, 7);
    }
  });

  it('the barycentric frame has neither position nor momentum as a whole', () => {
    const { positions, velocities } = toBarycentric(heliocentricTheory(J2000));
    for (const vectors of [positions, velocities]) {
      for (let axis = 0; axis < 3; axis++) {
        const sum = GM.reduce((total, gm, body) => total + gm * (vectors[3 * body + axis] ?? 0), 0);
        expect(Math.abs(sum)).toBeLessThan(1e-18);
      }
    }
  });

  it('after a century every planet is where the theory has it, within its tolerance', () => {
    const system = begin(100);
    while (system.step < lastStep(system)) forward(system);
    const arcSeconds = differences(system.positions, julianDate(system));
    for (const [body, name] of NAMES.entries()) {
      expect(arcSeconds[body], name).toBeLessThanOrEqual(TOLERANCE_ARCSEC[body] ?? 0);
      expect(arcSeconds[body], `${name}, as measured when it was written`).toBeLessThan(25);
    }
  }, 60_000);

  it('two runs have the same bits, and a difference in the last place shows in the hash', () => {
    const [one, other] = [begin(1), begin(1)];
    for (let step = 0; step < 5000; step++) {
      forward(one);
      forward(other);
    }
    expect(digest(one)).toBe(digest(other));
    other.positions[0] = (other.positions[0] ?? 0) * (1 + Number.EPSILON);
    expect(digest(one)).not.toBe(digest(other));
  });

  it('the numbers of the trajectory read back as the same bits', () => {
    const system = begin(1);
    const columns = header().trimEnd().split(',').length;
    let rows = 0;
    for (; system.step < lastStep(system); forward(system)) {
      const line = row(system);
      if (line === undefined) continue;
      rows++;
      const [date, ...positions] = line.trimEnd().split(',').map(Number);
      expect(date).toBe(julianDate(system));
      expect(positions).toHaveLength(columns - 1);
      expect(Float64Array.from(positions)).toEqual(system.positions);
    }
    expect(rows).toBe(1 + Math.floor(365.25 / 15));
  });
});

describe('the plan of kills', () => {
  it('is the same for the same seed, lies before the end, and goes back to the named image after it was taken', () => {
    expect(planKills(7)).toEqual(planKills(7));
    expect(planKills(7)).not.toEqual(planKills(8));
    for (let seed = 0; seed < 200; seed++) {
      const kills = planKills(seed);
      expect(kills.length).toBeGreaterThanOrEqual(5);
      expect(kills.every(({ fraction }) => fraction > 0 && fraction < 0.85)).toBe(true);
      expect(kills.filter(({ thenFromName, fraction }) => thenFromName && fraction > 0.25)).toHaveLength(1);
    }
  });
});

describe('the programs', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'ckpt-solar-'));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  async function run(
    file: string,
    args: string[],
    environment: Record<string, string>,
  ): Promise<{ code: number; stdout: string; stderr: string }> {
    const env = { ...process.env, NO_COLOR: '1', CKPT_DEMO_OUT: join(folder, 'out'), CKPT_DIR: join(folder, 'store'), ...environment };
    const child = spawn(nodePath, [example(file), ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] });
    let [stdout, stderr] = ['', ''];
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    const [code] = await once(child, 'close');
    return { code: Number(code ?? -1), stdout, stderr };
  }

  it('the demo survives its kills and ends with the bits of an undisturbed run', async () => {
    const { code, stdout, stderr } = await run('demo.js', [], { CKPT_DEMO_YEARS: '60', CKPT_DEMO_SEED: '1' });
    expect(stderr).toBe('');
    expect(stdout).toContain('identical: yes');
    expect(stdout).toMatch(/kills survived +6/);
    expect(stdout).toMatch(/before-2015, 2015\.00 +on purpose/);
    expect(stdout).toMatch(/image \d+, 20\d\d\.\d\d/);
    expect(stdout.includes('\u001b')).toBe(false);
    expect(code).toBe(0);
    const [undisturbed, killed] = ['undisturbed.csv', 'killed.csv'].map((name) => readFileSync(join(folder, 'out', name), 'utf8'));
    expect(killed === undisturbed).toBe(true);
  }, 120_000);

  it('a start after the end says so, computes nothing, and ends the same', async () => {
    const output = join(folder, 'trajectory.csv');
    const first = await run('simulate.js', [output], { CKPT_DEMO_YEARS: '4' });
    expect(first).toMatchObject({ code: 0, stderr: '' });
    expect(existsSync(output)).toBe(true);
    const again = await run('simulate.js', [output], { CKPT_DEMO_YEARS: '4' });
    expect(again).toMatchObject({ code: 0, stderr: '' });
    expect(again.stdout).toContain('Already finished');
    expect(again.stdout.match(/state +\w+/)?.[0]).toBe(first.stdout.match(/state +\w+/)?.[0]);
  }, 60_000);
});
