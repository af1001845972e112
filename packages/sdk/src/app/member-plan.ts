/**
 * What a start would do with each member of the image and each that the program declares.
 *
 * Invariants
 * 1. Those that onMember answers for are declared from then on.
 * 2. A member that its parent is to declare is nobody else's to answer for.
 * 3. Where members of the cut differ and there is a rescale hook, it decides on all of them; on opaque children it does not.
 */
import type { OpaqueChild } from '../members/opaque.js';
import type { Participant } from '../members/participant.js';
import type { MemberPlan } from '../restart/plan.js';
import type { RecordedFacts, RecordedMember, RecordedMembers } from '../restart/recorded-members.js';
import type { MemberProgram, OnMember } from './member-options.js';

interface PlannerParts {
  readonly recorded: RecordedMembers;
  readonly members: () => readonly Participant[];
  readonly opaque: () => readonly OpaqueChild[];
  /** Whether the program has a rescale hook. */
  readonly rescales: () => boolean;
  readonly declare: (asked: RecordedMember, program: MemberProgram) => void;
}

export class MemberPlanner {
  readonly #parts: PlannerParts;
  readonly #answers: OnMember[] = [];
  /** Declared because onMember answered for them. */
  readonly #answered = new Set<string>();

  constructor(parts: PlannerParts) {
    this.#parts = parts;
  }

  onMember(answer: OnMember): void {
    if (typeof answer !== 'function') throw new TypeError(`onMember(answer): expected a function, got ${typeof answer}`);
    this.#answers.push(answer);
  }

  /** Invariant 1. */
  preview(): readonly MemberPlan[] {
    const plans = this.#plans();
    const { recorded, rescales } = this.#parts;
    const differ = plans.some(({ outcome, opaque }) => opaque === undefined && (outcome === 'new' || outcome === 'refused'));
    return recorded.contents !== undefined && rescales() && differ ? plans.map(rescaled) : plans;
  }

  #plans(): readonly MemberPlan[] {
    const recorded = new Map(this.#parts.recorded.all().map((facts) => [facts.name, facts]));
    const declared = this.#parts.members().map(({ name, entry }): MemberPlan => {
      const record = recorded.get(name);
      const facts = { name, kind: entry.kind, finished: record?.finished === true, entry: entry.url.href };
      if (record === undefined || record.opaque !== undefined) return { ...facts, finished: false, outcome: 'new' };
      return { ...facts, outcome: this.#answered.has(name) ? 'answered' : 'match' };
    });
    const opaque = this.#parts.opaque().map((child) => planOfOpaque(child, recorded.get(child.name), this.#answered.has(child.name)));
    const plans = new Map([...declared, ...opaque].map((plan) => [plan.name, plan]));
    for (const name of plans.keys()) recorded.delete(name);
    // Parents first: whom one of them declares is not asked for here.
    for (const facts of parentsFirst(recorded)) plans.set(facts.name, this.#planRecorded(facts, plans));
    return [...plans.values()];
  }

  /** Invariant 2. */
  #planRecorded(facts: RecordedFacts, others: ReadonlyMap<string, MemberPlan>): MemberPlan {
    const { name, kind, finished, parent } = facts;
    const outcome = parent === undefined ? undefined : others.get(parent)?.outcome;
    if (parent === undefined || outcome === undefined || outcome === 'refused' || outcome === 'excluded') return this.#answer(facts);
    return { name, kind, finished, outcome: 'nested', parent, ...(facts.opaque === undefined ? {} : { opaque: facts.opaque }) };
  }

  #answer(recorded: RecordedFacts): MemberPlan {
    const { name, kind, finished, opaque, parent } = recorded;
    const facts = { name, kind, finished, ...(opaque === undefined ? {} : { opaque }), ...(parent === undefined ? {} : { parent }) };
    if (opaque === 'exclude') return { ...facts, outcome: 'excluded' };
    const asked = this.#parts.recorded.described(recorded);
    const program = this.#answers.map((answer) => answer(asked)).find((answer) => answer !== undefined);
    if (program === undefined) return { ...facts, outcome: 'refused' };
    this.#parts.declare(asked, program);
    this.#answered.add(name);
    return { ...facts, outcome: 'answered', entry: String(program) };
  }
}

/** Invariant 3. */
function rescaled(plan: MemberPlan): MemberPlan {
  const { opaque, outcome, entry, parent } = plan;
  if (opaque === undefined) return { ...plan, outcome: 'rescale' };
  // It ends with its parent, which is there no more.
  return outcome === 'refused' && entry === undefined && parent !== undefined ? { ...plan, outcome: 'excluded' } : plan;
}

function planOfOpaque(child: OpaqueChild, recorded: RecordedFacts | undefined, answered: boolean): MemberPlan {
  const { name, entry, policy } = child;
  const facts = { name, kind: entry.kind, finished: recorded?.finished === true, entry: entry.url.href, opaque: policy };
  if (recorded === undefined) return { ...facts, outcome: 'new' };
  // Its state would be lost.
  if (recorded.opaque === undefined) return { ...facts, outcome: 'refused' };
  if (policy === 'exclude') return { ...facts, outcome: 'excluded' };
  return { ...facts, outcome: answered ? 'answered' : 'match' };
}

/** Those whose parents are among them come after these; a circle, which only a forged image has, begins anywhere. */
function parentsFirst(facts: ReadonlyMap<string, RecordedFacts>): ReadonlySet<RecordedFacts> {
  const ordered = new Set<RecordedFacts>();
  for (const each of facts.values()) {
    const above = new Set<RecordedFacts>();
    for (let at: RecordedFacts | undefined = each; at !== undefined && !ordered.has(at) && !above.has(at); ) {
      above.add(at);
      at = at.parent === undefined ? undefined : facts.get(at.parent);
    }
    for (const one of [...above].reverse()) ordered.add(one);
  }
  return ordered;
}
