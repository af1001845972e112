/** The commands on real stores, in this process: what they print, and what they exit with. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { EXIT } from '../../packages/sdk/src/cli/exit-codes.js';
import { runCli } from '../../packages/sdk/src/cli/program.js';
import { captureTerminal } from '../fixtures/captured-terminal.js';
import { makeStore } from '../fixtures/store-maker.js';

const CONTROL = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/;

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'ckpt-store-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

async function ckpt(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const { terminal, written } = captureTerminal();
  const code = await runCli(['--dir', dir, ...args], terminal, () => new AbortController().signal);
  return { code, ...written };
}

/** Flips a bit in the bytes of the image's sections or buffers: what only a whole check finds. */
function damageBulk(path: string): void {
  const bytes = readFileSync(path);
  const at = 5_000;
  bytes[at] = (bytes[at] ?? 0) ^ 1;
  writeFileSync(path, bytes);
}

function cut(path: string): void {
  writeFileSync(path, readFileSync(path).subarray(0, -7));
}

describe('ckpt list', () => {
  it('says that there are no images and exits 0', async () => {
    await makeStore(dir);
    expect(await ckpt('list')).toEqual({ code: 0, out: '', err: 'no images in this store\n' });
    expect(JSON.parse((await ckpt('list', '--json')).out)).toEqual({ images: [] });
  });

  it('F73: tells that acknowledged images are gone, as a start would', async () => {
    const made = await makeStore(dir);
    const first = await made.begin();
    const a = await first.image();
    rmSync(a.path);
    expect(await ckpt('list')).toMatchObject({ code: 10, out: '', err: expect.stringContaining('CKPT_RESTART=never') });
    expect(JSON.parse((await ckpt('list', '--json')).err)).toMatchObject({ error: { code: 'ERR_CKPT_IMAGE_MISSING' } });
  });

  it('tells which images are leased and what for, here and in stat, until they are released', async () => {
    const made = await makeStore(dir);
    const { image } = await made.begin();
    const [leased, free] = [await image({ names: ['base'] }), await image()];
    const lease = await made.store.lease(leased, 'checkpoints are built upon it');
    const listed = JSON.parse((await ckpt('list', '--json')).out) as { images: { id: string; leased?: string }[] };
    expect(new Map(listed.images.map((one) => [one.id, one.leased]))).toEqual(
      new Map([
        [leased.id, 'checkpoints are built upon it'],
        [free.id, undefined],
      ]),
    );
    expect((await ckpt('list')).out).toMatch(/base .*leased/);
    expect((await ckpt('stat', 'base')).out).toMatch(/leased +checkpoints are built upon it/);
    await lease.release();
    expect((await ckpt('list')).out).not.toContain('leased');
  });

  it('shows images newest first, with names, and marks lineage, source and branches', async () => {
    const made = await makeStore(dir);
    const first = await made.begin();
    const a = await first.image({ names: ['start'] });
    const b = await first.image();
    await first.incarnation.release();
    const second = await made.begin({ kind: 'image', ...a });
    const c = await second.image({ finished: true });

    const { code, out } = await ckpt('list', '--json');
    const { images } = JSON.parse(out);
    expect(code).toBe(0);
    expect(images).toMatchObject([
      { id: c.id, epoch: 2, lineage: true, source: false, finished: true, parent: a.id, reason: 'finish' },
      { id: b.id, epoch: 1, lineage: false, source: false, finished: false },
      { id: a.id, epoch: 1, lineage: true, source: true, name: 'start', names: ['start'] },
    ]);
    const lines = (await ckpt('list')).out.split('\n');
    expect(lines[1]).toMatch(/^\* .*finished/);
    expect(lines[2]).toMatch(/^ {2}.*branch/);
    expect(lines[3]).toMatch(/^\* .*start.*source/);
  });

  it('lists a damaged image as damaged and the others as usual', async () => {
    const { image } = await (await makeStore(dir)).begin();
    const good = await image();
    const bad = await image();
    cut(bad.path);
    const { code, out } = await ckpt('list', '--json');
    expect(code).toBe(0);
    const { images } = JSON.parse(out);
    expect(images).toMatchObject([{ id: bad.id, damage: { code: expect.stringMatching(/ERR_CKPT_IMAGE_/) } }, { id: good.id }]);
    expect((await ckpt('list')).out).toContain('DAMAGED');
  });

  it('passes foreign files by and does not follow links', async () => {
    const { image } = await (await makeStore(dir)).begin();
    const good = await image();
    writeFileSync(join(dir, 'images', 'notes\u001b[2J.txt'), 'x');
    symlinkSync('/dev/zero', join(dir, 'images', `000001-00000009-${'a'.repeat(32)}.ckpt`));
    const { code, out } = await ckpt('list');
    expect(code).toBe(0);
    expect(out).toContain(good.id.slice(0, 8));
    expect(out).not.toMatch(CONTROL);
  });

  it('refuses a store whose folder is a link', async () => {
    const { image } = await (await makeStore(dir)).begin();
    await image();
    renameSync(join(dir, 'images'), join(dir, 'elsewhere'));
    symlinkSync(join(dir, 'elsewhere'), join(dir, 'images'));
    const { code, err } = await ckpt('list');
    expect(code).toBe(EXIT.failed);
    expect(err).toContain('ERR_CKPT_STORE_UNSAFE');
  });

  it('F73: refuses to restart when acknowledged images are gone, with their folder or without', async () => {
    const { image } = await (await makeStore(dir)).begin();
    const { path } = await image();
    rmSync(path);
    expect(await ckpt('restart')).toMatchObject({ code: EXIT.noImage, out: '', err: expect.stringContaining('ERR_CKPT_IMAGE_MISSING') });
    rmSync(join(dir, 'images'), { recursive: true });
    expect(await ckpt('restart')).toMatchObject({ out: '', err: expect.stringMatching(/ERR_CKPT_(IMAGE_MISSING|STORE_GONE)/) });
    expect((await ckpt('list')).out).toBe('');
  });
});

