import { expect, test } from 'vitest';
import { makeTip } from '../fixtures/conducted.js';

const NEXT = { id: 'a'.repeat(32), names: [], reason: 'call', finished: false };

test('generations go up by one from the highest ever seen, also when a checkpoint fails', () => {
  const tip = makeTip(41);
  expect(tip.next(NEXT).image.generation).toBe(42);
  expect(tip.next(NEXT).image.generation).toBe(43);
});

test('the parent is the last acknowledged image', () => {
  const tip = makeTip();
  const first = tip.next({ ...NEXT, id: 'b'.repeat(32) });
  expect(first.image.parent).toBeNull();
  tip.committed(first, '/one');
  tip.next({ ...NEXT, id: 'c'.repeat(32) });
  expect(tip.next(NEXT).image.parent).toEqual({ id: 'b'.repeat(32), epoch: 1, generation: 1 });
});

test('a name is had once; released it is free, given it is taken for good, though it may be replaced', () => {
  const tip = makeTip();
  const code = (name: string, replace = false): string => tip.reserve(name, replace)?.code ?? 'ok';
  expect([code('x'), code('x'), code('x', true)]).toEqual(['ok', 'ERR_CKPT_NAME_TAKEN', 'ok']);
  tip.release(['x']);
  expect(code('x')).toBe('ERR_CKPT_NAME_TAKEN');
  tip.release(['x']);
  expect(code('x')).toBe('ok');
  tip.committed(tip.next({ ...NEXT, names: ['x'] }), '/x');
  tip.release(['x']);
  expect([code('x'), code('x', true)]).toEqual(['ERR_CKPT_NAME_TAKEN', 'ok']);
  // Replacing it failed: the image that has it still does.
  tip.release(['x']);
  expect(code('x')).toBe('ERR_CKPT_NAME_TAKEN');
});

test('an image as callers see it has undefined where there is nothing', () => {
  const tip = makeTip();
  const info = tip.committed(tip.next({ ...NEXT, names: ['one', 'two'] }), '/images/1');
  expect(info).toEqual({
    id: NEXT.id,
    name: 'one',
    names: ['one', 'two'],
    generation: 1,
    epoch: 1,
    path: '/images/1',
    createdAt: 0,
    parent: undefined,
    finished: false,
  });
});
