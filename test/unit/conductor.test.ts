import { expect, test } from 'vitest';
import { CheckpointError } from '../../packages/sdk/src/base/errors.js';
import { Conducted, PLACE, settle, TASK } from '../fixtures/conducted.js';

test('a request waits for start() and for the task to stand; it is settled at the commit and not before', async () => {
  const c = new Conducted();
  const asked = c.ask({ name: 'a' });
  await c.pass();
  expect(c.conductor.phase.at).toBe('idle');
  c.conductor.start();
  expect(c.conductor.phase.at).toBe('quiescing');
  await c.pass();
  expect(c.conductor.phase.at).toBe('persisting');
  expect(asked.outcome).toBeUndefined();
  expect(c.persisting[0]?.job.names).toEqual(['a']);
  c.commit();
  expect(asked.outcome).toMatchObject({ ok: true, result: { image: { name: 'a', generation: 1 } } });
  expect(c.conductor.phase.at).toBe('idle');
  expect(c.told).toEqual(['requested', 'quiesced', 'captured', 'committed']);
});

test('requests that wait for the safepoint share its image; those that come later share the next one', async () => {
  const c = new Conducted();
  c.conductor.start();
  const first = [c.ask({ name: 'a' }), c.ask({ reason: 'signal' }), c.ask({ name: 'b' })];
  await c.pass();
  const second = [c.ask({ reason: 'timer' }), c.ask({ name: 'c' })];
  expect(c.persisting).toHaveLength(1);
  c.commit();
  for (const { outcome } of first)
    expect(outcome).toMatchObject({ ok: true, result: { image: { names: ['a', 'b'], generation: 1 }, reason: 'call' } });
  for (const { outcome } of second) expect(outcome).toBeUndefined();
  await c.pass();
  c.commit();
  for (const { outcome } of second)
    expect(outcome).toMatchObject({
      ok: true,
      result: { image: { names: ['c'], generation: 2, parent: expect.any(String) }, reason: 'timer' },
    });
});

test('a task that stood and went on in the same turn is waited for', async () => {
  const c = new Conducted();
  c.conductor.start();
  c.ask();
  c.conductor.gate.arrive(TASK, PLACE, 'safepoint');
  c.conductor.gate.leave(TASK, 'safepoint');
  await settle();
  expect(c.conductor.phase.at).toBe('quiescing');
  await c.pass();
  expect(c.conductor.phase.at).toBe('persisting');
});

test('whoever stands stays until the capture is over', async () => {
  const c = new Conducted();
  let release = (): void => {};
  c.handlers.add(
    'atCheckpoint',
    () =>
      new Promise((resolve) => {
        release = resolve;
      }),
  );
  c.conductor.start();
  c.ask();
  let passed = false;
  const pass = c.pass().then(() => {
    passed = true;
  });
  await settle();
  await settle();
  expect(passed).toBe(false);
  release();
  await pass;
  expect(c.conductor.phase.at).toBe('persisting');
});

test('a failed checkpoint settles its requests, frees their names, and the next one works', async () => {
  const c = new Conducted();
  c.conductor.start();
  const failing = c.ask({ name: 'a' });
  c.capture = () => {
    throw new CheckpointError('ERR_CKPT_PROVIDER', 'no');
  };
  await c.pass();
  expect(failing.outcome).toMatchObject({ ok: false, error: { code: 'ERR_CKPT_PROVIDER' } });
  c.capture = () => {};
  const lost = c.ask({ name: 'a' });
  await c.pass();
  c.fail(new CheckpointError('ERR_CKPT_NO_SPACE', 'full'));
  expect(lost.outcome).toMatchObject({ ok: false, error: { code: 'ERR_CKPT_NO_SPACE' } });
  const good = c.ask({ name: 'a' });
  await c.pass();
  c.commit();
  expect(good.outcome).toMatchObject({ ok: true, result: { image: { name: 'a', parent: undefined } } });
  expect(c.told.filter((word) => word.startsWith('failed'))).toEqual(['failed ERR_CKPT_PROVIDER', 'failed ERR_CKPT_NO_SPACE']);
});