describe('ckpt stat', () => {
  it('shows the program, its process, its open files, and the sections with sizes', async () => {
    const { image } = await (await makeStore(dir)).begin();
    await image({ names: ['y100'], bulk: 1024 * 1024 });
    const { code, out } = await ckpt('stat', 'y100');
    expect(code).toBe(0);
    for (const text of [
      'y100',
      'main.js --years 100',
      'pid 4242, ppid 4241, pgrp 4240, sid 4239, on here',
      process.version,
      '/data/out.csv',
      '512',
      '1.0 MiB',
      'test-program 1.2.3',
    ]) {
      expect(out).toContain(text);
    }
  });

  it('takes the newest image of the lineage without a name', async () => {
    const made = await makeStore(dir);
    const first = await made.begin();
    const a = await first.image();
    await first.image();
    await first.incarnation.release();
    await made.begin({ kind: 'image', ...a });
    expect(JSON.parse((await ckpt('stat', '--json')).out)).toMatchObject({ id: a.id, sections: [{ name: 'sim', length: 1, bulk: 8192 }] });
  });

  it('finds an image by the beginning of its id', async () => {
    const { image } = await (await makeStore(dir)).begin();
    const { id } = await image();
    expect(JSON.parse((await ckpt('stat', id.slice(0, 8), '--json')).out)).toMatchObject({ id });
  });

  it('exits 10 for a name that is not there and for an empty store, 12 for a damaged image', async () => {
    const { image } = await (await makeStore(dir)).begin();
    expect((await ckpt('stat')).code).toBe(EXIT.noImage);
    const { path, id } = await image();
    expect((await ckpt('stat', 'nosuch')).code).toBe(EXIT.noImage);
    cut(path);
    expect((await ckpt('stat', id)).code).toBe(EXIT.corrupt);
  });

  it('prints what an image says about itself without letting it drive the terminal', async () => {
    const evil = '\u001b]0;owned\u0007\u001b[2J\u202e';
    const { image } = await (await makeStore(dir)).begin();
    await image({
      sections: [evil],
      provenance: {
        cwd: evil,
        host: evil,
        argv: [evil, 'x'.repeat(100_000)],
        execArgv: [evil],
        openFiles: Array.from({ length: 5_000 }, (_, fd) => ({ fd, target: evil })),
      },
    });
    const { code, out } = await ckpt('stat');
    expect(code).toBe(0);
    expect(out).not.toMatch(CONTROL);
    expect(out).not.toContain('\u202e');
    expect(out.length).toBeLessThan(30_000);
    expect((await ckpt('stat', '--json')).out).not.toMatch(/[\u001b\u0007\u202e]/);
  });
});

