/**
 * Files that libraries open by themselves, under rules of the option `files`: killed before the first image and behind the
 * last one, what they hold in the end is what an undisturbed run leaves.
 */
import { mkdirSync, readdirSync, readFileSync, realpathSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it, type TestContext } from 'vitest';
import { Laboratory } from '../fixtures/sdk-program.js';

const STEPS = 40;
/** Steps at which the program begins a log of its own, and at which it takes an image where it is told to. */
const SECOND = 20;

/** @param open how the library logs: gives `log(file, line)` */
const program = (open: string): string => `
  const warned = [];
  const logger = { warn: (message) => warned.push(message), error: (message) => warned.push(message) };
  ${open}
  const ckpt = await open({ every: false, logger, files: [{ pattern: 'logs/*.old', policy: 'ignore' }, { pattern: 'logs/**', policy: 'append' }] });
  const state = ckpt.state('state', () => ({ n: 0 }));
  await ckpt.start().catch((error) => {
    say('refused', { code: error.code, message: error.message });
    process.exit(1);
  });
  while (state.n < ${STEPS}) {
    await log('main.log', 'step ' + state.n + '\\n');
    if (state.n >= ${SECOND}) await log('second.log', 'second ' + state.n + '\\n');
    state.n++;
    if (state.n === Number(process.env.IMAGE_AT)) await ckpt.checkpoint();
    if (state.n === Number(process.env.KILLED_AT)) process.kill(process.pid, 'SIGKILL');
    await ckpt.safepoint();
  }
  await ckpt.finish();`;

const LOGGERS: readonly (readonly [string, string])[] = [
  ['fs.appendFileSync', `const log = (file, line) => fs.appendFileSync('logs/' + file, line);`],
  [
    'a write stream',
    `const streams = new Map();
     const log = (file, line) => new Promise((resolve) => {
       if (!streams.has(file)) streams.set(file, fs.createWriteStream('logs/' + file, { flags: 'a' }));
       streams.get(file).write(line, resolve);
     });`,
  ],
  [
    'a descriptor that is open before start()',
    `const fds = { 'main.log': fs.openSync('logs/main.log', 'a') };
     const log = (file, line) => void fs.writeSync((fds[file] ??= fs.openSync('logs/' + file, 'a')), line);`,
  ],
];
const [APPEND = ''] = LOGGERS.map(([, source]) => source);

/** Writes to a log at the steps of WRITES only, and names its images by IMAGES. */
const QUIET = `
  const at = (list, step) => (process.env[list] ?? '').split(',').find((one) => one.startsWith(step + ':'))?.split(':')[1];
  const ckpt = await open({ every: false, files: [{ pattern: 'logs/**', policy: 'append' }] });
  const state = ckpt.state('state', () => ({ n: 0 }));
  await ckpt.start().catch((error) => {
    say('refused', { code: error.code, message: error.message });
    process.exit(1);
  });
  while (state.n < ${STEPS}) {
    const line = at('WRITES', state.n);
    if (line !== undefined) fs.appendFileSync('logs/quiet.log', line + '\\n');
    state.n++;
    const name = at('IMAGES', state.n);
    if (name !== undefined) await ckpt.checkpoint(name);
    if (state.n === Number(process.env.KILLED_AT)) process.kill(process.pid, 'SIGKILL');
    await ckpt.safepoint();
  }`;

const MAIN = Array.from({ length: STEPS }, (_, n) => `step ${n}\n`).join('');
const SECOND_LOG = Array.from({ length: STEPS - SECOND }, (_, n) => `second ${n + SECOND}\n`).join('');

