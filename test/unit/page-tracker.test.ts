import { closeSync, constants, mkdtempSync, openSync, promises, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it, type TestContext } from 'vitest';
import { type ByteRanges, openPageTracker, type PageTracker, type Tracking } from '../../packages/accelerator/src/index.js';

const PAGE = 4096;
const BYTES = 64 * PAGE;

const opened: PageTracker[] = [];
afterEach(() => {
  for (const tracker of opened.splice(0)) tracker.close();
});

function tracker(context: TestContext): PageTracker {
  const found = openPageTracker();
  if ('refused' in found) return context.skip(found.refused);
  opened.push(found);
  return found;
}

function tracked(by: PageTracker, memory: ArrayBufferLike): Tracking {
  const tracking = by.track(memory);
  if ('refused' in tracking) throw new Error(tracking.refused);
  return tracking;
}

const holds = (ranges: ByteRanges | undefined, at: number): boolean =>
  (ranges ?? []).some((start, i) => i % 2 === 0 && start <= at && at < (ranges?.[i + 1] ?? 0));
const reasonOf = (tracking: object): unknown => Reflect.get(tracking, 'refused');

const koffi = createRequire(new URL('../../packages/accelerator/package.json', import.meta.url))('koffi') as {
  load(path: null): { func(prototype: string): (...args: unknown[]) => unknown };
  address(memory: ArrayBufferLike): bigint;
};

function openDirectly(context: TestContext, path: string): number {
  try {
    return openSync(path, constants.O_RDONLY | constants.O_DIRECT);
  } catch {
    return context.skip('the file system has no direct reads');
  }
}

describe('the kernel as a tracker of written pages', () => {
  it('names what was written since the last look, and nothing far from it', (context) => {
    const memory = new ArrayBuffer(BYTES);
    const bytes = new Uint8Array(memory);
    const tracking = tracked(tracker(context), memory);
    expect(holds(tracking.written(), 20 * PAGE)).toBe(false);
    bytes[20 * PAGE] = 1;
    bytes[40 * PAGE + 5] = 1;
    const written = tracking.written();
    expect([20 * PAGE, 40 * PAGE + 5, 30 * PAGE].map((at) => holds(written, at))).toEqual([true, true, false]);
    expect(holds(tracking.written(), 20 * PAGE)).toBe(false);
  });

  it('loses the registration of a buffer that is detached, and says so', (context) => {
    const memory = new ArrayBuffer(BYTES);
    const tracking = tracked(tracker(context), memory);
    structuredClone(memory, { transfer: [memory] });
    expect(tracking.written()).toBeUndefined();
  });

  it('loses the registration when other memory is mapped in its place, and says so', (context) => {
    const memory = new ArrayBuffer(4 * 2 ** 20);
    const by = tracker(context);
    const tracking = tracked(by, memory);
    expect(tracking.written()).toBeDefined();
    const map = koffi.load(null).func('void *mmap(void *at, size_t length, int protection, int flags, int fd, int64_t offset)');
    const at = ((koffi.address(memory) >> 12n) + 100n) << 12n;
    map(at, PAGE, 3, 0x32, -1, 0); // read and write; private, fixed, anonymous
    expect(tracking.written()).toBeUndefined();
    tracking.end();
    const again = tracked(by, memory);
    new Uint8Array(memory)[100 * PAGE] = 1;
    expect(holds(again.written(), 100 * PAGE)).toBe(true);
  });

  it('loses the registration of a shared buffer that has grown, and says so', (context) => {
    const memory = Reflect.construct(SharedArrayBuffer, [BYTES, { maxByteLength: 2 * BYTES }]) as SharedArrayBuffer & {
      grow(length: number): void;
    };
    const tracking = tracked(tracker(context), memory);
    expect(tracking.written()).toBeDefined();
    memory.grow(2 * BYTES);
    expect(tracking.written()).toBeUndefined();
  });

  it('refuses a buffer that can shrink', (context) => {
    const memory = new ArrayBuffer(BYTES, { maxByteLength: 2 * BYTES } as object);
    expect(reasonOf(tracker(context).track(memory))).toMatch(/resizable/);
  });

  it('refuses memory that another buffer is tracked for: a look at one would hide a write from the other', (context) => {
    const memory = new SharedArrayBuffer(BYTES);
    const same = structuredClone(memory);
    const by = tracker(context);
    const tracking = tracked(by, memory);
    expect(reasonOf(by.track(same))).toMatch(/tracked already/);
    tracking.end();
    expect(reasonOf(by.track(same))).toBeUndefined();
  });

  it('always names the pages at its edges that lie in no buffer alone', (context) => {
    const memory = new ArrayBuffer(BYTES);
    const tracking = tracked(tracker(context), memory);
    tracking.written();
    const alone = Number(koffi.address(memory)) % PAGE === 0;
    const ranges = tracking.written();
    expect([holds(ranges, 0), holds(ranges, BYTES - 1)]).toEqual([!alone, !alone]);
  });

  it('claims nothing about writes that a device makes, past the page cache, across a capture', async (context) => {
    const by = tracker(context);
    const folder = mkdtempSync(join(tmpdir(), 'ckpt-direct-'));
    context.onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
    const path = join(folder, 'input');
    writeFileSync(path, Buffer.alloc(PAGE, 7));
    const tracking = tracked(by, new ArrayBuffer(BYTES));
    by.round();
    expect(tracking.written()).toBeDefined();
    const fd = openDirectly(context, path);
    by.round();
    expect(tracking.written()).toBeDefined(); // nothing was under way at the capture before
    closeSync(fd);
    by.round();
    expect(tracking.written()).toBeUndefined();
    by.round();
    expect(tracking.written()).toBeDefined();
  });

  it('ends with its trackings when it is closed', async (context) => {
    const by = tracker(context);
    const tracking = tracked(by, new ArrayBuffer(BYTES));
    by.close();
    expect(tracking.written()).toBeUndefined();
    expect(reasonOf(by.track(new ArrayBuffer(BYTES)))).toMatch(/closed/);
    const fds = await promises.readdir('/proc/self/fd');
    const targets = await Promise.all(fds.map((fd) => promises.readlink(`/proc/self/fd/${fd}`).catch(() => '')));
    expect(targets.filter((target) => target.includes('userfaultfd'))).toEqual([]);
  });

  it('says why it is not used on another system or processor', () => {
    expect(reasonOf(openPageTracker({ platform: 'darwin', arch: 'arm64' }))).toMatch(/needs Linux/);
    expect(reasonOf(openPageTracker({ platform: 'linux', arch: 's390x' }))).toMatch(/s390x/);
  });
});