describe('ckpt verify', () => {
  it('checks every image and exits 0 when all are whole', async () => {
    const { image } = await (await makeStore(dir)).begin();
    const [a, b] = [await image(), await image()];
    const { code, out } = await ckpt('verify');
    expect(code).toBe(0);
    expect(out).toMatch(new RegExp(`^ok +${a.id.slice(0, 8)}.*\\nok +${b.id.slice(0, 8)}`));
  });

  it('names the damaged section, goes on with the others, and exits 12', async () => {
    const { image } = await (await makeStore(dir)).begin();
    const [bad, good] = [await image(), await image()];
    damageBulk(bad.path);
    const { code, out } = await ckpt('verify', '--json');
    expect(code).toBe(EXIT.corrupt);
    const { images } = JSON.parse(out);
    expect(images).toMatchObject([
      { id: bad.id, damages: [{ code: 'ERR_CKPT_IMAGE_CORRUPT' }] },
      { id: good.id, damages: [] },
    ]);
    expect(images[0].damages[0].section).not.toBe('');
    expect((await ckpt('verify')).out).toContain('DAMAGED');
  });

  it('checks only the named ones; a name that is not there makes it partly', async () => {
    const { image } = await (await makeStore(dir)).begin();
    const [bad, good] = [await image(), await image({ names: ['good'] })];
    damageBulk(bad.path);
    expect((await ckpt('verify', 'good')).code).toBe(0);
    expect(await ckpt('verify', 'nosuch', 'good')).toMatchObject({ code: EXIT.partly, out: expect.stringContaining(good.id.slice(0, 8)) });
    expect((await ckpt('verify', 'nosuch', bad.id)).code).toBe(EXIT.corrupt);
    expect((await ckpt('verify', 'nosuch')).code).toBe(EXIT.noImage);
  });

  it('does not call an empty store verified', async () => {
    await makeStore(dir);
    expect((await ckpt('verify')).code).toBe(EXIT.noImage);
  });
});

describe('ckpt remove', () => {
  it('removes by name and by id, and says what went', async () => {
    const { image } = await (await makeStore(dir)).begin();
    const [a, b, c] = [await image({ names: ['old'] }), await image(), await image()];
    const { code, out } = await ckpt('remove', 'old', b.id.slice(0, 10), '--json');
    expect(code).toBe(0);
    expect(JSON.parse(out)).toMatchObject({ removed: [{ id: a.id, names: ['old'] }, { id: b.id }] });
    expect([a, b, c].map(({ path }) => existsSync(path))).toEqual([false, false, true]);
    expect((await ckpt('stat', 'old')).code).toBe(EXIT.noImage);
  });

  it('removes what it can and exits 3; nothing removed keeps the code of the failure', async () => {
    const { image } = await (await makeStore(dir)).begin();
    const a = await image({ names: ['old'] });
    await image();
    expect(await ckpt('remove', 'nosuch', 'old')).toMatchObject({ code: EXIT.partly, err: expect.stringContaining('ERR_CKPT_NOT_FOUND') });
    expect(existsSync(a.path)).toBe(false);
    expect((await ckpt('remove', 'nosuch')).code).toBe(EXIT.noImage);
  });

  it('refuses the image that the newest start came from', async () => {
    const made = await makeStore(dir);
    const first = await made.begin();
    const a = await first.image();
    await first.incarnation.release();
    await made.begin({ kind: 'image', ...a });
    expect(await ckpt('remove', a.id)).toMatchObject({ code: EXIT.failed, err: expect.stringContaining('ERR_CKPT_PROTECTED') });
    expect(existsSync(a.path)).toBe(true);
  });
});

