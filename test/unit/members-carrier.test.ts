/** A forked member over its real stream, from the side of the program. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { MessageChannel } from 'node:worker_threads';
import { expect, it, onTestFinished, vi } from 'vitest';
import { type Greeting, launch } from '../../packages/sdk/src/members/carrier.js';
import { type Frame, FrameReader } from '../../packages/sdk/src/members/frames.js';
import { LINK_FD, memberMemory } from '../../packages/sdk/src/members/protocol.js';

it('F64: a process that is being recorded gets its welcome first, however much the program says meanwhile', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'ckpt-carrier-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const got = join(folder, 'got');
  writeFileSync(got, '');
  writeFileSync(
    join(folder, 'child.mjs'),
    `import { appendFileSync } from 'node:fs';
import { Socket } from 'node:net';
new Socket({ fd: ${LINK_FD} }).on('data', (bytes) => appendFileSync(${JSON.stringify(got)}, bytes));
`,
  );
  const { port1, port2 } = new MessageChannel();
  let recorded = (): void => {};
  const carrier = launch({
    name: 'child',
    entry: { kind: 'process', url: pathToFileURL(join(folder, 'child.mjs')), args: [], options: {} },
    port: port2,
    memory: memberMemory(),
    greeting: {} as Greeting, // this member reads none
    events: {
      failed: (why) => expect.fail(why),
      exited: () => {},
      forked: () =>
        new Promise((resolve) => {
          recorded = () => resolve(async () => {});
        }),
    },
  });
  try {
    port1.postMessage({ type: 'quiesce', round: 1 });
    port1.postMessage({ type: 'go' });
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
    recorded();
    await vi.waitFor(
      () => {
        const found: string[] = [];
        const frame = (frame: Frame): unknown => found.push(frame.type === 'control' ? frame.message.type : frame.type);
        new FrameReader({ frame, piece: () => expect.fail('nothing follows') }).push(readFileSync(got));
        expect(found).toEqual(['welcome', 'quiesce', 'go']);
      },
      { timeout: 20_000, interval: 20 },
    );
  } finally {
    await carrier.terminate();
    port1.close();
  }
});
