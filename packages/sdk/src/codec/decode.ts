/**
 * Bytes of one section in `tree-1` back to its value. Nothing writes that encoding any more; images that have it stay readable. The bytes are hostile until proven otherwise.
 *
 * Invariants
 * 1. Scanned before anything is built; then built with an explicit work list, top down.
 * 2. No prototype is touched: keys that a prototype knows (`__proto__`, `constructor`, …) become inert own data.
 * 3. What does not follow docs/image-format.md to the letter is refused (ERR_CKPT_DECODE), never repaired.
 */
import { CheckpointError, isCheckpointError, messageOf } from '../base/errors.js';
import { BadMemory, decodeBuffer, decodeView, type InlineMemories } from './decode-memory.js';
import { unpackMsgpack } from './msgpack.js';
import { TAG, TREE_1, TREE_LIMITS } from './tags.js';

const BIGINT = /^-?(?:0|[1-9a-f][0-9a-f]*)$/;

type Dictionary = Record<string, unknown>;

/** Fills an object made before with what `wire` holds. */
type Job =
  | { readonly kind: 'object'; readonly wire: ReadonlyMap<unknown, unknown>; readonly target: Dictionary }
  | { readonly kind: 'pairs'; readonly wire: readonly unknown[]; readonly target: Dictionary }
  | { readonly kind: 'array'; readonly wire: readonly unknown[]; readonly target: unknown[] }
  | { readonly kind: 'map'; readonly wire: readonly unknown[]; readonly target: Map<unknown, unknown> }
  | { readonly kind: 'set'; readonly wire: readonly unknown[]; readonly target: Set<unknown> };

class Malformed extends Error {}

/**
 * @param buffers the member's restored memory, by index
 * @throws CheckpointError ERR_CKPT_DECODE, ERR_CKPT_IMAGE_LIMIT
 */
export function decodeTree(bytes: Uint8Array, buffers: readonly ArrayBufferLike[], section: string): unknown {
  try {
    const unpacked = unpackMsgpack(bytes, TREE_LIMITS);
    if (unpacked.fault === 'limit') {
      throw new CheckpointError('ERR_CKPT_IMAGE_LIMIT', `decode section ${section}: ${unpacked.reason}; nothing was built from it`, {
        section,
      });
    }
    if (unpacked.fault !== undefined) throw new Malformed(unpacked.reason);
    const builder = new Builder(buffers);
    const value = builder.build(unpacked.value);
    if (builder.entries !== unpacked.entries) throw new Malformed('a map has the same key twice');
    return value;
  } catch (error) {
    if (isCheckpointError(error)) throw error;
    const known = error instanceof Malformed || error instanceof BadMemory;
    const message = `decode section ${section}: expected ${TREE_1}, found ${messageOf(error)}; the image cannot be used`;
    throw new CheckpointError('ERR_CKPT_DECODE', message, { section, ...(known ? {} : { cause: error }) });
  }
}

class Builder {
  /** Map entries met, to be compared with those that the bytes hold. */
  entries = 0;
  readonly #jobs: Job[] = [];
  readonly #buffers: readonly ArrayBufferLike[];
  readonly #inline: InlineMemories = { reserved: 0 };

  constructor(buffers: readonly ArrayBufferLike[]) {
    this.#buffers = buffers;
  }

  build(wire: unknown): unknown {
    const value = this.#shell(wire);
    for (let job = this.#jobs.pop(); job !== undefined; job = this.#jobs.pop()) this.#fill(job);
    return value;
  }

  /** The value itself, or an empty container with a job to fill it. */
  #shell(wire: unknown): unknown {
    if (typeof wire !== 'object' || wire === null) {
      if (typeof wire === 'bigint') throw new Malformed('an integer beyond the safe ones');
      return wire;
    }
    if (Array.isArray(wire)) {
      const target: unknown[] = new Array(wire.length);
      this.#jobs.push({ kind: 'array', wire, target });
      return target;
    }
    if (!(wire instanceof Map)) throw new Malformed('bytes outside a tagged value');
    this.entries += wire.size;
    const [first] = wire.keys();
    if (typeof first === 'number') return this.#tagged(wire, first);
    const target: Dictionary = {};
    this.#jobs.push({ kind: 'object', wire, target });
    return target;
  }

