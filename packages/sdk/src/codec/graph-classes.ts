/**
 * Which object an instance becomes when a section is decoded.
 *
 * Invariants
 * 1. A constructor of the program never runs: a built-in constructor is given the class as `new.target`.
 */
import { CheckpointError } from '../base/errors.js';
import { type ClassDefinition, type ClassRegistry, type Maker, migratedData, Tagged } from './classes.js';
import type { ReadClass } from './graph-read.js';

type NamedClass = Extract<ReadClass, { readonly of: 'class' }>;

/** The classes that a decoder knows; or 'tagged', which makes every instance a Tagged. */
export type KnownClasses = ClassRegistry | 'tagged';

/** @throws CheckpointError ERR_CKPT_SCHEMA when the program has not registered the class */
export function definitionOf(classes: KnownClasses, { name }: NamedClass, section: string): ClassDefinition | undefined {
  if (classes === 'tagged') return undefined;
  const definition = classes.named(name);
  if (definition === undefined) throw unknownClasses([name], section);
  return definition;
}

/** Before anything is made: all classes that are missing are named together. @throws CheckpointError ERR_CKPT_SCHEMA */
export function assertKnown(classes: KnownClasses, used: Iterable<ReadClass>, section: string): void {
  if (classes === 'tagged') return;
  const missing = new Set<string>();
  for (const one of used) if (one.of === 'class' && classes.named(one.name) === undefined) missing.add(one.name);
  if (missing.size > 0) throw unknownClasses([...missing], section);
}

/** So many classes are named. */
const MOST_NAMED = 20;

function unknownClasses(names: readonly string[], section: string): CheckpointError {
  const [first = ''] = names;
  const what =
    names.length === 1
      ? `the class ${first}, which the program has not registered; call ckpt.registerClass('${first}', ${first})`
      : `${names.length} classes that the program has not registered; call${names
          .slice(0, MOST_NAMED)
          .map((name) => ` ckpt.registerClass('${name}', ${name});`)
          .join('')}${names.length > MOST_NAMED ? ' …' : ''}`;
  const message = `decode section ${section}: it holds instances of ${what} before the first state() or provide()`;
  return new CheckpointError('ERR_CKPT_SCHEMA', message, { section, phase: 'register' });
}

/** Turns the data of an instance, as the image holds it, into what the program's version of the class expects. */
export function currentData(definition: ClassDefinition, { version }: NamedClass, data: unknown, section: string): unknown {
  try {
    return migratedData(definition, version, data);
  } catch (error) {
    if (error instanceof CheckpointError) throw error;
    const message = `decode section ${section}: migrating class ${definition.name} from version ${version} threw; nothing has changed`;
    throw new CheckpointError('ERR_CKPT_SCHEMA', message, { section, phase: 'register', cause: error });
  }
}

/** What the program's decode function makes of data. */
export function decodedInstance(definition: ClassDefinition, data: unknown, section: string): object {
  let made: unknown;
  try {
    made = definition.decode?.(data);
  } catch (error) {
    const message = `decode section ${section}: the decode function of class ${definition.name} threw; nothing has changed`;
    throw new CheckpointError('ERR_CKPT_RESTORE', message, { section, phase: 'register', cause: error });
  }
  // The instance was told by its prototype, so it must come back with it.
  if (typeof made === 'object' && made !== null && Object.getPrototypeOf(made) === definition.prototype) return made;
  const message = `decode section ${section}: the decode function of class ${definition.name} returned ${made === null ? 'null' : typeof made}; expected an instance of that very class`;
  throw new CheckpointError('ERR_CKPT_RESTORE', message, { section, phase: 'register' });
}

/** An empty object of the class, or a Tagged around `base`. */
export function shellOf(classes: KnownClasses, of: ReadClass, base: (maker?: Maker) => object, section: string): object {
  if (of.of !== 'class') return base();
  const definition = definitionOf(classes, of, section);
  if (definition === undefined) return new Tagged(of.name, of.version, base());
  if (definition.version !== of.version) {
    const message =
      `decode section ${section}: class ${of.name}: the program has version ${definition.version}, the image holds version ${of.version}; ` +
      'a class that extends a built-in one is migrated only with encode and decode';
    throw new CheckpointError('ERR_CKPT_SCHEMA', message, { section, phase: 'register' });
  }
  return base(definition.maker);
}