describe('files of libraries', () => {
  let lab: Laboratory;
  let logs: string;
  beforeEach((context: TestContext) => {
    if (process.platform !== 'linux') context.skip('needs /proc');
    lab = new Laboratory();
    logs = join(realpathSync(lab.folder), 'logs');
    mkdirSync(logs);
    writeFileSync(join(logs, 'other.log'), 'of another program\n');
    writeFileSync(join(logs, 'main.old'), 'of long ago\n');
  });

  const text = (file: string): string => readFileSync(join(logs, file), 'utf8');
  const killed = async (source: string, env: Record<string, string>): Promise<void> => {
    const { signal, said } = await lab.start(source, { env }).ended;
    expect([signal, said]).toEqual(['SIGKILL', []]);
  };
  const refused = async (source: string): Promise<unknown> => {
    const { code, said } = await lab.start(source).ended;
    expect(code).toBe(1);
    return said[0];
  };

  it.each(LOGGERS)('F61 and F77: nothing is doubled, before the first image and behind the last one (%s)', async (_name, open) => {
    const source = program(open);
    writeFileSync(join(logs, 'main.log'), 'before\n');
    await killed(source, { KILLED_AT: '25' });
    await killed(source, { IMAGE_AT: '10', KILLED_AT: '30' });
    await killed(source, { IMAGE_AT: '25', KILLED_AT: '35' });
    await lab.run(source);
    expect(text('main.log')).toBe(`before\n${MAIN}`);
    expect(text('second.log')).toBe(SECOND_LOG);
    expect([text('other.log'), text('main.old')]).toEqual(['of another program\n', 'of long ago\n']);
  });

  it('F61 and F77: nor by lives that come to no image, and what no start needs goes from the journal', async () => {
    const source = program(APPEND);
    for (const at of ['25', '5']) await killed(source, { KILLED_AT: at });
    await killed(source, { IMAGE_AT: '10', KILLED_AT: '30' });
    await killed(source, { KILLED_AT: '22' });
    await lab.run(source);
    expect([text('main.log'), text('second.log')]).toEqual([MAIN, SECOND_LOG]);
    const tails = readdirSync(join(lab.store, 'tails')).filter((file) => file.includes('-from-0-second.log'));
    expect(tails.map((file) => readFileSync(join(lab.store, 'tails', file), 'utf8').split('\n')[0])).toContain(`second ${SECOND}`);
    const kept = readdirSync(join(lab.store, 'journal')).filter((file) => file.startsWith('census-'));
    expect(kept.sort()).toEqual(['census-1', 'census-3', 'census-5']);
  });

  it('F40: restarted from images of several branches, one that an image does not record is as it was then, and put back once', async () => {
    writeFileSync(join(logs, 'quiet.log'), 'before\n');
    await killed(QUIET, { WRITES: '7:first', IMAGES: '5:a,10:b', KILLED_AT: '12' });
    await killed(QUIET, { CKPT_RESTART: 'a', IMAGES: '8:c', KILLED_AT: '9' });
    expect(text('quiet.log')).toBe('before\n');
    await killed(QUIET, { CKPT_RESTART: 'b', WRITES: '12:second', KILLED_AT: '14' });
    expect(text('quiet.log')).toBe('before\nfirst\nsecond\n');
    await killed(QUIET, { CKPT_RESTART: 'c', WRITES: '12:third', KILLED_AT: '14' });
    expect(text('quiet.log')).toBe('before\nthird\n');
    await killed(QUIET, { CKPT_RESTART: 'b', KILLED_AT: '11' });
    expect(text('quiet.log')).toBe('before\nfirst\n');
  });

  it('one that the program has declared by another path is recorded and put back once, open and closed', async () => {
    const source = `
      if (!fs.existsSync('way')) fs.symlinkSync('logs', 'way');
      const ckpt = await open({ every: false, files: [{ pattern: 'logs/**', policy: 'append' }] });
      const state = ckpt.state('state', () => ({ n: 0 }));
      const own = ckpt.file('own', 'way/own.log');
      await ckpt.start().catch((error) => {
        say('refused', { code: error.code, message: error.message });
        process.exit(1);
      });
      while (state.n < 6) {
        own.write('line ' + state.n + '\\n');
        state.n++;
        if (state.n === 2 || state.n === Number(process.env.IMAGE_AT)) await ckpt.checkpoint();
        await own.flush();
        if (state.n === Number(process.env.KILLED_AT)) process.kill(process.pid, 'SIGKILL');
      }
      await ckpt.finish();`;
    await killed(source, { KILLED_AT: '1' });
    await killed(source, { KILLED_AT: '3' });
    await killed(source, { KILLED_AT: '5', IMAGE_AT: '4' });
    await lab.run(source);
    expect(text('own.log')).toBe('line 0\nline 1\nline 2\nline 3\nline 4\nline 5\n');
  });

  it('are found through a folder that is a link, when the pattern names it', async () => {
    const source = program(APPEND).replace("pattern: 'logs/**'", "pattern: 'way/**'").replaceAll("'logs/", "'way/");
    symlinkSync('logs', join(lab.folder, 'way'));
    await killed(source, { KILLED_AT: '5' });
    await killed(source, { IMAGE_AT: '10', KILLED_AT: '22' });
    await lab.run(source);
    expect([text('main.log'), text('second.log')]).toEqual([MAIN, SECOND_LOG]);
  });

  it('F40 and F41: one that was replaced, cut or changed since is refused, and nothing is changed', async () => {
    const source = program(APPEND);
    const path = join(logs, 'main.log');
    writeFileSync(path, 'before\n');
    await killed(source, { KILLED_AT: '25' });
    const unchanged = async (code: string): Promise<void> => {
      const before = [text('main.log'), text('second.log')];
      expect(await refused(source)).toMatchObject({ code, message: expect.stringContaining(path) });
      expect([text('main.log'), text('second.log')]).toEqual(before);
    };
    renameSync(path, `${path}.old`);
    writeFileSync(path, readFileSync(`${path}.old`));
    await unchanged('ERR_CKPT_FILE_CHANGED');
    renameSync(`${path}.old`, path);
    writeFileSync(path, 'BEFORE\nstep 0\n');
    await unchanged('ERR_CKPT_FILE_CHANGED');
    writeFileSync(path, 'bef');
    await unchanged('ERR_CKPT_FILE_MISSING');
  });

  it('F42: outside the roots they are warned of at the start that can still do without, and not cut by the next', async () => {
    const source = program(APPEND).replace('every: false,', "every: false, roots: ['elsewhere'],");
    const { said } = await lab.start(source.replace('while (', "say('warned', { warned }); while ("), { env: { KILLED_AT: '25' } }).ended;
    expect(said).toMatchObject([{ word: 'warned', warned: [expect.stringContaining("'logs/**'")] }]);
    const before = text('main.log');
    expect(await refused(source)).toMatchObject({ code: 'ERR_CKPT_FILE_UNSAFE' });
    expect(text('main.log')).toBe(before);
  });
});
