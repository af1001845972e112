import { describe, expect, it } from 'vitest';
import { ChangeWatch, type TrackingNote } from '../../packages/sdk/src/checkpoint/change-watch.js';
import type { ByteRanges, PageTracker } from '../../packages/sdk/src/checkpoint/page-tracker.js';

const PAGE = 4096;
const memory = new ArrayBuffer(300 * PAGE);
const FEW: ByteRanges = [0, PAGE];
const MANY: ByteRanges = [0, 101 * PAGE];

/** A kernel whose answers are given, one a capture. */
class Scripted implements PageTracker {
  begun = 0;
  ended = 0;
  answers: (ByteRanges | undefined)[] = [];
  round(): void {}
  close(): void {}
  track(): ReturnType<PageTracker['track']> {
    this.begun++;
    return { written: () => this.answers.shift(), end: () => void this.ended++ };
  }
}

function watched(kernel: PageTracker | undefined, told?: ByteRanges): { watch: ChangeWatch; notes: TrackingNote[] } {
  const notes: TrackingNote[] = [];
  return { watch: new ChangeWatch(memory, kernel, { written: () => told }, (note) => notes.push(note)), notes };
}

describe('the watch on one buffer', () => {
  it('knows nothing at the capture with which tracking begins, and then what the kernel says', () => {
    const kernel = new Scripted();
    const { watch, notes } = watched(kernel);
    kernel.answers = [FEW];
    expect(watch.written()).toBeUndefined();
    expect(watch.written()).toBe(FEW);
    expect(notes.map(({ state }) => state)).toEqual(['on']);
  });

  it('prefers what the kernel says to what the program says, and what the program says to a comparison', () => {
    const kernel = new Scripted();
    const { watch } = watched(kernel, MANY);
    kernel.answers = [FEW];
    expect(watch.written()).toBe(MANY);
    expect(watch.written()).toBe(FEW);
    expect(watched(undefined, MANY).watch.written()).toBe(MANY);
    expect(watched(undefined).watch.written()).toBeUndefined();
  });

  it('begins anew, and has all compared, when a registration is lost', () => {
    const kernel = new Scripted();
    const { watch, notes } = watched(kernel);
    kernel.answers = [undefined, FEW];
    expect(watch.written()).toBeUndefined();
    expect(watch.written()).toBeUndefined();
    expect(watch.written()).toBe(FEW);
    expect(kernel).toMatchObject({ begun: 2, ended: 1 });
    expect(notes.map(({ state }) => state)).toEqual(['on', 'lost', 'on']);
  });

  it('switches kernel tracking off above a third, and on again after comparisons that found little, later each time', () => {
    const kernel = new Scripted();
    const { watch, notes } = watched(kernel);
    const rest = (): number => {
      kernel.answers = [MANY];
      const { begun } = kernel;
      let captures = 0;
      while (kernel.begun === begun && captures < 50) {
        watch.written();
        watch.compared(100);
        if (captures++ > 0) watch.compared(1);
      }
      return captures;
    };
    watch.written();
    const first = rest();
    const second = rest();
    expect(notes.map(({ state }) => state)).toEqual(['on', 'off', 'on', 'off', 'on']);
    expect(second).toBeGreaterThan(first);
    expect(kernel.ended).toBe(2);
  });

  it('compares when the tracker throws', () => {
    const fail = (): never => {
      throw new Error('broken');
    };
    const { watch, notes } = watched({ round: fail, close: fail, track: fail });
    expect(watch.written()).toBeUndefined();
    expect(notes).toMatchObject([{ state: 'off', reason: expect.stringContaining('broken') }]);
    const later = watched({ round: fail, close: fail, track: () => ({ written: fail, end: fail }) }).watch;
    expect([later.written(), later.written()]).toEqual([undefined, undefined]);
  });

  it('does not ask again about a buffer that was refused, and ends what it began', () => {
    const kernel = new Scripted();
    const refusing: PageTracker = { round: () => {}, close: () => {}, track: () => ({ refused: 'no' }) };
    const { watch, notes } = watched(refusing);
    watch.written();
    watch.written();
    expect(notes).toEqual([{ state: 'off', reason: 'no', bytes: memory.byteLength }]);
    const other = watched(kernel).watch;
    other.written();
    other.end();
    expect(kernel.ended).toBe(1);
    expect(other.written()).toBeUndefined();
  });
});