test('a request is withdrawn only before its checkpoint begins', async () => {
  const c = new Conducted();
  const error = new CheckpointError('ERR_CKPT_ABORTED', 'gone');
  c.conductor.start();
  const alone = c.ask({ name: 'a' });
  c.conductor.withdraw(alone.request, error);
  expect(c.conductor.phase.at).toBe('idle');
  const runs = c.ask({ name: 'a' });
  await c.pass();
  c.conductor.withdraw(runs.request, error);
  const queued = c.ask({ name: 'b' });
  c.conductor.withdraw(queued.request, error);
  c.commit();
  expect(runs.outcome).toMatchObject({ ok: true });
  expect(c.conductor.phase.at).toBe('idle');
  expect(c.told.filter((word) => word.startsWith('failed'))).toEqual(['failed ERR_CKPT_ABORTED', 'failed ERR_CKPT_ABORTED']);
});

test('the end settles everything: what waits is refused, what runs is settled by its own end', async () => {
  const c = new Conducted();
  c.conductor.start();
  const runs = c.ask();
  await c.pass();
  const queued = c.ask({ reason: 'signal' });
  c.conductor.end('fenced');
  expect(queued.outcome).toMatchObject({ ok: false, error: { code: 'ERR_CKPT_FENCED' } });
  expect(runs.outcome).toBeUndefined();
  c.commit();
  expect(runs.outcome).toMatchObject({ ok: true });
  expect(c.ask().outcome).toMatchObject({ ok: false, error: { code: 'ERR_CKPT_FENCED' } });
});

test('fenced between the capture and the persist step: nothing is handed over', async () => {
  const c = new Conducted();
  let resumed = 0;
  c.handlers.add('atResume', () => {
    resumed++;
    c.conductor.end('fenced');
  });
  c.conductor.start();
  const asked = c.ask();
  await c.pass();
  await settle();
  expect(c.persisting).toEqual([]);
  expect(resumed).toBe(1);
  expect(asked.outcome).toMatchObject({ ok: false, error: { code: 'ERR_CKPT_FENCED' } });
});

test('a checkpoint with exit keeps the task, runs no atResume handler and exits at the commit', async () => {
  const c = new Conducted();
  let resumed = 0;
  c.handlers.add('atResume', () => void resumed++);
  c.conductor.start();
  c.ask({ reason: 'signal', exit: true });
  let passed = false;
  void c.pass().then(() => {
    passed = true;
  });
  await settle();
  await settle();
  expect(c.persisting[0]?.job.release).toBe(true);
  c.commit();
  await settle();
  expect({ passed, resumed }).toEqual({ passed: false, resumed: 0 });
  expect(c.told.at(-1)).toBe('exit 85');
});

test('a checkpoint with exit that fails lets the task go on, after its atResume handlers', async () => {
  const c = new Conducted();
  const order: string[] = [];
  c.handlers.add('atResume', () => void order.push('resume'));
  c.conductor.start();
  const asked = c.ask({ reason: 'signal', exit: true });
  const pass = c.pass().then(() => order.push('goes on'));
  await settle();
  c.fail(new CheckpointError('ERR_CKPT_IO', 'no'));
  await pass;
  expect(order).toEqual(['resume', 'goes on']);
  expect(asked.outcome).toMatchObject({ ok: false, error: { code: 'ERR_CKPT_IO' } });
  expect(c.told).not.toContain('exit 85');
});

test('nothing but a commit under way and handlers hold the event loop', async () => {
  const c = new Conducted();
  c.conductor.start();
  c.ask();
  expect(c.clock.holding).toBe(0);
  await c.pass();
  expect(c.clock.holding).toBe(1);
  c.commit();
  expect(c.clock.holding).toBe(0);
  c.ask();
  await c.pass();
  c.fail(new Error('anything'));
  expect(c.clock.holding).toBe(0);
});

test('while the task does not come, that is told once per period, and no more once it stands', async () => {
  const c = new Conducted();
  c.conductor.start();
  c.ask({ reason: 'timer' });
  c.clock.advance(35_000);
  expect(c.told.filter((word) => word === 'waiting')).toHaveLength(3);
  await c.pass();
  c.clock.advance(60_000);
  expect(c.told.filter((word) => word === 'waiting')).toHaveLength(3);
});

test('runSync takes what is due at once, also when the asking call stands, and nothing otherwise', async () => {
  const c = new Conducted();
  c.conductor.start();
  c.conductor.runSync(TASK, PLACE);
  expect(c.told).toEqual([]);
  c.conductor.gate.arrive(TASK, PLACE, 'call');
  const asked = c.ask({ captured: () => void c.conductor.gate.leave(TASK, 'call') });
  c.conductor.runSync(TASK, PLACE);
  expect(asked.outcome).toMatchObject({ ok: true });
  expect(c.conductor.gate.somebodyStands()).toBe(false);
  await settle();
  expect(c.persisting).toEqual([]);
});
