import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, it } from 'vitest';
import { hiddenClasses } from '../../packages/sdk/src/codec/hidden-class.js';

// In a file of its own: functions that are called often keep their code.
it('hidden classes are told after V8 has dropped all code that was not used for a while', () => {
  setFlagsFromString('--expose-gc');
  setFlagsFromString('--stress-flush-code');
  const collect: unknown = runInNewContext('gc');
  if (typeof collect !== 'function') throw new Error('expected gc()');
  for (let i = 0; i < 3; i++) collect();
  setFlagsFromString('--no-stress-flush-code');
  expect(hiddenClasses?.isFast({ a: 1 })).toBe(true);
  expect(hiddenClasses?.same([1], [2])).toBe(true);
  expect(hiddenClasses?.same([1], {})).toBe(false);
});
