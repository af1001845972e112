import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const TESTS = join(import.meta.dirname, '..');
const LAST = 79;
const PARTS = ['files', 'codec', 'members', 'speed'];

interface Row {
  readonly number: number;
  readonly files: readonly string[];
  readonly open: string | undefined;
}

const rows: readonly Row[] = readFileSync(join(TESTS, 'failures.md'), 'utf8')
  .split('\n')
  .flatMap((line) => {
    const [, number, words, proof = ''] = /^\| (\d+) \| (.+) \| (.+) \|$/.exec(line) ?? [];
    if (number === undefined || words === undefined) return [];
    return {
      number: Number(number),
      files: [...proof.matchAll(/`([^`]+)`/g)].map(([, file = '']) => file),
      open: /open: (\w+)$/.exec(proof)?.[1],
    };
  });

/** Texts that begin with such numbers: titles of tests, or the rows of a table that titles are made of. */
function numbers(file: string): ReadonlySet<number> {
  const text = readFileSync(join(TESTS, file), 'utf8');
  const heads = [...text.matchAll(/['"`]((?:F\d+(?:, | and )?)+)(?=['"`:])/g)].map(([, head = '']) => head);
  return new Set(heads.flatMap((head) => [...head.matchAll(/\d+/g)].map(([number]) => Number(number))));
}

test('the table has every number once, in order', () => {
  expect(rows.map(({ number }) => number)).toEqual(Array.from({ length: LAST }, (_, at) => at + 1));
});

test('every row names tests that carry its number in a title, or the part of the work that it waits for', () => {
  const wrong = rows.flatMap(({ number, files, open }) => {
    if (files.length === 0 && open === undefined) return `F${number}: neither a test nor open`;
    if (open !== undefined && !PARTS.includes(open)) return `F${number}: open for an unknown part, ${open}`;
    return files.flatMap((file) => {
      if (!existsSync(join(TESTS, file))) return `F${number}: ${file} does not exist`;
      return numbers(file).has(number) ? [] : `F${number}: ${file} has no title with it`;
    });
  });
  expect(wrong).toEqual([]);
});

test('no test is of a number that the table says is open alone', () => {
  const open = new Set(rows.filter(({ files }) => files.length === 0).map(({ number }) => number));
  const found = readdirSync(TESTS, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.test.ts'))
    .flatMap((file) => [...numbers(file)].filter((number) => open.has(number)).map((number) => `${file}: F${number}`));
  expect(found).toEqual([]);
});
