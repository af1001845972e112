/**
 * Whether memory is that of a WebAssembly instance, whose new instance after a restart would know nothing of a copy.
 *
 * Invariants
 * 1. Nothing is changed by asking, and no other memory is taken for it: unshared memory is told by its hidden class, where
 *    these can be told; shared memory by being frozen, which WebAssembly does and programs do not, and of whole pages.
 */
import { types } from 'node:util';
import { hiddenClasses } from './hidden-class.js';
import { memoryLength } from './slots.js';

const PAGE = 65_536;

let example: object | null | undefined;

export function isWasmMemory(memory: ArrayBufferLike): boolean {
  if (memoryLength(memory) % PAGE !== 0) return false;
  if (types.isSharedArrayBuffer(memory)) return memoryLength(memory) > 0 && Object.isFrozen(memory);
  if (example === undefined) example = makeExample();
  return example !== null && hiddenClasses?.same(memory, example) === true;
}

/** Null where there is no WebAssembly, or its memory is like any other. */
function makeExample(): object | null {
  const space: unknown = Reflect.get(globalThis, 'WebAssembly');
  const maker: unknown = typeof space === 'object' && space !== null ? Reflect.get(space, 'Memory') : undefined;
  if (typeof maker !== 'function') return null;
  try {
    const found: unknown = Reflect.get(Reflect.construct(maker, [{ initial: 0 }]), 'buffer');
    const told = types.isArrayBuffer(found) && hiddenClasses?.same(found, new ArrayBuffer(0)) === false;
    return told ? found : null;
  } catch {
    return null;
  }
}
