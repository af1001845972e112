/**
 * What a wrong option of openCheckpointer is answered with.
 */
import { describe, expect, it } from 'vitest';
import { resolveOptions } from '../../packages/sdk/src/app/options.js';

const resolved = (options: object, env: NodeJS.ProcessEnv = {}): unknown => resolveOptions(options, env);

describe('the options of openCheckpointer', () => {
  it.each([
    ['a misspelt option', { evry: '15m' }, 'evry'],
    ['a misspelt option of app', { app: { nam: 'x' } }, 'app.nam'],
    ['an empty directory', { dir: '' }, 'dir'],
    ['an app without a name', { app: {} }, 'app.name'],
    ['text that is no duration', { every: '1 sec' }, 'every'],
    ['an interval of nothing', { every: 0 }, 'every'],
    ['a negative time limit', { lockWait: -1 }, 'lockWait'],
    ['a signal that does not exist', { signals: { SIGFOO: 'checkpoint' } }, 'SIGFOO'],
    ['an unknown action', { signals: { SIGUSR2: 'exit' } }, 'signals.SIGUSR2'],
    ['signals as a list', { signals: ['SIGUSR1'] }, 'signals'],
    ['requests that are no boolean', { requests: 'yes' }, 'requests'],
    ['an unknown way to restart', { restart: 'sometimes' }, 'restart'],
    ['an image without a name', { restart: { image: '' } }, 'restart'],
    ['keeping no image', { keep: 0 }, 'keep'],
    ['keeping half an image', { keep: 1.5 }, 'keep'],
    ['a logger that cannot warn', { logger: {} }, 'logger'],
  ])('refuses %s as a TypeError that names it and what was expected', (_, options, named) => {
    expect(() => resolved(options)).toThrow(TypeError);
    expect(() => resolved(options)).toThrow(named);
    expect(() => resolved(options)).toThrow(/expected|options are/);
  });

  it('refuses a CKPT_RESTART that cannot be meant', () => {
    expect(() => resolved({}, { CKPT_RESTART: 'no name' })).toThrow(TypeError);
    expect(() => resolved({}, { CKPT_RESTART: 'no name' })).toThrow('CKPT_RESTART');
  });

  it('lets CKPT_RESTART win over the program, and CKPT_DIR only fill in for a missing directory', () => {
    const env = { CKPT_RESTART: 'never', CKPT_DIR: '/elsewhere' };
    expect(resolved({ dir: '/here', restart: 'must' }, env)).toMatchObject({ dir: '/here', restart: { mode: 'never' } });
    expect(resolved({}, env)).toMatchObject({ dir: '/elsewhere' });
  });

  it('understands latest as must, and a name or an id as that image', () => {
    expect(resolved({}, { CKPT_RESTART: 'latest' })).toMatchObject({ restart: { mode: 'must' } });
    expect(resolved({ restart: { image: 'before-anneal' } })).toMatchObject({ restart: { mode: 'named', image: 'before-anneal' } });
  });
});
