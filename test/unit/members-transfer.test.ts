/** Buffers that are handed over with a request or a reply: the caller has them no more, and the peer gets them whole. */
import { MessageChannel } from 'node:worker_threads';
import { expect, it, onTestFinished } from 'vitest';
import { ChannelEnd, type ChannelRecord } from '../../packages/sdk/src/members/channel.js';
import type { ChannelHooks } from '../../packages/sdk/src/members/channel-hooks.js';

const HOOKS: ChannelHooks = {
  assertOpen() {},
  task: () => 'main',
  whenGoingOn: (_, take) => take(),
  during: (work) => work,
  safe: (work) => work,
  receiving() {},
  report() {},
  hurried: () => false,
};

function end(peer: string, requests?: ChannelRecord['requests']): ChannelEnd {
  return new ChannelEnd({ name: 'jobs', peer, inbox: [], outbox: [], ...(requests === undefined ? {} : { requests }) }, HOOKS);
}

function connected(asking: ChannelEnd): ChannelEnd {
  const asked = end('main');
  const { port1, port2 } = new MessageChannel();
  asking.connect(port1);
  asked.connect(port2);
  onTestFinished(() => {
    asking.close();
    asked.close();
  });
  return asked;
}

const numbers = (): Float64Array<ArrayBuffer> => Float64Array.from({ length: 1000 }, (_, at) => at);

/** Asks with buffers handed over, and is answered in the same way. */
async function exchange(asking: ChannelEnd): Promise<void> {
  const asked = connected(asking);
  const given = numbers();
  const replied = asking.request({ given }, [given.buffer]);
  expect(given.byteLength).toBe(0);
  for await (const { id, value } of asked.requests()) {
    expect(value).toEqual({ given: numbers() });
    const answer = numbers();
    asked.reply(id, answer, [answer.buffer]);
    expect(answer.byteLength).toBe(0);
    break;
  }
  expect(await replied).toEqual(numbers());
}

it('a request and a reply hand their buffers over', async () => {
  await exchange(end('w'));
});

it('a request that is asked again after a restart hands its buffers over like the first time', async () => {
  const first = end('w');
  void first.request({ given: numbers() });
  const { requests } = first.record();
  const again = end('w', requests);
  await exchange(again);
  expect(again.record().requests?.made).toBe(1);
});
