/**
 * The classes that a program has registered, by name and by prototype.
 *
 * Invariants
 * 1. An image names classes and never brings one: what is made from it are instances of registered classes only.
 * 2. A constructor of the program never runs here: instances are made from the prototype, or by `decode`.
 * 3. An instance belongs to the class that its prototype is of, not to one further up.
 */
import { CheckpointError } from '../base/errors.js';

/** Options of `registerClass`. With neither `encode` nor `decode`, the own properties of an instance are carried. */
export interface ClassOptions<T extends object = object> {
  /** Version of the class in images, a whole number from 1 on; 1 by default. */
  readonly version?: number;
  /** Turns an instance into data that can be carried. Synchronous, and leaves the instance as it is. */
  readonly encode?: (instance: T) => unknown;
  /** Makes an instance of what `encode` returned. Synchronous. */
  readonly decode?: (data: never) => T;
  /** For each older version, what makes its data (without encode: an object of the properties) that of the next. */
  readonly migrate?: Readonly<Record<number, (data: never) => unknown>>;
}

/** A constructor, which is only ever given to Reflect.construct as the class to make an instance of. */
export type Maker = abstract new (...args: never[]) => object;

export interface ClassDefinition {
  readonly name: string;
  readonly version: number;
  readonly prototype: object;
  readonly maker: Maker;
  readonly encode: ((instance: object) => unknown) | undefined;
  readonly decode: ((data: unknown) => unknown) | undefined;
  readonly migrate: ReadonlyMap<number, (data: unknown) => unknown>;
}

/** An instance of a class that the reader does not have, as plain data. */
export class Tagged {
  readonly class: string;
  readonly version: number;
  /** The properties of the instance; what `encode` returned; or the Map, Set, array or error that the class extends. */
  data: unknown;

  constructor(name: string, version: number, data: unknown) {
    this.class = name;
    this.version = version;
    this.data = data;
  }
}

const NAME = /^[\p{ID_Start}$_][\p{ID_Continue}$.:/-]{0,255}$/u;
/** A private field in the source of a class: nothing outside of it can read that. */
const PRIVATE = /\bthis\s*\.\s*#|(?:^|[{;\n])\s*(?:static\s+)?#[\p{ID_Start}$_]/u;

export class ClassRegistry {
  readonly #byName = new Map<string, ClassDefinition>();
  readonly #byPrototype = new Map<object, ClassDefinition>();
  #closedBy: string | undefined;

