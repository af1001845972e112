/**
 * Whether anything hangs on an array or view beside its elements.
 *
 * Invariants
 * 1. Cost grows with what is carried, never with the bytes of a typed array: listing the property names of a
 *    large array costs half a microsecond an element, so large ones are shown by `inspect` without their elements
 *    and compared with a clean one shown the same way, whatever this Node's way is. One of the hidden class of a clean one
 *    needs no such look.
 */
import { inspect, types } from 'node:util';
import { hiddenClasses } from './hidden-class.js';
import { viewKind, viewMemory } from './slots.js';

const FEW = 64;
const SHOW = {
  showHidden: true,
  depth: 0,
  colors: false,
  customInspect: false,
  showProxy: false,
  maxArrayLength: 0,
  breakLength: Number.POSITIVE_INFINITY,
  compact: 3,
  sorted: false,
  getters: false,
  numericSeparator: false,
} as const;

/** For an array with few or no holes. */
export function hasExtras(array: readonly unknown[]): boolean {
  if (array.length > FEW)
    return (
      misleads(array) || show(array) !== clean(array, () => new Array(FEW + 1).fill(0)) || Object.getPrototypeOf(array) !== Array.prototype
    );
  const names = Object.getOwnPropertyNames(array);
  if (names.length > array.length + 1 || Object.getOwnPropertySymbols(array).length > 0) return true;
  // With a hole, a name may stand in the place of an element.
  return names.length <= array.length || names[array.length] !== 'length';
}

/** True when `view` is a typed array or DataView with nothing of its own but its elements. */
export function isBareView(view: ArrayBufferView, length: number): boolean {
  if (length <= FEW || view instanceof DataView) return Reflect.ownKeys(view).length === (view instanceof DataView ? 0 : length);
  if (hiddenClasses?.same(view, bareLike(view)) === true) return true;
  return !misleads(view) && show(view) === clean(view, () => cleanView(view));
}

const bareViews = new Map<string, ArrayBufferView>();

/** A view of the same kind with nothing of its own. */
function bareLike(view: ArrayBufferView): ArrayBufferView {
  const key = `${viewKind(view)} ${Buffer.isBuffer(view)} ${types.isSharedArrayBuffer(viewMemory(view))}`;
  let bare = bareViews.get(key);
  if (bare === undefined) {
    bare = cleanView(view);
    bareViews.set(key, bare);
  }
  return bare;
}

const ASKED = ['length', 'byteLength', 'byteOffset', 'buffer', 'BYTES_PER_ELEMENT'];

/** Own properties that `inspect` would ask, or run, instead of showing them. */
function misleads(object: object): boolean {
  if (Object.hasOwn(object, 'constructor') || Object.hasOwn(object, Symbol.toStringTag)) return true;
  return ArrayBuffer.isView(object) && ASKED.some((key) => Object.hasOwn(object, key));
}

function show(object: object): string {
  return inspect(object, SHOW).replaceAll(/\d+/g, '#');
}

const cleanShown = new Map<string, string>();

/** How a clean object of the same prototype (and, for views, the same kind of memory) is shown. */
function clean(object: object, make: () => object): string {
  const memory = ArrayBuffer.isView(object) ? Object.prototype.toString.call(object.buffer) : '';
  const maker: unknown = Object.getPrototypeOf(object)?.constructor;
  const key = `${typeof maker === 'function' ? maker.name : ''} ${memory}`;
  let text = cleanShown.get(key);
  if (text === undefined) {
    text = show(make());
    cleanShown.set(key, text);
  }
  return text;
}

function cleanView(like: ArrayBufferView): ArrayBufferView {
  const bytes = (FEW + 1) * 8;
  const memory = types.isSharedArrayBuffer(viewMemory(like)) ? new SharedArrayBuffer(bytes) : new ArrayBuffer(bytes);
  const view = new Uint8Array(memory);
  if (Buffer.isBuffer(like)) return Buffer.from(view.buffer);
  // The kind is the name of one of the built-in typed arrays; their constructors take a buffer.
  const Maker = Reflect.get(globalThis, viewKind(like)) as new (memory: ArrayBufferLike) => ArrayBufferView;
  return new Maker(memory);
}
