/** What a rescale hook may answer, and what it must not forget. */
import { describe, expect, it } from 'vitest';
import { ClassRegistry } from '../../packages/sdk/src/codec/classes.js';
import type { ImageContents } from '../../packages/sdk/src/image/contract.js';
import type { ChannelRecord } from '../../packages/sdk/src/members/channel.js';
import { RecordedMembers } from '../../packages/sdk/src/restart/recorded-members.js';
import { type RescaledStart, rescale } from '../../packages/sdk/src/restart/rescale.js';
import type { Rescale, RescaledSet } from '../../packages/sdk/src/restart/rescale-contract.js';
import { channelsOf, encodedPart } from '../../packages/sdk/src/restart/rescaled-part.js';
import { decodeSections } from '../../packages/sdk/src/restart/sections.js';

const classes = new ClassRegistry();
/** Too long to be a part of the structured state. */
const VIEW: Float64Array = Float64Array.from({ length: 4096 }, (_, at) => at);
const image = { id: 'an-image', epoch: 1, generation: 1 } as ImageContents['manifest']['image'];

const end = (name: string, peer: string, inbox: readonly unknown[], outbox: readonly unknown[] = []): ChannelRecord => ({
  name,
  peer,
  inbox,
  outbox,
});

/** The member `a` with a state, a section of WebAssembly and messages; the program has sent it one more. */
function recordedMembers(): RecordedMembers {
  const given = [
    { name: 'data', kind: 'state', version: 3, value: { view: VIEW.slice() } },
    ...channelsOf([end('orders', 'main', ['first'], []), end('told', 'main', [], ['of a'])]),
  ];
  const part = encodedPart('a', given, { classes, shared: [], image });
  const members = [
    { name: 'main', kind: 'program' },
    { name: 'a', kind: 'worker' },
  ];
  const sections = part.manifest.sections.flatMap((one, index) =>
    index === 0 ? [one, { ...one, member: 'z', name: 'heap', kind: 'wasm' }] : [one],
  );
  const [first, ...others] = part.sections;
  // What is left out of the manifest is not looked at.
  const contents = { ...part, sections: [first, undefined, ...others], manifest: { ...part.manifest, sections, members } } as unknown;
  return new RecordedMembers(contents as ImageContents, classes);
}

function ask(hook: Rescale, declared: readonly string[] = ['b'], shared: readonly SharedArrayBuffer[] = []): RescaledStart {
  const program = [end('orders', 'a', [], ['second'])];
  return rescale(hook, { recorded: recordedMembers(), declared, program, classes, shared });
}

function sectionsOf(start: RescaledStart, member: string): Record<string, unknown> {
  const part = start.handed.get(member)?.part;
  if (part === undefined) throw new Error(`nothing was handed to ${member}`);
  return Object.fromEntries([...decodeSections(part, member, classes)].map(([name, { value }]) => [name, value]));
}

describe('rescale', () => {
  it('shows messages in the order in which they were sent, those that were not sent yet behind those that have arrived', () => {
    let old: RescaledSet | undefined;
    ask((shown) => {
      old = shown;
      return { members: { b: {} }, dropped: shown.messages };
    });
    const told = old?.messages.map(({ channel, from, to, value }) => [channel, from, to, value]);
    expect(told).toContainEqual(['told', 'a', 'main', 'of a']);
    expect(told?.filter(([channel]) => channel === 'orders')).toEqual([
      ['orders', 'main', 'a', 'first'],
      ['orders', 'main', 'a', 'second'],
    ]);
  });

  it('puts what is placed into the inbox of its receiver, be that a member or the program, in the order of the answer', () => {
    const start = ask(({ messages }) => ({
      members: { b: {} },
      messages: messages
        .map((message) => (message.to === 'a' ? { ...message, to: 'b' } : { ...message, from: 'b', value: 'changed' }))
        .reverse(),
    }));
    expect(start.program).toEqual([end('told', 'b', ['changed'])]);
    expect(sectionsOf(start, 'b')).toEqual({ 'ckpt:channels': [end('orders', 'main', ['second', 'first'])] });
  });

  it('gives sections the kind and version that the image has under the name, and memory of their own', () => {
    const start = ask(
      ({ members: [a], messages }) => {
        const data = a?.sections['data'];
        return { members: { b: { data }, c: { data } }, dropped: messages };
      },
      ['b', 'c'],
    );
    const [b, c] = ['b', 'c'].map((name) => start.handed.get(name)?.part);
    expect(b?.manifest.sections).toMatchObject([{ member: 'b', name: 'data', kind: 'state', version: 3 }]);
    expect(sectionsOf(start, 'b')).toEqual({ data: { view: VIEW.slice() } });
    expect(b?.buffers[0]).not.toBe(c?.buffers[0]);
  });

  it('leaves a member that goes on as recorded what it had, whatever the hook does to what it was shown', () => {
    const start = ask(
      ({ members: [a], messages }) => {
        const data = a?.sections['data'] as { view: Float64Array }; // as recordedMembers() makes it
        data.view[0] = 9;
        return { members: { a: 'recorded' }, messages };
      },
      ['a'],
    );
    expect(sectionsOf(start, 'a')).toMatchObject({ data: { view: VIEW.slice() } });
    expect(sectionsOf(start, 'a')['ckpt:channels']).toEqual([end('orders', 'main', ['first', 'second'])]);
    expect(start.program).toEqual([end('told', 'a', ['of a'])]);
  });

  const shared = new SharedArrayBuffer(8);
  const wrong: readonly (readonly [words: string, hook: unknown])[] = [
    ['promise', async () => ({ members: {} })],
    ['{ members, messages, dropped }', () => 1],
    ["for member 'b'", ({ messages }: RescaledSet) => ({ members: {}, dropped: messages })],
    ["'d' is no member", ({ messages }: RescaledSet) => ({ members: { b: {}, d: {} }, dropped: messages })],
    ['is not in the image', ({ messages }: RescaledSet) => ({ members: { b: 'recorded' }, dropped: messages })],
    [
      'is among messages and among dropped',
      ({ messages }: RescaledSet) => ({ members: { b: {} }, dropped: messages, messages: [{ ...messages[0], from: 'main', to: 'b' }] }),
    ],
    ["'a' is no member that the program declares", ({ messages }: RescaledSet) => ({ members: { b: {} }, messages })],
    [
      'no message with the id 3',
      ({ messages }: RescaledSet) => ({ members: { b: {} }, dropped: [...messages, { ...messages[0], id: 3 }] }),
    ],
    [
      'expected two members',
      ({ messages }: RescaledSet) => ({ members: { b: {} }, messages: messages.map((one) => ({ ...one, from: 'b', to: 'b' })) }),
    ],
    ['no member of the image has a section', ({ messages }: RescaledSet) => ({ members: { b: { date: {} } }, dropped: messages })],
    ['WebAssembly', ({ messages }: RescaledSet) => ({ members: { b: { heap: {} } }, dropped: messages })],
    ['cannot be carried', ({ messages }: RescaledSet) => ({ members: { b: { data: { work: () => {} } } }, dropped: messages })],
    [
      'cannot be carried',
      ({ messages }: RescaledSet) => ({ members: { b: { data: { view: new Int8Array(shared) } } }, dropped: messages }),
    ],
  ];

  it.each(wrong)('refuses an answer where it finds: %s', (words, hook) => {
    let error: unknown;
    try {
      ask(hook as Rescale, ['b'], [shared]); // wrong on purpose
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toMatchObject({ code: 'ERR_CKPT_RESCALE', phase: 'plan' });
    expect(String(error)).toContain(words);
  });
});
