/**
 * Loading an image file with the registrations of a program, without a store: for a test that keeps images of older versions.
 *
 * Invariants
 * 1. The image is read, verified, decoded and migrated by the code that a start uses; nothing on disk is changed.
 * 2. What would refuse a start rejects with the same code.
 */
import { CheckpointError, messageOf } from '../base/errors.js';
import { loadPorts, systemClock } from '../base/system-ports.js';
import type { ImageInfo } from '../checkpoint/request.js';
import { imageInfo } from '../checkpoint/tip.js';
import { ClassRegistry } from '../codec/classes.js';
import { readImage } from '../image/reader.js';
import { decodeSections } from '../restart/sections.js';
import { settleUnclaimed } from '../restart/unclaimed.js';
import type { ProviderPlan } from '../state/provider-plan.js';
import { ProviderRegistry } from '../state/registry.js';
import { noBase, openImageFile } from '../tools/image-file.js';
import type { Checkpointer } from './checkpointer.js';
import { MAIN } from './opened.js';
import { Registration } from './registration.js';

/** The registering calls of a checkpointer. Write a program's registration against it, and both can be given to it. */
export type ImageRegistration = Pick<Checkpointer, 'registerClass' | 'state' | 'provide' | 'random' | 'wasm' | 'collection'>;

export interface LoadOptions {
  /** Let the image have sections that no provider claims, as a program with that option does; default false. */
  readonly allowUnclaimed?: false | 'carry' | 'drop';
}

export interface LoadedImage {
  readonly image: ImageInfo;
  /** By the name of the provider: the state object, or what `restore` was given. Providers without a section are not in it. */
  readonly values: ReadonlyMap<string, unknown>;
  /** What was done for each provider: `match`, `migrate`, … */
  readonly providers: readonly ProviderPlan[];
}

/**
 * Opens an image file, runs the registrations against it, calls the restore functions, and resolves with the values.
 * @param path a self-contained image, as `ckpt export` makes it
 * @param register the program's registerClass(), state(), provide(), random(), wasm() and collection() calls
 * @throws TypeError for bad arguments; CheckpointError ERR_CKPT_NOT_FOUND, _IMAGE_* and _DECODE for an image that cannot be read,
 *   _BASE_MISSING for one that is not self-contained, ERR_CKPT_SCHEMA, _UNCLAIMED, _RESTORE for one that the program cannot take
 */
export async function assertImageLoads(
  path: string,
  register: (ckpt: ImageRegistration) => void | Promise<void>,
  options: LoadOptions = {},
): Promise<LoadedImage> {
  if (typeof path !== 'string' || path === '')
    throw new TypeError(`assertImageLoads(path, register): expected a path, got ${String(path)}`);
  if (typeof register !== 'function') throw new TypeError('assertImageLoads(path, register): expected register to be a function');
  const { fileSystem } = await loadPorts(undefined);
  const source = await openImageFile(path, fileSystem);
  const contents = await readImage(source, noBase).finally(() => source.close());
  const classes = new ClassRegistry();
  const registry = new ProviderRegistry(decodeSections(contents, MAIN, classes), classes);
  const registration = new Registration(registry, classes, systemClock);
  await register({
    registerClass: (name, maker, given = {}) => registration.registerClass(name, maker, given),
    state: (name, init, given = {}) => registration.state(name, init, given),
    provide: (name, given) => registration.provide(name, given),
    random: (name, seed) => registration.random(name, seed),
    wasm: (name, memory, given = {}) => registration.wasm(name, memory, given),
    collection: (name) => registration.collection(name),
  });
  registry.close();
  const refusal = registry.refusal();
  if (refusal !== undefined) throw refusal;
  const mode = options.allowUnclaimed ?? false;
  const providers = registry.plan(mode);
  settleUnclaimed(registry, contents.manifest.image, { mode, carried: undefined });
  return { image: imageInfo(contents.manifest, path), values: await restored(registry), providers };
}

async function restored(registry: ProviderRegistry): Promise<Map<string, unknown>> {
  const values = new Map<string, unknown>();
  for (const { name, place, plan, restore } of registry.list()) {
    const claim = registry.claim(name);
    if (claim === undefined) continue;
    values.set(name, claim.value);
    plan?.(claim.value);
    try {
      await restore?.(claim.value);
    } catch (cause) {
      throw new CheckpointError(
        'ERR_CKPT_RESTORE',
        `restoring '${name}' (registered at ${place}): its restore function threw: ${messageOf(cause)}`,
        { provider: name, phase: 'apply', cause },
      );
    }
  }
  return values;
}
