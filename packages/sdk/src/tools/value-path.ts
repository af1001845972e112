/**
 * Paths into the values of an image: `sim.grid[0:10]`, `sim.particles[-1].spin`, `sim.map<key "x">`.
 *
 * Invariants
 * 1. The steps are those that messages show (codec/paths.ts): a path out of a message finds its value.
 * 2. The name of a section may hold dots and brackets itself: the longest name that fits is taken.
 * 3. A path that is not understood is a TypeError; one that leads nowhere is ERR_CKPT_NOT_FOUND and says how far it led.
 */
import { types } from 'node:util';
import { CheckpointError } from '../base/errors.js';
import { Tagged } from '../codec/classes.js';
import { keyText } from '../codec/paths.js';
import { bytesOf, elementIndexes, elementsOf, entriesOf, held, isBuffer, isObject, itemsOf, kindOf, ownValue } from './value-kinds.js';

type Step = { readonly text: string } & (
  | { readonly do: 'property'; readonly name: string }
  | { readonly do: 'index'; readonly index: number }
  | { readonly do: 'slice'; readonly from: number | undefined; readonly to: number | undefined; readonly by: number }
  | { readonly do: 'key'; readonly key: string }
  | { readonly do: 'entry'; readonly part: 'key' | 'value' | 'item'; readonly entry: number }
);

