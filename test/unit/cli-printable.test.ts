/** What a hostile store puts into names and argv never reaches the terminal as control codes. */
import { describe, expect, it } from 'vitest';
import { printable, printableArgument, printableLines, toJson } from '../../packages/sdk/src/cli/printable.js';

const HOSTILE = 'a\u001b[2J\u0007\u009b31m\u202egnp\u200b\u2028\ud800\u007fz';

describe('printable', () => {
  it('shows every control, format and separator character as a visible escape', () => {
    expect(printable(HOSTILE)).toBe('a\\x1b[2J\\x07\\x9b31m\\u{202e}gnp\\u{200b}\\u{2028}\\u{d800}\\x7fz');
  });

  it('leaves ordinary text of any language alone', () => {
    expect(printable('Prüfung 検査 🚀 a-b_c.d')).toBe('Prüfung 検査 🚀 a-b_c.d');
  });

  it('shows line breaks as escapes in one-line text and keeps them in messages', () => {
    expect(printable('a\nb\tc')).toBe('a\\nb\\tc');
    expect(printableLines('a\nb\u001bc')).toBe('a\nb\\x1bc');
  });

  it('cuts what is too long and says by how much', () => {
    expect(printable('x'.repeat(30), 10)).toBe(`${'x'.repeat(10)}… (20 characters more)`);
    expect(printable('\u001b'.repeat(1_000_000)).length).toBeLessThan(2_000);
  });

  it('quotes arguments as a shell wants them', () => {
    expect(['--n=5', 'two words', "it's", ''].map(printableArgument)).toEqual(['--n=5', "'two words'", "'it'\\''s'", "''"]);
  });

  it('writes JSON of the same value with nothing a terminal would act on', () => {
    const text = toJson({ [HOSTILE]: [HOSTILE] });
    expect(JSON.parse(text)).toEqual({ [HOSTILE]: [HOSTILE] });
    expect(text).not.toMatch(/[\u007f-\u009f\p{Cf}\p{Zl}\p{Zp}\p{Cs}\u0000-\u0009\u000b-\u001f]/u);
  });
});
