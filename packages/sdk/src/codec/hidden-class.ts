/**
 * Whether two objects have the same hidden class (V8's map), which settles at once what otherwise takes a look at every
 * property: the same prototype, the same named and symbol properties in the same order, each with the same attributes and
 * data or accessor alike, extensible alike, and the same kind of built-in object. It says nothing of elements (index keys).
 *
 * JavaScript cannot ask that; two functions of V8's own can. They are compiled here once, with the flag that lets them be
 * named set for just that moment.
 *
 * Invariants
 * 1. Null where anything is unexpected: the functions are not there, code may not be made of text, or an answer about
 *    objects that are known to differ, or to be alike, is another than it must be. Then everything is looked at in full.
 * 2. Objects in dictionary mode share hidden classes whatever their properties are: `isFast` is asked about one of the two.
 */
import { setFlagsFromString } from 'node:v8';

export interface HiddenClasses {
  /** Runs nothing of the program, Proxies included. */
  same(one: object, other: object): boolean;
  /** False for objects whose properties are in a dictionary of their own. */
  isFast(object: object): boolean;
}

/** What V8's functions are called in the language that the flag switches on: those of these names have answered so since V8 5. */
function compiled(): HiddenClasses {
  const made: HiddenClasses = {
    same: new Function('one', 'other', 'return %HaveSameMap(one, other)') as HiddenClasses['same'],
    isFast: new Function('object', 'return %HasFastProperties(object)') as HiddenClasses['isFast'],
  };
  made.same(made, made);
  made.isFast(made);
  return made;
}

function compiledWithFlag(): HiddenClasses {
  try {
    return compiled(); // the program runs with the flag, and is left with it
  } catch {
    setFlagsFromString('--allow-natives-syntax');
  }
  try {
    return compiled();
  } finally {
    setFlagsFromString('--no-allow-natives-syntax');
  }
}

/**
 * V8 drops the code of functions that were not called for some garbage collections, and compiles their text again at the next
 * call: without the flag that is a SyntaxError, before anything ran. Then they are compiled as at the beginning.
 */
function lasting(first: HiddenClasses): HiddenClasses {
  let { same, isFast } = first;
  const again = (): void => {
    ({ same, isFast } = compiledWithFlag());
  };
  return {
    same(one, other) {
      try {
        return same(one, other);
      } catch {
        again();
        return same(one, other);
      }
    },
    isFast(object) {
      try {
        return isFast(object);
      } catch {
        again();
        return isFast(object);
      }
    },
  };
}

const make = (): { a: number; b: unknown } => ({ a: 1, b: 'x' });
const other = <T extends object>(change: (object: { a: number; b: unknown }) => T): T => change(make());

/** Objects that differ from `make()` in one respect each. */
function different(): object[] {
  return [
    other((object) => Object.assign(object, { c: 1 })),
    other((object) => Object.assign(object, { [Symbol.for('s')]: 1 })),
    other((object) => Object.defineProperty(object, 'a', { enumerable: false })),
    other((object) => Object.defineProperty(object, 'a', { writable: false })),
    other((object) => Object.defineProperty(object, 'b', { configurable: false })),
    other((object) => Object.defineProperty(object, 'b', { get: () => 1 })),
    other((object) => Object.freeze(object)),
    other((object) => Object.seal(object)),
    other((object) => Object.preventExtensions(object)),
    other((object) => Object.setPrototypeOf(object, null)),
    other((object) => Object.setPrototypeOf(object, { ...Object.prototype })),
    other((object) => new Proxy(object, {})),
    { b: 1, a: 'x' },
    [],
    new Map(),
  ];
}

function answersRightly({ same, isFast }: HiddenClasses): boolean {
  const one = make();
  const dictionary = Object.assign(Object.create(null), { a: 1 });
  return (
    isFast(one) === true &&
    isFast(dictionary) === false &&
    same(one, make()) === true &&
    same([1], [2, 3]) === true &&
    same([1.5], [1]) === false &&
    same([1], Object.assign([1], { extra: 1 })) === false &&
    different().every((object) => same(one, object) === false && same(object, one) === false)
  );
}

function probed(): HiddenClasses | null {
  if (process.env['CKPT_HIDDEN_CLASSES'] === 'off') return null;
  try {
    const found = lasting(compiledWithFlag());
    return answersRightly(found) ? found : null;
  } catch {
    return null;
  }
}

/** Null where they cannot be told, or the environment says CKPT_HIDDEN_CLASSES=off. */
export const hiddenClasses: HiddenClasses | null = probed();
