/**
 * The files of a program through its lives: ended in every way, killed before its first image, stopped and overtaken, copied
 * while it runs.
 */
import { cpSync, existsSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { moveOwnerAway } from '../fixtures/owner-away.js';
import { ScribePlace, undisturbedFiles } from '../fixtures/scribe-program.js';
import { Laboratory } from '../fixtures/sdk-program.js';

/** A stop of a moment is a gap of a minute, after which a heartbeat is silent and a writer asks. */
const HASTY = { SCRIBE_PORTS: new URL('../faults/hasty-clock.mjs', import.meta.url).href, SCRIBE_LOCK_WAIT: '10m' };
const PROGRAM = { SCRIBE_STEPS: 120, SCRIBE_PATCH: 1 };
/** Steps at which scribe.mjs opens files: notes.txt, late.txt. */
const [NOTES, LATE] = [24, 40];

const places: ScribePlace[] = [];
function newPlace(): ScribePlace {
  const place = new ScribePlace(PROGRAM);
  places.push(place);
  return place;
}
afterEach(async () => {
  await Promise.all(places.splice(0).map((place) => place.remove()));
});

async function assertEndsWell(place: ScribePlace): Promise<void> {
  const ended = await place.run();
  expect(ended, ended.stderr).toMatchObject({ code: 0 });
  expect(place.files()).toEqual(await undisturbedFiles(PROGRAM));
}

describe('an ordinary end', () => {
  it.each(['exit', 'fall', 'close'])('F69: without finish() loses nothing that was written (%s)', async (end) => {
    const place = newPlace();
    const { code, stderr } = await place.run({ SCRIBE_END: end, SCRIBE_CHECKPOINTS: '60' });
    expect(code, stderr).toBe(0);
    expect(place.files()).toEqual(await undisturbedFiles(PROGRAM));
  });

  it('F69: is none for output that does not fit on the disk: exit code 1 and the reason, also after process.exit(0)', async () => {
    const place = newPlace();
    const fault = { op: 'write-sync', path: 'table.csv', action: 'errno:ENOSPC' };
    const { code, refused } = await place.runWithFault(fault, { SCRIBE_END: 'exit' });
    expect(place.fired()).toHaveLength(1);
    expect({ code, refused }).toMatchObject({ code: 1, refused: { code: 'ERR_CKPT_NO_SPACE', path: place.path('table.csv') } });
  });
});

describe('killed', () => {
  it.each([1, 2, 3])('F61: %i times before its first image, it doubles nothing', async (times) => {
    const place = newPlace();
    for (let life = 0; life < times; life++) {
      const run = place.start({ SCRIBE_STOP_AT: LATE + 5 });
      await run.hear('held');
      await run.kill();
    }
    await assertEndsWell(place);
  });

  it('F77: after files were opened that no image knows, and before they are come to again, it doubles nothing', async () => {
    const place = newPlace();
    const first = place.start({ SCRIBE_CHECKPOINTS: NOTES - 4, SCRIBE_STOP_AT: LATE + 5 });
    await first.hear('held');
    expect([existsSync(place.path('late.txt')), existsSync(place.path('notes.txt'))]).toEqual([true, true]);
    await first.kill();
    // Its image is newer than what the first did to those files, and it has not come to them.
    const second = place.start({ SCRIBE_CHECKPOINTS: NOTES - 2, SCRIBE_STOP_AT: NOTES - 1 });
    await second.hear('held');
    await second.kill();
    await assertEndsWell(place);
  });

  it('F69: after it wrote much behind the capture of its newest image, none of that stays', async () => {
    const place = newPlace();
    const run = place.start({ SCRIBE_CHECKPOINTS: LATE + 2, SCRIBE_STOP_AT: LATE + 60 });
    await run.hear('held');
    expect(place.files()['late.txt']?.split('\n').length).toBeGreaterThan(50);
    await run.kill();
    await assertEndsWell(place);
  });
});

describe('a life that was stopped and overtaken', () => {
  it('F74: finds that it must not write when it wakes, and the files stay as the new one has them', async () => {
    const place = newPlace();
    const first = place.start({ ...HASTY, SCRIBE_CHECKPOINTS: '10', SCRIBE_STOP_AT: 60, SCRIBE_UNFLUSHED: 1 });
    await first.hear('held');
    await vi.waitFor(() => expect(existsSync(place.path('late.txt'))).toBe(true));
    first.signal('SIGSTOP');
    moveOwnerAway(place.store, 1);
    const second = place.start({ ...HASTY, SCRIBE_STOP_AT: 30 });
    await second.hear('held');
    const files = place.files();
    first.signal('SIGCONT');
    first.goOn();
    const { code, refused } = await first.ended;
    expect({ code, refused: refused?.code }).toEqual({ code: 1, refused: 'ERR_CKPT_FENCED' });
    expect(place.files()).toEqual(files);
    second.goOn();
    expect(await second.ended).toMatchObject({ code: 0 });
    expect(place.files()).toEqual(await undisturbedFiles(PROGRAM));
  });

  it('F74: does not write at its exit either what it had gathered', async () => {
    const place = newPlace();
    const first = place.start({
      ...HASTY,
      SCRIBE_CHECKPOINTS: '10',
      SCRIBE_STOP_AT: 60,
      SCRIBE_UNFLUSHED: 1,
      SCRIBE_EXIT_AFTER_STOP: 1,
    });
    await first.hear('held');
    await vi.waitFor(() => expect(existsSync(place.path('late.txt'))).toBe(true));
    first.signal('SIGSTOP');
    moveOwnerAway(place.store, 1);
    const second = place.start({ ...HASTY, SCRIBE_STOP_AT: 30 });
    await second.hear('held');
    const files = place.files();
    first.signal('SIGCONT');
    first.goOn();
    await first.ended;
    expect(place.files()).toEqual(files);
    second.goOn();
    expect(await second.ended).toMatchObject({ code: 0 });
    expect(place.files()).toEqual(await undisturbedFiles(PROGRAM));
  });
});

describe('a copy of a run, files and all, made while it runs', () => {
  it('F75: goes on from the copied image with the copied files, warns, and touches nothing of the original', async () => {
    const original = newPlace();
    const first = original.start({ SCRIBE_CHECKPOINTS: `${NOTES - 2},${LATE + 2}`, SCRIBE_STOP_AT: LATE + 30 });
    await first.hear('held');
    const base = mkdtempSync(join(tmpdir(), 'ckpt-scribe-'));
    cpSync(original.base, base, { recursive: true });
    const files = original.files();
    const copy = new ScribePlace(PROGRAM, base);
    places.push(copy);
    const ended = await copy.run();
    expect(ended, ended.stderr).toMatchObject({ code: 0, started: { restarted: true, generation: 2 } });
    expect(ended.lines.flatMap(({ warned }) => warned ?? []).join()).toContain('copy');
    expect(copy.files()).toEqual(await undisturbedFiles(PROGRAM));
    expect(original.files()).toEqual(files);
    first.goOn();
    expect(await first.ended).toMatchObject({ code: 0 });
    expect(original.files()).toEqual(await undisturbedFiles(PROGRAM));
  });
});

describe('a line that was asked for in a race that it lost', () => {
  it.each(['held', 'dropped'])('F67: is there again after a kill and a restart (%s)', async (kept) => {
    const laboratory = new Laboratory();
    const input = Array.from({ length: 30 }, (_, n) => `line ${n} é\n`).join('');
    writeFileSync(join(laboratory.folder, 'in.txt'), input);
    const program = `
      const ckpt = await open({ every: false });
      const state = ckpt.state('state', () => ({ lines: 0, losses: 0 }));
      const input = ckpt.file('in', 'in.txt', { flags: 'r' });
      const out = ckpt.file('out', 'out.txt', { flags: 'w' });
      const { incarnation } = await ckpt.start();
      const lines = input.lines();
      let pending;
      for (;;) {
        pending ??= lines.next();
        const impatient = state.losses <= state.lines && state.lines % 3 === 0;
        const first = await Promise.race(impatient ? [Promise.resolve(), pending] : [pending]);
        if (first === undefined) {
          for (let n = 0; n < 10; n++) await turn(); // the line is there by now
          state.losses = state.lines + 1;
          await ckpt.checkpoint();
          if (incarnation < 3 && state.lines === 9 * incarnation) {
            '${kept}' === 'held' ? await pending : (pending = undefined);
            await out.flush();
            process.kill(process.pid, 'SIGKILL');
          }
          continue;
        }
        pending = undefined;
        if (first.done) break;
        out.write(first.value + '\\n');
        state.lines++;
        await ckpt.safepoint();
      }
      await ckpt.finish();
    `;
    for (let life = 0; life < 2; life++) expect(await laboratory.start(program).ended).toMatchObject({ signal: 'SIGKILL' });
    await laboratory.run(program);
    expect(readFileSync(join(laboratory.folder, 'out.txt'), 'utf8')).toBe(input);
  });
});

it('F44: a child inherits no descriptor of a tracked file', async () => {
  const laboratory = new Laboratory();
  const { child } = await laboratory.run(`
    import { execFileSync } from 'node:child_process';
    const ckpt = await open();
    const out = ckpt.file('out', 'out.txt', { flags: 'w' });
    await ckpt.start();
    out.write('line');
    const script = "require('fs').readdirSync('/proc/self/fd').flatMap((fd) => { try { return require('fs').readlinkSync('/proc/self/fd/' + fd); } catch { return []; } }).join()";
    const inherited = execFileSync(process.execPath, ['-p', script]).toString();
    await ckpt.close();
    say('child', { inherited });
  `);
  expect(child?.['inherited']).not.toContain('out.txt');
});
