/**
 * The providers of a member, by name, in the order of their registration.
 *
 * Invariants
 * 1. A name, present or former, belongs to one provider; the second registration is refused and names both places.
 * 2. Nothing is registered once the program has started.
 * 3. A section of the image is claimed by at most one provider; what nobody claims is known by name.
 * 4. A provider whose section could not be brought to its version stays refused: a program that goes on all the same
 *    is refused by start().
 */
import { CheckpointError, type ErrorCode, isCheckpointError } from '../base/errors.js';
import { callPlace } from '../base/place.js';
import type { ClassRegistry } from '../codec/classes.js';
import { CARRIED_KIND, isReservedName } from './carried.js';
import { type Provider, SET_KINDS } from './provider.js';
import { type ProviderPlan, recordedPlan, sharingWith, type Unclaimed } from './provider-plan.js';
import { bringUp, type RestoredSection } from './versions.js';

export type { RestoredSection } from './versions.js';

/** A section in the hands of its provider. */
export interface Claim {
  readonly section: RestoredSection;
  /** As the provider's version has it. */
  readonly value: unknown;
}

type Declared = Omit<Provider, 'place'>;

interface Refusal {
  readonly provider: Declared;
  readonly section: RestoredSection | undefined;
  readonly error: CheckpointError;
}
const LOST_BEFORE: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'ERR_CKPT_BASE_MISSING',
  'ERR_CKPT_IMAGE_CORRUPT',
  'ERR_CKPT_IMAGE_INCOMPLETE',
  'ERR_CKPT_NOT_FOUND',
  'ERR_CKPT_STORE_UNSAFE',
]);

export class ProviderRegistry {
  readonly #providers = new Map<string, Provider>();
  readonly #claims = new Map<string, Claim>();
  readonly #refusals = new Map<string, Refusal>();
  readonly #sections: ReadonlyMap<string, RestoredSection>;
  readonly #classes: ClassRegistry;
  readonly #onRefused: () => void;
  #closed = false;

  /** @param onRefused told when a registration is refused for its section, before that is thrown */
  constructor(sections: ReadonlyMap<string, RestoredSection>, classes: ClassRegistry, onRefused: () => void = () => {}) {
    this.#classes = classes;
    this.#sections = new Map([...sections].filter(([, { kind }]) => kind !== CARRIED_KIND && !SET_KINDS.has(kind)));
    this.#onRefused = onRefused;
  }

  /** @throws CheckpointError ERR_CKPT_EXISTS, ERR_CKPT_PHASE, ERR_CKPT_SCHEMA; TypeError for a bad name or version */
  add(provider: Declared): Claim | undefined {
    const { name, kind } = provider;
    assertProviderName(name, kind);
    assertVersion(provider);
    if (this.#closed) {
      throw new CheckpointError('ERR_CKPT_PHASE', `${kind}('${name}'): providers are registered before start(); move the call up`, {
        provider: name,
        phase: 'register',
      });
    }
    const before = this.#refusals.get(name);
    if (before !== undefined) throw before.error;
    const place = String(callPlace());
    this.#assertFree(provider, place);
    const claim = this.#claim(provider);
    if (claim !== undefined) this.#claims.set(name, claim);
    this.#providers.set(name, { ...provider, place });
    return claim;
  }

  /** Takes back a registration that did not come about after all, so that the name is free. */
  drop(name: string): void {
    this.#providers.delete(name);
    this.#claims.delete(name);
  }

  /** Ends registration (invariant 2). */
  close(): void {
    this.#closed = true;
  }

