import { expect, test } from 'vitest';
import { Batch } from '../../packages/sdk/src/checkpoint/batch.js';
import { advance, type Phase } from '../../packages/sdk/src/checkpoint/phases.js';

const batch = new Batch([], 0);
const PHASES: Record<Phase['at'], Phase> = {
  idle: { at: 'idle' },
  quiescing: { at: 'quiescing', batch },
  capturing: { at: 'capturing', batch },
  persisting: { at: 'persisting', batch },
  ended: { at: 'ended', why: 'closed' },
};
const LEGAL = [
  'idle>quiescing',
  'quiescing>capturing',
  'quiescing>idle',
  'capturing>persisting',
  'capturing>idle',
  'persisting>idle',
  'idle>ended',
  'quiescing>ended',
  'capturing>ended',
  'persisting>ended',
];

test('the transitions that are drawn are legal, and no others', () => {
  for (const from of Object.values(PHASES)) {
    for (const to of Object.values(PHASES)) {
      if (LEGAL.includes(`${from.at}>${to.at}`)) expect(advance(from, to)).toBe(to);
      else expect(() => advance(from, to)).toThrow(`no way from ${from.at} to ${to.at}`);
    }
  }
});

test('a batch settles each of its requests once, and is known by its strongest wish', () => {
  const settled: string[] = [];
  const request = (reason: 'call' | 'signal' | 'finish', exit: boolean, name?: string) =>
    ({ reason, exit, ...(name === undefined ? {} : { name }), settled: () => void settled.push(reason) }) as const;
  const some = new Batch([request('signal', false), request('call', false, 'a')], 5);
  expect({ reason: some.reason, names: some.names, exit: some.exit, finish: some.finish }).toEqual({
    reason: 'signal',
    names: ['a'],
    exit: false,
    finish: false,
  });
  some.add(request('finish', true, 'a'));
  expect({ reason: some.reason, names: some.names, reservations: some.reservations, exit: some.exit }).toEqual({
    reason: 'finish',
    names: ['a'],
    reservations: ['a', 'a'],
    exit: true,
  });
  const outcome = { ok: false, error: new Error('unused') } as never; // only whether it comes matters here
  some.settle(outcome);
  some.settle(outcome);
  expect(settled).toEqual(['signal', 'call', 'finish']);
  expect(some.empty).toBe(true);
});
