/**
 * A start with other members than the image has: the rescale hook is asked, and its answer becomes what each member starts from.
 *
 * Invariants
 * 1. Everything is checked and encoded before anything has changed.
 * 2. What the hook is shown and what members start from share no memory, where a member can go on as it is recorded.
 * 3. A value that is given under a name has the kind and version that the image has under it, so that the member migrates it
 *    like one of the image.
 * 4. A member of a member goes on as recorded with its parent, which declares it again; else it is gone like its parent.
 */
import { CheckpointError, messageOf } from '../base/errors.js';
import type { ClassRegistry } from '../codec/classes.js';
import type { ImageContents } from '../image/contract.js';
import type { ChannelRecord } from '../members/channel.js';
import { readRecords } from '../members/channel-table.js';
import { CHANNELS_SECTION } from '../members/encoded-section.js';
import { type HandedState, PROGRAM } from '../members/protocol.js';
import { CARRIED_KIND } from '../state/carried.js';
import { WASM_KIND } from '../state/provider.js';
import { programValue } from './decode-record.js';
import { isProviders } from './member-part.js';
import type { RecordedMembers } from './recorded-members.js';
import type { Rescale, Rescaled, RescaledMember } from './rescale-contract.js';
import { channelsOf, copyOf, encodedPart, type SectionKind, withChannels } from './rescaled-part.js';
import { decodeSections } from './sections.js';
import { newSet, Undelivered } from './undelivered.js';

export interface RescaleParts {
  readonly recorded: RecordedMembers;
  /** Members that the program declares, or answers for. */
  readonly declared: readonly string[];
  /** The program's own ends of channels, as the image has them. */
  readonly program: unknown;
  /** Those of the program. */
  readonly classes: ClassRegistry;
  /** Shared memory of the set: no state holds it. */
  readonly shared: readonly SharedArrayBuffer[];
}

export interface RescaledStart {
  readonly handed: ReadonlyMap<string, HandedState>;
  /** Those that go on as recorded. */
  readonly asRecorded: ReadonlySet<string>;
  /** The program's own ends of channels. */
  readonly program: readonly ChannelRecord[];
}

/** Undefined where members do not agree. */
type Kinds = ReadonlyMap<string, SectionKind | undefined>;
type Given = Readonly<Record<string, unknown>>;

/** @throws CheckpointError ERR_CKPT_RESCALE */
export function rescale(hook: Rescale, parts: RescaleParts): RescaledStart {
  const { recorded } = parts;
  const { image } = recorded;
  if (image === undefined) throw new Error('rescale: there is no image, so it has no members');
  const undelivered = new Undelivered(endsOf(parts));
  const answer = ask(hook, { members: membersOf(parts), messages: undelivered.messages });
  const given = withNested(givenTo(answer, parts), recorded);
  const members = newSet([...given.keys()]);
  const wrong = undelivered.settle(answer, members);
  if (wrong !== undefined) throw refused(`the hook's answer: ${wrong}`);
  const kinds = kindsOf(recorded);
  const handed = new Map<string, HandedState>();
  for (const [name, own] of given) {
    const ends = undelivered.endsOf(name, members, own === 'recorded');
    handed.set(
      name,
      own === 'recorded' ? withChannels(name, ends, parts) : asGiven(name, own, { ends, kinds, parts: { ...parts, image } }),
    );
  }
  return {
    handed,
    asRecorded: new Set([...given].flatMap(([name, own]) => (own === 'recorded' ? [name] : []))),
    program: undelivered.endsOf(PROGRAM, members, true),
  };
}

function ask(hook: Rescale, old: Parameters<Rescale>[0]): Rescaled {
  let answer: Rescaled;
  try {
    answer = hook(old);
  } catch (cause) {
    throw refused(`the hook threw: ${messageOf(cause)}`, { cause });
  }
  if (answer instanceof Promise) {
    answer.catch(() => {});
    throw refused('the hook returned a promise; it is synchronous');
  }
  if (typeof answer === 'object' && answer !== null && typeof answer.members === 'object' && answer.members !== null) return answer;
  throw refused('expected the hook to return { members, messages, dropped }');
}

/** @throws CheckpointError ERR_CKPT_RESCALE where the answer does not speak of each declared member */
function givenTo({ members }: Rescaled, { declared, recorded }: RescaleParts): ReadonlyMap<string, 'recorded' | Given> {
  const stranger = Object.keys(members).find((name) => !declared.includes(name));
  if (stranger !== undefined) {
    const parent = recorded.get(stranger)?.parent;
    const nested =
      parent === undefined ? '' : `; it was a member of '${parent}', and goes on as recorded where that does, else ends with it`;
    throw refused(`the hook's answer: '${stranger}' is no member that the program declares${nested}`, { member: stranger });
  }
  const given = declared.map((name): readonly [string, 'recorded' | Given] => {
    const own = Object.hasOwn(members, name) ? members[name] : undefined;
    if (own === 'recorded') {
      if (recorded.joined().some((facts) => facts.name === name)) return [name, own];
      throw refused(`the hook's answer: member '${name}' is not in the image, so it cannot go on as recorded`, { member: name });
    }
    if (typeof own === 'object' && own !== null) return [name, own];
    throw refused(`the hook's answer: expected values of providers, or 'recorded', for member '${name}'`, { member: name });
  });
  return new Map(given);
}

