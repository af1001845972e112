/**
 * Apply: gives the sections back to the providers and runs the atRestart handlers, after the epoch is sealed.
 *
 * Invariants
 * 1. Everything is planned before anything is applied; a refusal changes nothing.
 * 2. The epoch is sealed before the first effect, and durably void when an effect failed.
 * 3. An image is blamed only for a restore function that threw, never for handlers or timeouts.
 */
import { within } from '../base/deadline.js';
import { CheckpointError, messageOf } from '../base/errors.js';
import type { Clock } from '../base/ports.js';
import type { Handlers } from '../checkpoint/handlers.js';
import type { KeepAlive } from '../checkpoint/keep-alive.js';
import type { ImageInfo } from '../checkpoint/request.js';
import type { ImageRef } from '../image/contract.js';
import type { Provider } from '../state/provider.js';
import type { ProviderRegistry } from '../state/registry.js';
import type { Incarnation } from '../store/contract.js';
import type { FilesAtStart } from './put-files-back.js';
import { settleUnclaimed, type UnclaimedParts, type UnclaimedSections } from './unclaimed.js';

export interface ApplyParts {
  readonly clock: Clock;
  readonly keepAlive: KeepAlive;
  readonly handlers: Handlers;
  readonly registry: ProviderRegistry;
  readonly incarnation: Incarnation;
  readonly source: ImageRef | null;
  readonly image: ImageInfo | undefined;
  readonly timeoutMs: number;
  readonly blame: (image: ImageRef, why: string) => Promise<void>;
  /** Undefined for a start from a finished image, which leaves files alone. */
  readonly files: FilesAtStart | undefined;
  readonly unclaimed: UnclaimedParts;
  readonly members: MembersAtStart;
}

/** Members are started once files are put back, and ended when the start fails. */
export interface MembersAtStart {
  readonly launch: () => Promise<void>;
  readonly terminate: () => Promise<void>;
}

/**
 * @returns what became of the sections that no provider claims
 * @throws CheckpointError ERR_CKPT_SCHEMA, _UNCLAIMED before, ERR_CKPT_RESTORE, _TIMEOUT, _HANDLER after the seal (undone)
 */
export async function applyRestart(parts: ApplyParts): Promise<UnclaimedSections> {
  const { registry, incarnation, source } = parts;
  const refusal = registry.refusal();
  if (refusal !== undefined) throw refusal;
  const unclaimed = settleUnclaimed(registry, source, parts.unclaimed);
  for (const provider of registry.list()) {
    const claim = registry.claim(provider.name);
    if (claim !== undefined) provider.plan?.(claim.value);
  }
  await parts.files?.plan();
  await incarnation.seal(
    source === null ? { kind: 'fresh' } : { kind: 'image', id: source.id, epoch: source.epoch, generation: source.generation },
  );
  try {
    await parts.files?.apply();
    await parts.members.launch();
    await restoreState(parts);
    await parts.files?.done();
  } catch (error) {
    await undo(parts);
    throw error;
  }
  return unclaimed;
}

async function restoreState(parts: ApplyParts): Promise<void> {
  const { source, image, keepAlive, handlers } = parts;
  if (source === null || image === undefined) return;
  await keepAlive.during(restoreProviders(parts, source));
  await keepAlive.during(handlers.run('atRestart', { reason: 'restart', name: image.name, image }));
}

/** Marks the epoch as void even when the files cannot be put back: the next start goes on with their journal. */
async function undo({ files, members, incarnation }: ApplyParts): Promise<void> {
  try {
    await members.terminate();
    await files?.undo();
  } finally {
    await incarnation.void();
  }
}

async function restoreProviders(parts: ApplyParts, source: ImageRef): Promise<void> {
  for (const provider of parts.registry.list()) {
    const claim = parts.registry.claim(provider.name);
    if (claim === undefined || provider.restore === undefined) continue;
    await restoreOne(parts, provider, claim.value, source);
  }
}

async function restoreOne({ clock, timeoutMs, blame }: ApplyParts, provider: Provider, value: unknown, source: ImageRef): Promise<void> {
  const timedOut = new CheckpointError(
    'ERR_CKPT_TIMEOUT',
    `restoring '${provider.name}' (registered at ${provider.place}): its restore function is not done after ${timeoutMs} ms; make it quicker or raise handlerTimeout`,
    { provider: provider.name, image: source.id, phase: 'apply' },
  );
  try {
    await within(clock, Promise.resolve(provider.restore?.(value)), { ms: timeoutMs, keepAlive: true, onTimeout: () => timedOut });
  } catch (error) {
    if (error === timedOut) throw timedOut;
    await blame(source, `restoring '${provider.name}': ${messageOf(error)}`);
    throw new CheckpointError(
      'ERR_CKPT_RESTORE',
      `restoring '${provider.name}' (registered at ${provider.place}): its restore function threw: ${messageOf(error)}; mend it, or name an older image`,
      { provider: provider.name, image: source.id, phase: 'apply', cause: error },
    );
  }
}
