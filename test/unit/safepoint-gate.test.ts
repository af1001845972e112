import { expect, test } from 'vitest';
import { SafepointGate } from '../../packages/sdk/src/members/safepoint-gate.js';
import { settle } from '../fixtures/conducted.js';

function gate(): { gate: SafepointGate; arrivals: () => number; at: (now: number) => void } {
  let arrivals = 0;
  let now = 100;
  const at = (time: number): void => {
    now = time;
  };
  const made = new SafepointGate(
    () => void arrivals++,
    () => {},
    { monotonic: () => now },
  );
  return { gate: made, arrivals: () => arrivals, at };
}

test('everybody stands when every task that joined does; nobody is everybody of an empty set', () => {
  const { gate: g, arrivals } = gate();
  expect(g.everybodyStands()).toBe(false);
  g.join('a', 'a:1');
  g.join('b', 'b:1');
  g.arrive('a', 'a:2', 'safepoint');
  expect(g.everybodyStands()).toBe(false);
  expect(g.missing(100)).toEqual([{ task: 'b', registeredAt: 'b:1', sinceMs: 0, lastSafepoint: 'b:1' }]);
  g.arrive('b', 'b:2', 'call');
  expect(g.everybodyStands()).toBe(true);
  expect(arrivals()).toBe(2);
  g.leave('a', 'safepoint');
  expect(g.missing(100)).toEqual([{ task: 'a', registeredAt: 'a:1', sinceMs: 0, lastSafepoint: 'a:2' }]);
});

test('who is missing is told with where it was begun, since when it is waited for, and what it was in last', () => {
  const { gate: g, at } = gate();
  g.join('main', 'main:1', 'start()');
  at(150);
  g.join('late', 'late:1');
  g.arrive('late', 'late:2', 'safe');
  g.leave('late', 'safe');
  g.join('other', 'other:1');
  g.arrive('other', 'other:2', 'safe');
  at(200);
  expect(g.missing(120)).toEqual([
    { task: 'main', registeredAt: 'main:1', sinceMs: 80, lastSafepoint: 'start()' },
    { task: 'late', registeredAt: 'late:1', sinceMs: 50, lastSafepoint: 'late:2, in safe(), whose promise has settled' },
  ]);
  expect(g.standing()).toEqual(["'other' stands in safe() at other:2"]);
});

test('two safepoints of one task are an error with both places; calls stand beside one', () => {
  const { gate: g } = gate();
  g.join('a', 'start');
  g.arrive('a', 'call-before', 'call');
  g.arrive('a', 'first-place', 'safepoint');
  g.arrive('a', 'call-after', 'call');
  expect(() => g.arrive('a', 'second-place', 'safepoint')).toThrow(
    expect.objectContaining({ code: 'ERR_CKPT_CONCURRENT_SAFEPOINT', member: 'a' }),
  );
  expect(() => g.arrive('a', 'second-place', 'safepoint')).toThrow(/second-place.*first-place/);
  g.leave('a', 'safepoint');
  expect(g.stands('a')).toBe(true);
  g.leave('a', 'call');
  g.leave('a', 'call');
  expect(g.stands('a')).toBe(false);
});

test('while the gate is held nobody leaves; all leave once it is opened, unless it is held again', async () => {
  const { gate: g } = gate();
  g.join('a', 'start');
  g.arrive('a', 'here', 'safepoint');
  g.hold();
  let left = false;
  void g.leave('a', 'safepoint')?.then(() => {
    left = true;
  });
  await settle();
  expect({ left, stands: g.stands('a') }).toEqual({ left: false, stands: true });
  g.open();
  g.hold();
  await settle();
  expect({ left, stands: g.stands('a') }).toEqual({ left: false, stands: true });
  g.open();
  await settle();
  expect({ left, stands: g.stands('a') }).toEqual({ left: true, stands: false });
});
