/**
 * The providers of a member, by name, in the order of their registration.
 *
 * Invariants
 * 1. A name is registered once; the second registration is refused and names both places.
 * 2. Nothing is registered once the program has started.
 * 3. A section of the image is claimed by at most one provider; what nobody claims is known by name.
 */
import { CheckpointError, type ErrorCode } from '../base/errors.js';
import { callPlace } from '../base/place.js';
import type { Provider, ProviderKind } from './provider.js';

/** A section brought back from the image. */
export interface RestoredSection {
  readonly name: string;
  readonly kind: string;
  readonly version: number;
  readonly value: unknown;
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
  readonly #sections: ReadonlyMap<string, RestoredSection>;
  #closed = false;

  constructor(sections: ReadonlyMap<string, RestoredSection>) {
    this.#sections = sections;
  }

  /** @throws CheckpointError ERR_CKPT_EXISTS, ERR_CKPT_PHASE; TypeError for a bad name or version */
  add(provider: Omit<Provider, 'place'>): RestoredSection | undefined {
    const { name, kind, version } = provider;
    assertProviderName(name, kind);
    assertVersion(version, kind, name);
    if (this.#closed) {
      throw new CheckpointError('ERR_CKPT_PHASE', `${kind}('${name}'): providers are registered before start(); move the call up`, {
        provider: name,
        phase: 'register',
      });
    }
    const other = this.#providers.get(name);
    const place = String(callPlace());
    if (other !== undefined) {
      throw new CheckpointError(
        'ERR_CKPT_EXISTS',
        `${kind}('${name}') at ${place}: a provider of that name was registered by ${other.kind}() at ${other.place}; give one of them another name`,
        { provider: name, phase: 'register' },
      );
    }
    const section = this.#sections.get(name);
    if (section !== undefined) assertSameSchema(section, provider);
    this.#providers.set(name, { ...provider, place });
    return section;
  }

  /** Takes back a registration that did not come about after all, so that the name is free. */
  drop(name: string): void {
    this.#providers.delete(name);
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

  section(name: string): RestoredSection | undefined {
    return this.#sections.get(name);
  }

  unclaimed(): readonly string[] {
    return [...this.#sections.keys()].filter((name) => !this.#providers.has(name));
  }
}

function assertProviderName(name: unknown, call: string): void {
  if (typeof name === 'string' && name.length >= 1 && name.length <= 256 && name.isWellFormed()) return;
  throw new TypeError(`${call}(name, …): expected a name of 1 to 256 characters, got ${JSON.stringify(name) ?? String(name)}`);
}

function assertVersion(version: number, kind: ProviderKind, name: string): void {
  if (Number.isSafeInteger(version) && version >= 1) return;
  throw new TypeError(`${kind}('${name}'): expected a version that is a whole number from 1 on, got ${String(version)}`);
}

function assertSameSchema(section: RestoredSection, provider: Omit<Provider, 'place'>): void {
  const expected = `${provider.kind} version ${provider.version}`;
  const found = `${section.kind} version ${section.version}`;
  if (expected === found) return;
  throw new CheckpointError(
    'ERR_CKPT_SCHEMA',
    `restoring '${provider.name}': the program expects ${expected}, the image holds ${found}; ` +
      `run the version of the program that wrote it, or begin anew with CKPT_RESTART=never`,
    { provider: provider.name, phase: 'register' },
  );
}