describe('ckpt restart --dry-run', () => {
  it('tells image, command and environment, and changes nothing', async () => {
    const made = await makeStore(dir);
    const { image, incarnation } = await made.begin({ kind: 'fresh' }, { argv: ['sim.js', '--fast'], execArgv: ['--enable-source-maps'] });
    const { id } = await image({ names: ['y1'] });
    await incarnation.release();
    const before = readdirSync(dir, { recursive: true });
    const { code, out } = await ckpt('restart', '--dry-run', '--json');
    expect(code).toBe(0);
    expect(JSON.parse(out)).toMatchObject({
      image: { id, names: ['y1'] },
      passedOver: [],
      command: { cwd: process.cwd(), argv: ['sim.js', '--fast'], execArgv: ['--enable-source-maps'] },
      environment: { CKPT_RESTART: 'latest' },
    });
    expect((await ckpt('restart', '--dry-run')).out).toContain('sim.js --fast');
    expect(readdirSync(dir, { recursive: true })).toEqual(before);
  });

  it('F28: passes a damaged newest image over and says so; a damaged named one is refused', async () => {
    const { image } = await (await makeStore(dir)).begin();
    const [older, newest] = [await image(), await image({ names: ['last'] })];
    damageBulk(newest.path);
    const { code, out } = await ckpt('restart', '--dry-run', '--json');
    expect(code).toBe(0);
    expect(JSON.parse(out)).toMatchObject({ image: { id: older.id }, passedOver: [{ id: newest.id, code: 'ERR_CKPT_IMAGE_CORRUPT' }] });
    expect(await ckpt('restart', 'last', '--dry-run')).toMatchObject({ code: EXIT.corrupt, out: '' });
  });

  it('F29: refuses when every image of the lineage is damaged', async () => {
    const { image } = await (await makeStore(dir)).begin();
    for (const { path } of [await image(), await image()]) damageBulk(path);
    const { code, out, err } = await ckpt('restart', '--dry-run');
    expect([code, out]).toEqual([EXIT.corrupt, '']);
    expect(err).toContain('ERR_CKPT_ALL_DAMAGED');
  });

  it('maps recorded paths by --root, whole components only', async () => {
    const { image } = await (await makeStore(dir)).begin(
      { kind: 'fresh' },
      { cwd: '/gone/work', argv: ['/gone/work/main.js', '/gonether/x', '--out=/gone'] },
    );
    await image();
    expect((await ckpt('restart', '--dry-run')).code).toBe(EXIT.failed);
    const { out } = await ckpt('restart', '--dry-run', '--json', '--root', `/gone/work=${dir}`, '--root', '/gone=/new');
    expect(JSON.parse(out).command).toMatchObject({ cwd: dir, argv: [join(dir, 'main.js'), '/gonether/x', '--out=/gone'] });
  });

  it('takes the command after -- instead of the recorded one', async () => {
    const { image } = await (await makeStore(dir)).begin();
    await image();
    const { out } = await ckpt('restart', '--dry-run', '--json', '--', '/bin/echo', 'a', '--json');
    expect(JSON.parse(out).command).toMatchObject({ execPath: '/bin/echo', argv: ['a', '--json'], cwd: process.cwd() });
  });
});
