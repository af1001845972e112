/** What is planned for the members that an image records, however many and however they hang together. */
import { expect, it } from 'vitest';
import { MemberPlanner } from '../../packages/sdk/src/app/member-plan.js';
import { ClassRegistry } from '../../packages/sdk/src/codec/classes.js';
import type { ImageContents } from '../../packages/sdk/src/image/contract.js';
import type { MemberPlan } from '../../packages/sdk/src/restart/plan.js';
import { RecordedMembers } from '../../packages/sdk/src/restart/recorded-members.js';

/** The program declares nothing, and answers for `top` where that is asked. */
function planned(members: readonly { readonly name: string; readonly parent?: string }[]): ReadonlyMap<string, MemberPlan> {
  const records = members.map((member) => ({ kind: 'worker', finished: false, ...member }));
  // The rest of an image is not looked at.
  const contents = { manifest: { image: { id: 'an-image' }, members: records, sections: [], buffers: [] }, sections: [] } as unknown;
  const planner = new MemberPlanner({
    recorded: new RecordedMembers(contents as ImageContents, new ClassRegistry()),
    members: () => [],
    opaque: () => [],
    rescales: () => false,
    declare: () => {},
  });
  planner.onMember(({ name }) => (name === 'top' ? 'file:///top.js' : undefined));
  return new Map(planner.preview().map((plan) => [plan.name, plan]));
}

const DEEP = 50_000;

it('F33: 50,000 members, each declared by the one before, are planned at once, from whichever end they are recorded', () => {
  const names = ['top', ...Array.from({ length: DEEP }, (_, at) => `below-${at}`)];
  const chain = names.map((name, at) => ({ name, ...(at === 0 ? {} : { parent: names[at - 1] ?? '' }) }));
  for (const recorded of [chain, chain.toReversed()]) {
    const plans = planned(recorded);
    expect(plans.size).toBe(DEEP + 1);
    expect(plans.get('top')).toMatchObject({ outcome: 'answered' });
    expect(plans.get(`below-${DEEP - 1}`)).toMatchObject({ outcome: 'nested', parent: `below-${DEEP - 2}` });
  }
  const lost = planned(chain.slice(1));
  expect(new Set([...lost.values()].map(({ outcome }) => outcome))).toEqual(new Set(['refused']));
});

it('F33: members that are each other’s parents, or their own, are refused', () => {
  const plans = planned([
    { name: 'a', parent: 'b' },
    { name: 'b', parent: 'a' },
    { name: 'c', parent: 'c' },
  ]);
  expect([...plans.values()].map(({ outcome }) => outcome)).toEqual(['refused', 'refused', 'refused']);
});
