import { expect, test } from 'vitest';
import { CheckpointError } from '../../packages/sdk/src/base/errors.js';
import { Handlers } from '../../packages/sdk/src/checkpoint/handlers.js';
import { settle } from '../fixtures/conducted.js';
import { ManualClock } from '../fixtures/manual-clock.js';

const FACTS = { reason: 'call', name: undefined, image: undefined };

function made(): { clock: ManualClock; handlers: Handlers } {
  const clock = new ManualClock();
  return { clock, handlers: new Handlers(clock, 1_000) };
}

test.each(['run', 'runSync'] as const)('%s: atCheckpoint newest first, the others oldest first', async (how) => {
  const { handlers } = made();
  const order: string[] = [];
  for (const kind of ['atCheckpoint', 'atResume', 'atRestart'] as const) {
    for (const which of [1, 2, 3]) handlers.add(kind, () => void order.push(`${kind}${which}`));
  }
  for (const kind of ['atCheckpoint', 'atResume', 'atRestart'] as const) await handlers[how](kind, FACTS);
  expect(order.join(' ')).toBe('atCheckpoint3 atCheckpoint2 atCheckpoint1 atResume1 atResume2 atResume3 atRestart1 atRestart2 atRestart3');
});

test('one failure is the cause itself, several are an AggregateError in order', async () => {
  const { handlers } = made();
  const errors = [new Error('one'), new Error('two')];
  handlers.add('atResume', () => {
    throw errors[0];
  });
  await expect(handlers.run('atResume', FACTS)).rejects.toMatchObject({ code: 'ERR_CKPT_HANDLER', cause: errors[0] });
  handlers.add('atResume', () => Promise.reject(errors[1]));
  await expect(handlers.run('atResume', FACTS)).rejects.toMatchObject({ code: 'ERR_CKPT_HANDLER', cause: { errors } });
});

test('a handler has its time from its own start; its signal is aborted when that is over, and the next one runs', async () => {
  const { clock, handlers } = made();
  const seen: string[] = [];
  handlers.add('atResume', ({ signal }) => new Promise(() => void signal.addEventListener('abort', () => seen.push(signal.reason.code))));
  handlers.add('atResume', () => new Promise((resolve) => clock.timer(900, () => resolve())));
  handlers.add('atResume', () => void seen.push('last'));
  const run = handlers.run('atResume', FACTS).catch((error: unknown) => error);
  clock.advance(1_000);
  await settle();
  clock.advance(900);
  expect(await run).toMatchObject({
    code: 'ERR_CKPT_TIMEOUT',
    phase: 'handlers',
    context: { handler: expect.stringContaining('handlers.test.ts') },
  });
  expect(seen).toEqual(['ERR_CKPT_TIMEOUT', 'last']);
  expect(clock.timers).toBe(0);
});

test('while a handler runs, the event loop is held', () => {
  const { clock, handlers } = made();
  handlers.add('atResume', () => new Promise(() => {}));
  void handlers.run('atResume', FACTS).catch(() => {});
  expect(clock.holding).toBe(1);
});

test('inside: true in the handler and after its awaits, false outside, beside and afterwards', async () => {
  const { handlers } = made();
  const seen: (string | undefined)[] = [];
  let later = (): void => {};
  handlers.add('atCheckpoint', async () => {
    seen.push(handlers.inside());
    setImmediate(() => seen.push(handlers.inside()));
    await settle();
    seen.push(handlers.inside());
    later = () => seen.push(handlers.inside());
  });
  const run = handlers.run('atCheckpoint', FACTS);
  expect(handlers.inside()).toBeUndefined();
  await run;
  later();
  expect(handlers.inside()).toBeUndefined();
  const inside = expect.stringMatching(/atCheckpoint handler.*handlers\.test\.ts/);
  expect(seen).toEqual([inside, inside, inside, undefined]);
  expect(handlers.guard('a capture function', () => handlers.inside())).toBe('a capture function');
});

test('runSync: a handler that returns a promise fails by name, its rejection is nobody’s, and the others run', () => {
  const { handlers } = made();
  let ran = 0;
  handlers.add('atResume', () => Promise.reject(new Error('unheard')));
  handlers.add('atResume', () => void ran++);
  expect(() => handlers.runSync('atResume', FACTS)).toThrow(
    expect.objectContaining({ code: 'ERR_CKPT_ASYNC_HANDLER', context: { handler: expect.stringContaining('handlers.test.ts') } }),
  );
  expect(ran).toBe(1);
  handlers.add('atResume', () => {
    throw new Error('another');
  });
  expect(() => handlers.runSync('atResume', FACTS)).toThrow(expect.objectContaining({ code: 'ERR_CKPT_HANDLER' }));
});

test('failures that all have the same code of ours keep it; an error of another checkpointer does not count as ours', async () => {
  const { handlers } = made();
  const reentrant = (): never => {
    throw new CheckpointError('ERR_CKPT_REENTRANT', 'no', { phase: 'handlers' });
  };
  handlers.add('atResume', reentrant);
  handlers.add('atResume', reentrant);
  await expect(handlers.run('atResume', FACTS)).rejects.toMatchObject({ code: 'ERR_CKPT_REENTRANT', cause: { errors: [{}, {}] } });
  const { handlers: others } = made();
  others.add('atResume', () => {
    throw new CheckpointError('ERR_CKPT_NO_SPACE', 'of another store', { phase: 'persist' });
  });
  await expect(others.run('atResume', FACTS)).rejects.toMatchObject({ code: 'ERR_CKPT_HANDLER', cause: { code: 'ERR_CKPT_NO_SPACE' } });
});
