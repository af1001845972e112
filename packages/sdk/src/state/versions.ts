/**
 * A section of an older version of the program to what this version expects, or a refusal.
 *
 * Invariants
 * 1. Nothing runs before it is known that every step is there: a refusal for a missing one has changed nothing.
 * 2. What is handed out has been through every step, one for each version, and then through the schema.
 * 3. Failures here are the program's: they refuse (ERR_CKPT_SCHEMA) and never blame the image.
 */
import { CheckpointError, type ErrorPhase, isCheckpointError, messageOf } from '../base/errors.js';
import type { ClassRegistry } from '../codec/classes.js';
import { assertEncodable } from '../codec/codec.js';
import type { DroppedValues } from '../codec/contract.js';
import type { Provider } from './provider.js';
import { misfit } from './schema.js';

/** A section brought back from the image. */
export interface RestoredSection {
  readonly name: string;
  readonly kind: string;
  readonly version: number;
  /** Decoded with the program's classes when it is first asked for; throws ERR_CKPT_SCHEMA where one is missing. */
  readonly value: unknown;
  /** Names of the sections whose objects it refers to. */
  readonly imports?: readonly string[];
  readonly dropped?: DroppedValues;
}

type Versioned = Omit<Provider, 'place' | 'capture' | 'restore'>;

const ANEW = 'or begin anew with CKPT_RESTART=never';

/** @returns the value as this version of the program expects it. @throws CheckpointError ERR_CKPT_SCHEMA */
export function bringUp(section: RestoredSection, provider: Versioned, classes: ClassRegistry): unknown {
  assertWays(section, provider);
  let { value } = section;
  for (let version = section.version; version < provider.version; version++) value = step(provider, version, value);
  assertFits(provider, value, 'register');
  if (section.version < provider.version) assertUsable(provider, value, classes);
  return value;
}

/** @throws CheckpointError ERR_CKPT_SCHEMA when the value does not fit the provider's schema */
export function assertFits({ name, schema }: Versioned, value: unknown, phase: 'register' | 'capture'): void {
  const found = schema === undefined ? undefined : misfit(schema, value);
  if (found === undefined) return;
  const doing = phase === 'register' ? 'registering' : 'capturing';
  const remedy = phase === 'register' ? `mend the value or the schema, ${ANEW}` : 'nothing was written; mend the value or the schema';
  throw new CheckpointError('ERR_CKPT_SCHEMA', `${doing} '${name}': ${found.what}; ${remedy}`, {
    provider: name,
    phase,
    ...('cause' in found ? { cause: found.cause } : {}),
  });
}

/** Invariant 1. */
function assertWays(section: RestoredSection, provider: Versioned): void {
  const expected = `${provider.kind} version ${provider.version}`;
  const found = `${section.kind} version ${section.version}`;
  const refuse = (remedy: string): never => {
    throw refused(provider, `the program expects ${expected}, the image holds ${found}; ${remedy}`);
  };
  if (section.kind !== provider.kind || section.version < 1) refuse(`run the version of the program that wrote it, ${ANEW}`);
  if (section.version > provider.version)
    refuse(`the image is newer than the program: run the version of the program that wrote it, ${ANEW}`);
  for (let version = section.version; version < provider.version; version++) {
    if (stepFrom(provider, version) !== undefined) continue;
    refuse(`migrate has no step ${version} (from version ${version} to ${version + 1}): add it, ${ANEW}`);
  }
}

function stepFrom({ migrate = {} }: Versioned, version: number): ((old: unknown) => unknown) | undefined {
  return Object.hasOwn(migrate, version) ? migrate[version] : undefined;
}

function step(provider: Versioned, version: number, old: unknown): unknown {
  const what = `its migration from version ${version} to ${version + 1}`;
  let value: unknown;
  try {
    value = stepFrom(provider, version)?.(old);
  } catch (cause) {
    throw refused(provider, `${what} threw: ${messageOf(cause)}; mend it, ${ANEW}. The image is whole and nothing has changed`, cause);
  }
  if (!(value instanceof Promise)) return value;
  value.catch(() => {});
  throw refused(provider, `${what} returned a promise; make it synchronous, ${ANEW}`);
}

/** What was migrated is captured from now on, like what init makes. */
function assertUsable(provider: Versioned, value: unknown, classes: ClassRegistry): void {
  if (provider.kind !== 'state') return;
  if (typeof value !== 'object' || value === null) {
    const found = value === null ? 'null' : typeof value;
    throw refused(provider, `expected an object after its migration, found ${found}; does each step return the new value?`);
  }
  try {
    assertEncodable(provider.name, value, classes, provider.onUnsupported === 'drop');
  } catch (cause) {
    if (!isCheckpointError(cause, 'ERR_CKPT_UNSUPPORTED_VALUE')) throw cause;
    throw refused(provider, `what its migration made cannot be captured: ${cause.message}`, cause);
  }
}

function refused({ name }: Versioned, what: string, cause?: unknown): CheckpointError {
  const phase: ErrorPhase = 'register';
  const details = { provider: name, phase, ...(cause === undefined ? {} : { cause }) };
  return new CheckpointError('ERR_CKPT_SCHEMA', `restoring '${name}': ${what}`, details);
}