/** Invariant 4: also those of members that are nested themselves. */
function withNested(given: ReadonlyMap<string, 'recorded' | Given>, recorded: RecordedMembers): ReadonlyMap<string, 'recorded' | Given> {
  const all = new Map(given);
  const below = new Map<string, string[]>();
  for (const { name, parent } of recorded.joined()) {
    if (parent === undefined) continue;
    const names = below.get(parent);
    if (names === undefined) below.set(parent, [name]);
    else names.push(name);
  }
  // What is added on the way is come to as well.
  for (const [parent, own] of all) {
    if (own !== 'recorded') continue;
    for (const name of below.get(parent) ?? []) if (!all.has(name)) all.set(name, 'recorded');
  }
  return all;
}

function endsOf({ recorded, classes, program }: RescaleParts): ReadonlyMap<string, readonly ChannelRecord[]> {
  const ends = new Map([[PROGRAM, readRecords(program)]]);
  const { contents } = recorded;
  if (contents === undefined) return ends;
  for (const { name } of recorded.joined()) {
    const indexes = contents.manifest.sections.entries();
    const own = new Set([...indexes].flatMap(([index, { member, kind }]) => (member === name && kind === 'channels' ? [index] : [])));
    if (own.size > 0) ends.set(name, readRecords(decodeSections(contents, name, classes).get(CHANNELS_SECTION)?.value));
  }
  return ends;
}

function membersOf({ recorded, declared, classes }: RescaleParts): readonly RescaledMember[] {
  // Those that may go on as recorded.
  const kept = new Set([...declared, ...recorded.joined().flatMap(({ name, parent }) => (parent === undefined ? [] : [name]))]);
  return recorded.joined().map((facts): RescaledMember => {
    let decoded: Given | undefined;
    return {
      ...recorded.described(facts),
      get sections() {
        decoded ??= sectionsOf(facts.name, { recorded, classes, copied: kept.has(facts.name) });
        return decoded;
      },
    };
  });
}

function sectionsOf(
  name: string,
  { recorded, classes, copied }: { readonly recorded: RecordedMembers; readonly classes: ClassRegistry; readonly copied: boolean },
): Given {
  const part = recorded.handed(name)?.part;
  if (part === undefined) return {};
  const buffers = copied ? part.manifest.buffers.map((record, index) => copyOf(record, part.buffers[index])) : part.buffers; // invariant 2
  const sections = decodeSections({ ...part, buffers }, name, classes);
  const values = [...sections.values()].filter(({ kind }) => isProviders({ kind }) && kind !== CARRIED_KIND);
  return Object.freeze(Object.fromEntries(values.map(({ name: provider, kind, value }) => [provider, programValue(kind, value)])));
}

function kindsOf(recorded: RecordedMembers): Kinds {
  const kinds = new Map<string, SectionKind | undefined>();
  for (const { member, name, kind, version } of recorded.contents?.manifest.sections ?? []) {
    if (member === PROGRAM || !isProviders({ kind }) || kind === CARRIED_KIND) continue;
    const known = kinds.get(name);
    const same = !kinds.has(name) || (known?.kind === kind && known.version === version);
    kinds.set(name, same ? { kind, version } : undefined);
  }
  return kinds;
}

interface Giving {
  readonly ends: readonly ChannelRecord[];
  readonly kinds: Kinds;
  readonly parts: RescaleParts & { readonly image: ImageContents['manifest']['image'] };
}

function asGiven(name: string, own: Given, { ends, kinds, parts }: Giving): HandedState {
  const kindOf = (provider: string): SectionKind => {
    const known = kinds.get(provider);
    if (known !== undefined && known.kind !== WASM_KIND) return known;
    const why = known !== undefined ? 'WebAssembly memory cannot be given to another member' : notOne(kinds.has(provider));
    throw refused(`the hook's answer: '${provider}' of member '${name}': ${why}`, { member: name, provider });
  };
  const values = Object.entries(own).map(([provider, value]) => ({ name: provider, ...kindOf(provider), value }));
  const rescaled = values.length === 0 ? 'anew' : 'given';
  try {
    return {
      part: encodedPart(name, [...values, ...channelsOf(ends)], parts),
      finished: false,
      rescaled,
    };
  } catch (cause) {
    throw refused(`the hook's answer: what it gives to member '${name}' cannot be carried: ${messageOf(cause)}`, { member: name, cause });
  }
}

function notOne(several: boolean): string {
  return several
    ? 'members of the image have sections of that name that are of different kinds or versions'
    : 'no member of the image has a section of that name, so its kind and version are unknown; leave it out, and the member makes it anew';
}

function refused(
  what: string,
  { cause, ...context }: { readonly member?: string; readonly provider?: string; readonly cause?: unknown } = {},
): CheckpointError {
  return new CheckpointError(
    'ERR_CKPT_RESCALE',
    `start(): rescale: ${what}; mend the hook, or declare the members that the image has. Nothing has changed`,
    { ...context, phase: 'plan', ...(cause === undefined ? {} : { cause }) },
  );
}