  /** The image of the last capture was acknowledged. */
  committed(): void {
    for (const { log } of this.#providers.values()) log?.committed();
  }

  /** A checkpoint failed. What cannot be read of the image before, the next one does not build upon. */
  failed(error: CheckpointError): void {
    if (!LOST_BEFORE.has(error.code)) return;
    for (const { log } of this.#providers.values()) log?.writeWhole();
  }

  list(): readonly Provider[] {
    return [...this.#providers.values()];
  }

  claim(name: string): Claim | undefined {
    return this.#claims.get(name);
  }

  /** Names of the sections that no provider claims. */
  unclaimed(): readonly string[] {
    const claimed = this.#claimed();
    return [...this.#sections.keys()].filter((name) => !claimed.has(name));
  }

  /** Why the program cannot start (invariant 4). */
  refusal(): CheckpointError | undefined {
    for (const { error } of this.#refusals.values()) return error;
    return undefined;
  }

  /** @param complete false when registration has not ended: what is not claimed yet may still be */
  plan(unclaimed: Unclaimed, complete = true): ProviderPlan[] {
    const providers = this.list().map((provider) => this.#planOf(provider));
    const refused = [...this.#refusals.values()].map(({ provider, section, error }): ProviderPlan => {
      const reason = { code: error.code, message: error.message };
      const { name, kind, version } = provider;
      return { name, kind, outcome: 'refused', to: version, ...fromSection(name, section), reason };
    });
    const handling = unclaimed === false ? 'refuse' : unclaimed;
    const taken = new Set([...this.#claimed(), ...[...this.#refusals.values()].flatMap(({ section }) => section?.name ?? [])]);
    const others = [...this.#sections.values()].filter(({ name }) => !taken.has(name));
    const rest = others.map((section): ProviderPlan => {
      const { name, kind } = section;
      if (!complete) return recordedPlan(section);
      return { name, kind, outcome: 'unclaimed', handling, ...fromSection(name, section), ...this.#partsOf(name) };
    });
    return [...providers, ...refused, ...rest];
  }

  #planOf({ name, kind, version }: Provider): ProviderPlan {
    const section = this.#claims.get(name)?.section;
    if (section === undefined) return { name, kind, outcome: 'default', to: version };
    const facts = { name, kind, to: version, ...fromSection(name, section) };
    return section.version === version ? { ...facts, outcome: 'match' } : { ...facts, outcome: 'migrate', ...this.#partsOf(section.name) };
  }

  #partsOf(section: string): Pick<ProviderPlan, 'parts'> {
    const parts = sharingWith(section, this.#sections.values());
    return parts.length === 0 ? {} : { parts };
  }

  #claimed(): Set<string> {
    return new Set([...this.#claims.values()].map(({ section }) => section.name));
  }

  #claim(provider: Declared): Claim | undefined {
    let section: RestoredSection | undefined;
    try {
      section = this.#find(provider);
      return section === undefined ? undefined : { section, value: bringUp(section, provider, this.#classes) };
    } catch (error) {
      if (!isCheckpointError(error)) throw error;
      this.#refusals.set(provider.name, { provider, section, error });
      this.#onRefused();
      throw error;
    }
  }

  /** The section under the newest of the provider's names. Under two of them: which one is meant cannot be known. */
  #find({ name, kind, was = [] }: Declared): RestoredSection | undefined {
    const found = [name, ...was].flatMap((one) => this.#sections.get(one) ?? []);
    if (found.length < 2) return found[0];
    const names = found.map((section) => `'${section.name}'`).join(' and ');
    throw new CheckpointError(
      'ERR_CKPT_SCHEMA',
      `${kind}('${name}'): the image holds ${names}, both names of this provider; take the former name out of \`was\` and register ` +
        'it as a provider of its own, or leave it unclaimed with allowUnclaimed',
      { provider: name, phase: 'register' },
    );
  }

  #assertFree({ name, kind, was = [] }: Declared, place: string): void {
    const wanted = new Set([name, ...was]);
    for (const other of this.#providers.values()) {
      const common = [other.name, ...(other.was ?? [])].find((one) => wanted.has(one));
      if (common === undefined) continue;
      const former = common === name && common === other.name ? '' : ` ('${common}' is a name that one of them had)`;
      throw new CheckpointError(
        'ERR_CKPT_EXISTS',
        `${kind}('${name}') at ${place}: a provider of that name was registered by ${other.kind}('${other.name}') at ${other.place}${former}; give one of them another name`,
        { provider: name, phase: 'register' },
      );
    }
  }
}

function fromSection(name: string, section: RestoredSection | undefined): Pick<ProviderPlan, 'from' | 'section' | 'dropped'> {
  if (section === undefined) return {};
  const { version: from, dropped } = section;
  return { from, ...(section.name === name ? {} : { section: section.name }), ...(dropped === undefined ? {} : { dropped }) };
}

function assertProviderName(name: unknown, call: string): void {
  const shown = JSON.stringify(name) ?? String(name);
  if (typeof name !== 'string' || name.length < 1 || name.length > 256 || !name.isWellFormed())
    throw new TypeError(`${call}(name, …): expected a name of 1 to 256 characters, got ${shown}`);
  if (isReservedName(name))
    throw new TypeError(`${call}(name, …): expected a name that does not begin with file:, file+, carried: or ckpt:, got ${shown}`);
}

function assertVersion({ version, kind, name, migrate = {}, was = [] }: Declared): void {
  if (!Number.isSafeInteger(version) || version < 1)
    throw new TypeError(`${kind}('${name}'): expected a version that is a whole number from 1 on, got ${String(version)}`);
  for (const key of Object.keys(migrate)) {
    if (/^[1-9]\d*$/.test(key) && Number(key) < version) continue;
    throw new TypeError(`${kind}('${name}'): expected steps of migrate for versions from 1 to ${version - 1}, got one for ${key}`);
  }
  for (const former of was) assertProviderName(former, `${kind}('${name}'), was`);
  if (new Set([name, ...was]).size !== was.length + 1)
    throw new TypeError(`${kind}('${name}'): expected former names in was that are all different, and not '${name}'`);
}
