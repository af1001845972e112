import { describe, expect, it } from 'vitest';
import { compileRules, type FileRule } from '../../packages/sdk/src/files/rules.js';

function matches(pattern: string, path: string, workingDirectory = '/run'): boolean {
  return compileRules([{ pattern, policy: 'append' }], workingDirectory)(path) === 'append';
}

describe('the rules for files that libraries open', () => {
  it.each([
    ['/var/log/app.log', '/var/log/app.log', true],
    ['/var/log/app.log', '/var/log/appxlog', false],
    ['/var/log/*.log', '/var/log/app.log', true],
    ['/var/log/*.log', '/var/log/.log', true],
    ['/var/log/*.log', '/var/log/deep/app.log', false],
    ['/var/**/*.log', '/var/log/deep/app.log', true],
    ['/var/**/*.log', '/var/app.log', true],
    ['/var/**', '/var/log/deep/app.log', true],
    ['/var/**', '/variable', false],
    ['/a/b**c', '/a/bxc', true],
    ['/a/b**c', '/a/b/c', false],
    ['/a/?.txt', '/a/b.txt', true],
    ['/a/?.txt', '/a/é.txt', true],
    ['/a/?.txt', '/a//.txt', false],
    ['/a/[a-c]1', '/a/b1', true],
    ['/a/[!a-c]1', '/a/b1', false],
    ['/a/[!a-c]1', '/a/d1', true],
    ['/a/x[!a]y', '/a/x/y', false],
    ['/a/{out,err}.log', '/a/err.log', true],
    ['/a/{out,err}.log', '/a/other.log', false],
    ['/a/{out,{err,log}*}.txt', '/a/log7.txt', true],
    ['/a/\\*.log', '/a/*.log', true],
    ['/a/\\*.log', '/a/x.log', false],
    ['/a/b,c', '/a/b,c', true],
    ['/a/(b|c)', '/a/(b|c)', true],
    ['/a/(b|c)', '/a/b', false],
    ['/a/../b/*', '/b/c', true],
    ['/a/*', '/a/line\nbreak', true],
  ])('%s for %s: %s', (pattern, path, expected) => {
    expect(matches(pattern, path)).toBe(expected);
  });

  it.each([
    ['*.log', '/run/app.log', true],
    ['./logs/*.log', '/run/logs/app.log', true],
    ['../shared/*.log', '/shared/app.log', true],
    ['**/*.log', '/run/a/b/app.log', true],
    ['**/*.log', '/elsewhere/app.log', false],
  ])('a pattern that is not absolute lies below the working directory: %s for %s: %s', (pattern, path, expected) => {
    expect(matches(pattern, path)).toBe(expected);
  });

  it('does not read the name of the working directory as a pattern', () => {
    expect(matches('*.log', '/data/run[1]/app.log', '/data/run[1]')).toBe(true);
    expect(matches('*.log', '/data/run1/app.log', '/data/run[1]')).toBe(false);
  });

  it('takes the first rule that matches, and none where none does', () => {
    const rules: FileRule[] = [
      { pattern: '/a/*.tmp', policy: 'ignore' },
      { pattern: '/a/*', policy: 'append' },
    ];
    const policyOf = compileRules(rules, '/');
    expect(policyOf('/a/x.tmp')).toBe('ignore');
    expect(policyOf('/a/x')).toBe('append');
    expect(policyOf('/b/x')).toBeUndefined();
  });

  it.each(['/a/{b', '/a/b}', '/a/}{', '/a/[z-a]'])('refuses the pattern %s, which cannot be read', (pattern) => {
    expect(() => compileRules([{ pattern, policy: 'append' }], '/')).toThrow(TypeError);
  });
});
