import { resolve } from 'node:path';
import { expect, test } from 'vitest';
import { type CheckpointerOptions, resolveOptions } from '../../packages/sdk/src/app/options.js';

const app = { name: 'unit' };
const of = (options: CheckpointerOptions = {}, env: NodeJS.ProcessEnv = {}) => resolveOptions({ app, ...options }, env);

test('what is not said has the documented default', () => {
  expect(of()).toMatchObject({
    dir: resolve('ckpt'),
    app: { name: 'unit', version: '' },
    everyMs: undefined,
    auto: undefined,
    signals: { SIGUSR1: 'checkpoint' },
    requests: true,
    restart: { mode: 'auto' },
    keep: 3,
    handlerTimeoutMs: 60_000,
    quiesceTimeoutMs: 10_000,
    lockWaitMs: 90_000,
    takeOver: false,
  });
  expect(Object.isFrozen(of())).toBe(true);
});

test('durations are milliseconds or text', () => {
  expect(of({ every: '1h30m' }).everyMs).toBe(5_400_000);
  expect(of({ every: 250 }).everyMs).toBe(250);
  expect(of({ every: '40d' }).everyMs).toBe(40 * 86_400_000);
  expect(of({ every: false }).everyMs).toBeUndefined();
  expect(of({ every: 'auto' })).toMatchObject({ everyMs: undefined, auto: { overhead: 0.01, mtbfMs: undefined, deadline: undefined } });
  const auto = { overhead: 0.05, mtbf: '6h', deadline: new Date(1_000) };
  expect(of({ every: auto }).auto).toEqual({ overhead: 0.05, mtbfMs: 21_600_000, deadline: 1_000 });
  expect(of({ handlerTimeout: '90s', quiesceTimeout: 5, lockWait: 0 })).toMatchObject({
    handlerTimeoutMs: 90_000,
    quiesceTimeoutMs: 5,
    lockWaitMs: 0,
  });
});

test('the directory is the option, else CKPT_DIR unless empty, else ckpt', () => {
  expect(of({ dir: 'a' }, { CKPT_DIR: 'b' }).dir).toBe(resolve('a'));
  expect(of({}, { CKPT_DIR: 'b' }).dir).toBe(resolve('b'));
  expect(of({}, { CKPT_DIR: '' }).dir).toBe(resolve('ckpt'));
});

test.each([
  [{}, 'one', { mode: 'named', image: 'one' }],
  [{ restart: 'never' }, 'latest', { mode: 'must' }],
  [{ restart: { image: 'one' } }, 'never', { mode: 'never' }],
  [{ restart: { image: 'one' } }, 'must', { mode: 'must' }],
  [{ restart: { image: 'one' } }, 'auto', { mode: 'auto' }],
  [{ restart: { image: 'one' } }, '', { mode: 'named', image: 'one' }],
  [{ restart: { image: 'latest' } }, undefined, { mode: 'must' }],
  [{ restart: { image: 'a'.repeat(32) } }, undefined, { mode: 'named', image: 'a'.repeat(32) }],
  [{ restart: 'must' }, undefined, { mode: 'must' }],
] as const)('restart %j with CKPT_RESTART=%s is %j', (options, fromEnv, expected) => {
  expect(of(options, fromEnv === undefined ? {} : { CKPT_RESTART: fromEnv }).restart).toEqual(expected);
});

test.each([
  ['an unknown option', { evry: '15m' }, /evry/],
  ['an unknown option inside app', { app: { name: 'x', vers: '1' } }, /app/],
  ['an empty directory', { dir: '' }, /dir/],
  ['a duration that is none', { every: 'soon' }, /every/],
  ['an interval of nothing', { every: 0 }, /every/],
  ['a share of more than all', { every: { overhead: 2 } }, /overhead/],
  ['a share of nothing', { every: { overhead: 0 } }, /overhead/],
  ['failures without a pause', { every: { mtbf: 0 } }, /mtbf/],
  ['a deadline that is no time', { every: { deadline: 'tomorrow' as never } }, /deadline/],
  ['a limit that there is not', { every: { atMost: 5 } as never }, /atMost/],
  ['a negative timeout', { handlerTimeout: -1 }, /handlerTimeout/],
  ['null for a duration', { lockWait: {} }, /lockWait/],
  ['no image to keep', { keep: 0 }, /keep/],
  ['half an image to keep', { keep: 1.5 }, /keep/],
  ['an unknown way to restart', { restart: 'maybe' }, /restart/],
  ['an image name that is none', { restart: { image: 'a/b' } }, /restart/],
  ['an unknown signal', { signals: { SIGNOPE: 'checkpoint' } }, /SIGNOPE/],
  ['a signal that cannot be caught', { signals: { SIGKILL: 'checkpoint' } }, /SIGKILL/],
  ['an unknown answer to a signal', { signals: { SIGUSR1: 'exit' } }, /signals\.SIGUSR1/],
  ['a logger that cannot log', { logger: {} }, /logger/],
  ['requests that are neither on nor off', { requests: 'yes' }, /requests/],
  ['roots that are no list', { roots: '/data' }, /roots/],
  ['a rule without a policy', { files: [{ pattern: '*.log' }] }, /files\.0/],
  ['a policy that needs a handle', { files: [{ pattern: '*.log', policy: 'contents' }] }, /files\.0\.policy/],
  ['a pattern that cannot be read', { files: [{ pattern: '{a', policy: 'append' }] }, /files.*\{a/],
  ['tails that are neither kept nor dropped', { keepTails: 1 }, /keepTails/],
  ['a compression that is none', { compression: 'gzip' }, /compression/],
  ['an unknown way with stdout', { stdio: 'merge' }, /stdio/],
  ['an unknown answer to open files', { openFiles: 'close' }, /openFiles/],
])('%s is a TypeError that names it', (_what, options, named) => {
  const wrong = (): unknown => of(options as CheckpointerOptions); // that it does not fit is what is tested
  expect(wrong).toThrow(TypeError);
  expect(wrong).toThrow(named);
});

test('a bad CKPT_RESTART is a TypeError that names the variable', () => {
  expect(() => of({}, { CKPT_RESTART: '../x' })).toThrow(/CKPT_RESTART/);
  expect(() => resolveOptions(null as never, {})).toThrow(TypeError); // from JavaScript
});

test('files: roots are the working directory and resolved, nothing is tracked by itself, open files are told', () => {
  expect(of({})).toMatchObject({
    roots: [process.cwd()],
    mappedRoots: [],
    files: [],
    keepTails: true,
    stdio: 'ignore',
    openFiles: 'warn',
  });
  expect(of({ roots: ['out', '/data'] }).roots).toEqual([resolve('out'), '/data']);
});

test('CKPT_ROOTS says where recorded paths lie now; anything but what a restart writes is a TypeError that names it', () => {
  const roots = [{ from: '/old', to: '/new' }];
  expect(of({}, { CKPT_ROOTS: JSON.stringify(roots) }).mappedRoots).toEqual(roots);
  for (const bad of ['/old=/new', '{}', '[{"from":"/old"}]', '[{"from":"","to":"/new"}]'])
    expect(() => of({}, { CKPT_ROOTS: bad })).toThrow(/CKPT_ROOTS/);
});