  /** @throws TypeError for anything that is no class, a name that is taken, or when registration is over */
  add<T extends object>(name: string, maker: abstract new (...args: never[]) => T, options: ClassOptions<T>): void {
    const call = `registerClass('${name}', …)`;
    if (this.#closedBy !== undefined)
      throw new TypeError(
        `${call}: classes are registered before the first ${this.#closedBy}, which may already need them; move the call up`,
      );
    const definition = define(name, maker, options, call);
    const other = this.#byName.get(name) ?? this.#byPrototype.get(definition.prototype);
    if (other !== undefined)
      throw new TypeError(`${call}: ${other.maker.name} is registered as '${other.name}' already; register each class once`);
    this.#byName.set(name, definition);
    this.#byPrototype.set(definition.prototype, definition);
  }

  /** No class after this: `call` may need them. */
  close(call: string): void {
    this.#closedBy ??= call;
  }

  of(prototype: object): ClassDefinition | undefined {
    return this.#byPrototype.get(prototype);
  }

  named(name: string): ClassDefinition | undefined {
    return this.#byName.get(name);
  }
}

/** For what has no classes of the program: tools, and programs that register none. */
export const NO_CLASSES: ClassRegistry = new ClassRegistry();

/** What a class of the program may extend without encode and decode: the walk knows what these hold. */
const EXTENDABLE: ReadonlySet<unknown> = new Set([
  Object,
  Array,
  Map,
  Set,
  Date,
  RegExp,
  Error,
  EvalError,
  RangeError,
  ReferenceError,
  SyntaxError,
  TypeError,
  URIError,
  AggregateError,
]);

/** The class and those that it extends, nearest first. */
function lineage(maker: Maker): Maker[] {
  const found: Maker[] = [];
  for (
    let prototype: unknown = maker.prototype;
    typeof prototype === 'object' && prototype !== null;
    prototype = Object.getPrototypeOf(prototype)
  ) {
    const each: unknown = Object.getOwnPropertyDescriptor(prototype, 'constructor')?.value;
    if (typeof each === 'function') found.push(each as Maker); // what a prototype names as its constructor
  }
  return found.length > 0 && found[0] === maker ? found : [maker, ...found];
}

function isBuiltIn(maker: Maker): boolean {
  return /\{\s*\[native code\]\s*\}\s*$/.test(Function.prototype.toString.call(maker));
}

function define<T extends object>(
  name: string,
  maker: abstract new (...args: never[]) => T,
  options: ClassOptions<T>,
  call: string,
): ClassDefinition {
  if (typeof name !== 'string' || !NAME.test(name)) throw new TypeError(`${call}: expected a name like 'Particle', got ${String(name)}`);
  const prototype: unknown = typeof maker === 'function' ? maker.prototype : undefined;
  if (typeof prototype !== 'object' || prototype === null)
    throw new TypeError(`${call}: expected a class as the second argument, got ${typeof maker}`);
  const { version = 1, encode, decode, migrate = {} } = options;
  if (!Number.isSafeInteger(version) || version < 1)
    throw new TypeError(`${call}: expected a version that is a whole number from 1 on, got ${String(version)}`);
  if ((encode === undefined) !== (decode === undefined)) throw new TypeError(`${call}: encode and decode belong together; give both`);
  const makers = lineage(maker);
  const builtIn = makers.find((each) => isBuiltIn(each));
  if (builtIn === maker) throw new TypeError(`${call}: ${name} is built into JavaScript, and carried without registration or not at all`);
  if (encode === undefined && builtIn !== undefined && !EXTENDABLE.has(builtIn))
    throw new TypeError(
      `${call}: the class extends ${builtIn.name}, whose contents are not properties; give encode and decode, which turn an instance into data and back`,
    );
  if (encode === undefined && makers.some((each) => each !== builtIn && PRIVATE.test(Function.prototype.toString.call(each))))
    throw new TypeError(
      `${call}: the class, or one that it extends, has private fields, which nobody else can read; give encode and decode, which turn an instance into data and back`,
    );
  return {
    name,
    version,
    prototype,
    maker,
    // Only instances of the class, and only what its own encode made, are handed to these.
    encode: encode as ClassDefinition['encode'],
    decode: decode as ClassDefinition['decode'],
    migrate: new Map(Object.entries(migrate).map(([from, step]) => [Number(from), step as (data: unknown) => unknown])),
  };
}

/**
 * Data of an older version of a class, brought to the version that the program has.
 * @throws CheckpointError ERR_CKPT_SCHEMA
 */
export function migratedData(definition: ClassDefinition, from: number, data: unknown): unknown {
  const { name, version, migrate } = definition;
  if (from > version) {
    const message = `class ${name}: the program has version ${version}, the image holds version ${from}; run the version of the program that wrote it`;
    throw new CheckpointError('ERR_CKPT_SCHEMA', message, { phase: 'read' });
  }
  let current = data;
  for (let step = from; step < version; step++) {
    const next = migrate.get(step);
    if (next === undefined) {
      const message = `class ${name}: the program has version ${version}, the image holds version ${from}, and there is no step from ${step}; give registerClass { migrate: { ${step}: … } }`;
      throw new CheckpointError('ERR_CKPT_SCHEMA', message, { phase: 'read' });
    }
    current = next(current);
  }
  return current;
}