const STRING = String.raw`"(?:[^"\\]|\\.)*"`;
const STEPS = {
  property: /^\.([^.[\]<>"]+)/u,
  quoted: new RegExp(String.raw`^\[(${STRING})\]`, 'u'),
  index: /^\[(-?\d{1,15})\]/,
  slice: /^\[(-?\d{1,15})?:(-?\d{1,15})?(?::(-?\d{1,15})?)?\]/,
  key: new RegExp(`^<key (${STRING}|[^"#>][^>]*)>`, 'u'),
  entry: /^<(key|value|item) #(\d{1,15})>/,
} as const;

/** The section that a path begins with, and the steps behind it. */
export interface ValuePath {
  readonly section: string;
  readonly steps: readonly Step[];
}

/**
 * @param names of the sections there are
 * @throws TypeError for a path that is not understood; CheckpointError ERR_CKPT_NOT_FOUND for a section that is not there
 */
export function parsePath(text: string, names: readonly string[]): ValuePath {
  const fits = names.filter((name) => text.startsWith(name) && /^(?:$|[.[<])/.test(text.slice(name.length)));
  const section = fits.sort((a, b) => b.length - a.length)[0];
  if (section === undefined) {
    const message = `find ${JSON.stringify(text)}: expected the name of a section first, found none that fits; see what there is with: ckpt get IMAGE`;
    throw new CheckpointError('ERR_CKPT_NOT_FOUND', message, { path: text, phase: 'read' });
  }
  return { section, steps: parseSteps(text, section.length) };
}

function parseSteps(text: string, from: number): readonly Step[] {
  const steps: Step[] = [];
  let rest = text.slice(from);
  while (rest !== '') {
    const step = parseStep(rest);
    if (step === undefined) {
      throw new TypeError(
        `path ${JSON.stringify(text)}: expected .name, [index], [from:to:step], ["name"] or <key "x">, got ${JSON.stringify(rest.slice(0, 40))}`,
      );
    }
    steps.push(step);
    rest = rest.slice(step.text.length);
  }
  return steps;
}

function parseStep(rest: string): Step | undefined {
  let found = STEPS.property.exec(rest) ?? STEPS.quoted.exec(rest);
  if (found !== null) {
    const [text, name = ''] = found;
    const named = name.startsWith('"') ? unquoted(name) : name;
    return named === undefined ? undefined : { do: 'property', text, name: named };
  }
  found = STEPS.index.exec(rest);
  if (found !== null) return { do: 'index', text: found[0], index: Number(found[1]) };
  found = STEPS.slice.exec(rest);
  if (found !== null) {
    const [text, start, end, step] = found;
    const by = number(step) ?? 1;
    return by === 0 ? undefined : { do: 'slice', text, from: number(start), to: number(end), by };
  }
  return parseEntry(rest);
}

function parseEntry(rest: string): Step | undefined {
  const entry = STEPS.entry.exec(rest);
  if (entry !== null) {
    const part = entry[1] === 'key' || entry[1] === 'value' ? entry[1] : 'item';
    return { do: 'entry', text: entry[0], part, entry: Number(entry[2]) };
  }
  const key = STEPS.key.exec(rest);
  return key === null ? undefined : { do: 'key', text: key[0], key: key[1] ?? '' };
}

function number(text: string | undefined): number | undefined {
  return text === undefined ? undefined : Number(text);
}

function unquoted(text: string): string | undefined {
  try {
    return String(JSON.parse(text));
  } catch {
    return undefined;
  }
}

/** @throws CheckpointError ERR_CKPT_NOT_FOUND when the steps lead nowhere */
export function valueAt(root: unknown, { section, steps }: ValuePath): unknown {
  let value = root;
  let led = section;
  for (const step of steps) {
    const found = take(value, step);
    if (found === undefined) {
      const message = `find ${led}${step.text}: expected ${step.text} in ${led}, found ${described(value)} without it; look at it with: ckpt get IMAGE '${led}'`;
      throw new CheckpointError('ERR_CKPT_NOT_FOUND', message, { path: `${led}${step.text}`, section, phase: 'read' });
    }
    value = found.value;
    led += step.text;
  }
  return value;
}

function described(value: unknown): string {
  const list = types.isTypedArray(value) ? elementsOf(value) : value;
  const length = Array.isArray(list) || types.isTypedArray(list) ? ` of ${list.length}` : '';
  return `${kindOf(value)}${length}`;
}

type Found = { readonly value: unknown } | undefined;

/** An instance is looked into as into its data; a buffer as into its bytes. */
function take(whole: unknown, step: Step): Found {
  if (whole instanceof Tagged) return take(whole.data, step);
  const value = isBuffer(whole) || types.isDataView(whole) ? bytesOf(whole) : whole;
  switch (step.do) {
    case 'property':
      return property(value, step.name);
    case 'index':
      return element(value, step.index);
    case 'slice':
      return slice(value, step.from, step.to, step.by);
    case 'key':
      return keyed(value, step.key);
    case 'entry':
      return entryOf(value, step.part, step.entry);
  }
}

function property(value: unknown, name: string): Found {
  if (!isObject(value)) return undefined;
  return (types.isMap(value) ? held(value, name) : undefined) ?? ownValue(value, name);
}

/** Of a Map, the value of that number as a key; of a Set, the item at that place. */
function element(value: unknown, index: number): Found {
  if (types.isMap(value)) return held(value, index);
  const list = listOf(value);
  if (types.isTypedArray(list)) {
    const at = index < 0 ? list.length + index : index;
    return at >= 0 && at < list.length ? { value: list[at] } : undefined;
  }
  if (Array.isArray(list)) return ownValue(list, index < 0 ? list.length + index : index);
  return isObject(list) ? ownValue(list, String(index)) : undefined;
}

function listOf(value: unknown): unknown {
  if (types.isTypedArray(value)) return elementsOf(value);
  return types.isSet(value) ? [...itemsOf(value)] : value;
}

/** As in Python: ends are clamped, and with a negative step it goes backwards. */
function slice(value: unknown, from: number | undefined, to: number | undefined, by: number): Found {
  const list = listOf(value);
  if (!Array.isArray(list) && !types.isTypedArray(list) && typeof list !== 'string') return undefined;
  const { length } = list;
  const [lowest, highest] = by > 0 ? [0, length] : [-1, length - 1];
  const clamp = (at: number | undefined, otherwise: number): number =>
    at === undefined ? otherwise : Math.min(Math.max(at < 0 ? at + length : at, lowest), highest);
  const start = clamp(from, by > 0 ? 0 : length - 1);
  const end = clamp(to, by > 0 ? length : -1);
  if (by === 1 && !Array.isArray(list))
    return { value: types.isTypedArray(list) ? list.subarray(start, Math.max(end, start)) : list.slice(start, end) };
  const count = Math.max(Math.ceil((end - start) / by), 0);
  if (typeof list === 'string') return { value: Array.from({ length: count }, (_, index) => list[start + index * by]).join('') };
  if (Array.isArray(list)) return { value: elementsAt(list, start, by, count) };
  const taken = list.slice(0, count);
  for (let index = 0; index < count; index++) taken[index] = list[start + index * by] ?? 0;
  return { value: taken };
}

/** More are taken one by one from those that are there, because most may be holes. */
const MANY = 1e6;

/** Holes stay holes. */
function elementsAt(list: readonly unknown[], start: number, by: number, count: number): unknown[] {
  const taken = new Array<unknown>(count);
  if (count <= MANY) {
    for (let at = 0; at < count; at++) if (Object.hasOwn(list, start + at * by)) taken[at] = list[start + at * by];
    return taken;
  }
  for (const index of elementIndexes(list)) {
    const at = (index - start) / by;
    if (Number.isInteger(at) && at >= 0 && at < count) taken[at] = list[index];
  }
  return taken;
}

function keyed(value: unknown, text: string): Found {
  if (!types.isMap(value)) return undefined;
  if (text.startsWith('"')) {
    const key = unquoted(text);
    return key === undefined ? undefined : held(value, key);
  }
  for (const [key, of] of entriesOf(value)) {
    if (!isObject(key) && typeof key !== 'string' && typeof key !== 'symbol' && keyText(key) === text) return { value: of };
  }
  return undefined;
}

function entryOf(value: unknown, part: 'key' | 'value' | 'item', entry: number): Found {
  if (part === 'item') {
    const items = types.isSet(value) ? [...itemsOf(value)] : [];
    return entry < items.length ? { value: items[entry] } : undefined;
  }
  const found = types.isMap(value) ? [...entriesOf(value)][entry] : undefined;
  if (found === undefined) return undefined;
  return { value: part === 'key' ? found[0] : found[1] };
}
