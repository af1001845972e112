/** When a life that may have been replaced has to ask before it writes to the program's files. */
import { describe, expect, it } from 'vitest';
import { CheckpointError } from '../../packages/sdk/src/base/errors.js';
import { WritePermit } from '../../packages/sdk/src/files/write-permit.js';
import { ManualClock } from '../fixtures/manual-clock.js';

const fenced = new CheckpointError('ERR_CKPT_FENCED', 'fenced');
const refused = expect.objectContaining({ code: 'ERR_CKPT_FENCED' });

function permit(clock: ManualClock, answer: () => void = () => {}): { readonly permit: WritePermit; readonly asked: string[] } {
  const asked: string[] = [];
  return {
    asked,
    permit: new WritePermit(clock, {
      assertAlive: () => {},
      assertNewest: async () => {
        asked.push('asked');
        answer();
      },
      assertNewestSync: () => {
        asked.push('asked at once');
        answer();
      },
    }),
  };
}

describe('a write', () => {
  it('needs no question while the last one was less than 20 s ago', () => {
    const clock = new ManualClock();
    const { permit: own, asked } = permit(clock);
    for (let n = 0; n < 10; n++) {
      clock.stall(19_000);
      expect(own.allowed()).toBeUndefined();
      own.allowedSync();
    }
    expect(asked).toEqual([]);
  });

  it.each<[string, (clock: ManualClock) => void]>([
    ['a stop of more than 20 s', (clock) => clock.stall(20_001)],
    ['a sleep that only the wall clock saw', (clock) => clock.jumpWall(20_001)],
    ['a wall clock that jumped back', (clock) => clock.jumpWall(-20_001)],
  ])('F74: after %s waits for the answer', async (_what, happen) => {
    const clock = new ManualClock();
    const { permit: own, asked } = permit(clock);
    happen(clock);
    await own.allowed();
    expect(asked).toEqual(['asked']);
    expect(own.allowed()).toBeUndefined();
    happen(clock);
    own.allowedSync();
    expect(asked).toEqual(['asked', 'asked at once']);
  });

  it('F74: is refused when a newer incarnation has claimed the store meanwhile, and asks again the next time', async () => {
    const clock = new ManualClock();
    const { permit: own, asked } = permit(clock, () => {
      throw fenced;
    });
    clock.stall(60_000);
    await expect(own.allowed()).rejects.toThrow(refused);
    expect(() => own.allowedSync()).toThrow(refused);
    expect(asked).toHaveLength(2);
  });

  it('F74: asks again when it was stopped while the answer was on its way', async () => {
    const clock = new ManualClock();
    let stops = 2;
    const { permit: own, asked } = permit(clock, () => {
      if (stops-- > 0) clock.stall(30_000);
    });
    clock.stall(30_000);
    await own.allowed();
    expect(asked).toHaveLength(3);
    stops = 1;
    clock.stall(30_000);
    own.allowedSync();
    expect(asked).toHaveLength(5);
  });

  it('F74: is refused without a question once it is known', () => {
    const known = (): never => {
      throw fenced;
    };
    const own = new WritePermit(new ManualClock(), { assertAlive: known, assertNewest: async () => {}, assertNewestSync: () => {} });
    expect(() => own.allowed()).toThrow(refused);
    expect(() => own.allowedSync()).toThrow(refused);
    expect(() => own.assertAlive()).toThrow(refused);
  });
});
