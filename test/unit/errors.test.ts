/** docs/errors.md, the table of codes and the sources tell the same story. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { CheckpointError, ERROR_CODES, type ErrorCode, isCheckpointError } from '../../packages/sdk/src/base/errors.js';
import { exitCodeOf } from '../../packages/sdk/src/cli/exit-codes.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
const sources = join(root, 'packages/sdk/src');
const text = readFileSync(join(root, 'docs/errors.md'), 'utf8');
const [, table = '', reservedPart = ''] = /## Codes\n([\s\S]*)## Reserved\n([\s\S]*)$/.exec(text) ?? [];

const rows = [...table.matchAll(/^\| `(ERR_CKPT_\w+)` \|(.*)\|$/gm)].map(([, code = '', rest = '']) => {
  const [meaning, when, remedy, exit, ...more] = rest.split('|').map((cell) => cell.trim());
  return { code, meaning, when, remedy, exit, more };
});
const reserved = [...reservedPart.matchAll(/^- `(ERR_CKPT_\w+)`/gm)].map(([, code = '']) => code);

// Object.keys of a const object gives its keys as plain strings.
const codes = Object.keys(ERROR_CODES) as ErrorCode[];

/** Files that only declare or tabulate codes. */
const TABLES = /(?:^|\/)(?:base\/errors|cli\/exit-codes|[a-z]+\/contract)\.ts$/;

function usedCodes(): Set<string> {
  const files = readdirSync(sources, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts') && !TABLES.test(file));
  const code = files.map((file) => readFileSync(join(sources, file), 'utf8').replace(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, '')).join('\n');
  return new Set([...code.matchAll(/'(ERR_CKPT_\w+)'|(ERR_CKPT_\w+):/g)].map(([, quoted, key]) => quoted ?? key ?? ''));
}

describe('docs/errors.md', () => {
  it('lists every code, and no other, in alphabetical order as the source does', () => {
    expect(rows.map(({ code }) => code)).toEqual(codes);
  });

  it.each(rows)('gives $code the meaning of the source, a when and a remedy', ({ code, meaning, when, remedy, more }) => {
    expect(meaning).toBe(ERROR_CODES[code as ErrorCode]);
    expect([when?.length, remedy?.length].every((length) => length !== undefined && length > 10)).toBe(true);
    expect(more).toEqual([]);
  });

  it.each(rows)('gives $code the exit code that ckpt exits with', ({ code, exit }) => {
    expect(exit).toBe(String(exitCodeOf(code as ErrorCode)));
  });

  it('lists as reserved exactly the codes that no source reports', () => {
    const used = usedCodes();
    expect(reserved).toEqual(codes.filter((code) => !used.has(code)));
  });
});

describe('the sources', () => {
  it('report no code that the table lacks', () => {
    expect([...usedCodes()].filter((code) => !codes.some((known) => known === code))).toEqual([]);
  });
});

describe('CheckpointError', () => {
  it('is recognised by brand, also one made by another copy of the package', () => {
    const other = Object.assign(new Error('x'), { code: 'ERR_CKPT_IO', [Symbol.for('ckpt.error')]: true });
    expect([isCheckpointError(other), isCheckpointError(other, 'ERR_CKPT_IO'), isCheckpointError(other, 'ERR_CKPT_LOCKED')]).toEqual([
      true,
      true,
      false,
    ]);
    expect([isCheckpointError(new Error('x')), isCheckpointError(null), isCheckpointError('ERR_CKPT_IO')]).toEqual([false, false, false]);
  });

  it('carries code, phase, context and cause', () => {
    const cause = new Error('disk');
    const error = new CheckpointError('ERR_CKPT_IO', 'm', { cause, phase: 'persist', path: '/x', provider: 'p' });
    expect(error).toMatchObject({ code: 'ERR_CKPT_IO', phase: 'persist', path: '/x', provider: 'p', cause, name: 'CheckpointError' });
  });
});