  #tagged(wire: ReadonlyMap<unknown, unknown>, tag: number): unknown {
    if (wire.size !== 1) throw new Malformed('a tagged value with more than one key');
    const payload = wire.get(tag);
    switch (tag) {
      case TAG.undefined:
      case TAG.negativeZero:
        if (payload !== null) throw new Malformed(`tag ${tag} with a payload`);
        return tag === TAG.undefined ? undefined : -0;
      case TAG.bigint:
        return bigint(payload);
      case TAG.text:
        return text(payload);
      case TAG.date:
        return date(payload);
      case TAG.buffer:
        return decodeBuffer(payload, this.#buffers, this.#inline);
      case TAG.view:
        return decodeView(payload, this.#buffers, this.#inline);
      default:
        return this.#taggedList(tag, payload);
    }
  }

  #taggedList(tag: number, payload: unknown): unknown {
    if (!Array.isArray(payload)) throw new Malformed(`tag ${tag} without a list, or an unknown tag`);
    // Array.isArray gives any[]; the elements are checked one by one.
    const wire: readonly unknown[] = payload;
    if (tag !== TAG.set && wire.length % 2 !== 0) throw new Malformed(`tag ${tag} with half a pair`);
    switch (tag) {
      case TAG.pairs:
      case TAG.nullPrototype: {
        const target: Dictionary = tag === TAG.pairs ? {} : Object.create(null);
        this.#jobs.push({ kind: 'pairs', wire, target });
        return target;
      }
      case TAG.map: {
        const target = new Map<unknown, unknown>();
        this.#jobs.push({ kind: 'map', wire, target });
        return target;
      }
      case TAG.set: {
        const target = new Set<unknown>();
        this.#jobs.push({ kind: 'set', wire, target });
        return target;
      }
      default:
        throw new Malformed(`unknown tag ${tag}`);
    }
  }

  #fill(job: Job): void {
    switch (job.kind) {
      case 'object':
        for (const [key, wire] of job.wire) setOwn(job.target, key, this.#shell(wire));
        return;
      case 'pairs':
        for (let i = 0; i < job.wire.length; i += 2) {
          const key = this.#shell(job.wire[i]);
          if (typeof key === 'string' && Object.hasOwn(job.target, key)) throw new Malformed('an object with the same key twice');
          setOwn(job.target, key, this.#shell(job.wire[i + 1]));
        }
        return;
      case 'array':
        for (let i = 0; i < job.wire.length; i++) job.target[i] = this.#shell(job.wire[i]);
        return;
      case 'map':
        for (let i = 0; i < job.wire.length; i += 2) job.target.set(this.#shell(job.wire[i]), this.#shell(job.wire[i + 1]));
        if (job.target.size !== job.wire.length / 2) throw new Malformed('a Map with the same key twice');
        return;
      case 'set':
        for (const item of job.wire) job.target.add(this.#shell(item));
        if (job.target.size !== job.wire.length) throw new Malformed('a Set with the same item twice');
    }
  }
}

function setOwn(target: Dictionary, key: unknown, value: unknown): void {
  if (typeof key !== 'string') throw new Malformed('an object key that is not a string');
  // Invariant 2: assignment would run a setter of the prototype, or fail where the prototype is frozen.
  if (key in Object.prototype) Object.defineProperty(target, key, { value, writable: true, enumerable: true, configurable: true });
  else target[key] = value;
}

function bigint(payload: unknown): bigint {
  if (typeof payload !== 'string' || !BIGINT.test(payload) || payload === '-0')
    throw new Malformed('a bigint that is not written in hexadecimal');
  return payload.startsWith('-') ? -BigInt(`0x${payload.slice(1)}`) : BigInt(`0x${payload}`);
}

function text(payload: unknown): string {
  if (!(payload instanceof Uint8Array) || payload.length % 2 !== 0) throw new Malformed('a string that is not UTF-16');
  return Buffer.from(payload).toString('utf16le');
}

function date(payload: unknown): Date {
  if (typeof payload !== 'number') throw new Malformed('a Date without a number');
  const value = new Date(payload);
  if (!Object.is(value.getTime(), payload)) throw new Malformed('a Date outside the range of dates');
  return value;
}
