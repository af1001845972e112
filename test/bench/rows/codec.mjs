/**
 * One data set through one encoding and back, as often as is asked or the time allows. Arguments: runs, data set, encoding, address of the built codec. What an encoding cannot
 * carry at all is said in the note, with no samples.
 */
import { deserialize, serialize } from 'node:v8';
import { Encoder } from 'cbor-x';
import { Packr } from 'msgpackr';
import superjson from 'superjson';
import { makeData, Particle } from '../codec-data.mjs';
import { report, timed } from '../measure.mjs';

const [runs = 0] = process.argv.slice(2).map(Number);
const [, set = '', encoding = '', codec = ''] = process.argv.slice(2);
/** No more samples are begun after this time. */
const LONG_MS = 15_000;
const data = makeData(set);

/** @returns {Promise<{ encode: () => unknown, decode?: (encoded: any) => unknown }>} */
async function coder() {
  const { encodeMember, decodeSection, ClassRegistry } = await import(codec);
  const classes = new ClassRegistry();
  classes.add('Particle', Particle, {});
  const records = new Packr({ useRecords: true, moreTypes: true });
  const clone = new Packr({ structuredClone: true, moreTypes: true });
  const cbor = new Encoder({ structuredClone: set === 'graph', mapsAsObjects: false });
  switch (encoding) {
    case 'ckpt':
      return {
        encode: () => encodeMember(new Map([['state', data]]), classes),
        decode: ({ sections: [section] }) => decodeSection({ ...section, imports: [] }, [], classes).value,
      };
    case 'json':
      return { encode: () => JSON.stringify(data instanceof Map ? [...data] : data), decode: JSON.parse };
    case 'v8':
      return { encode: () => serialize(data), decode: deserialize };
    case 'msgpackr, records':
      return { encode: () => records.pack(data), decode: (bytes) => records.unpack(bytes) };
    case 'msgpackr, structuredClone + moreTypes':
      return { encode: () => clone.pack(data), decode: (bytes) => clone.unpack(bytes) };
    case 'cbor-x':
      return { encode: () => cbor.encode(data), decode: (bytes) => cbor.decode(bytes) };
    case 'superjson':
      return { encode: () => superjson.stringify(data), decode: (text) => superjson.parse(text) };
    case 'a bare identity walk':
      return { encode: () => walk(data) };
  }
  throw new Error(`bench: no encoding is called ${encoding}`);
}

/** Every object once, with a number: what any encoding that keeps identity does at least. @param {object} root */
function walk(root) {
  const numbers = new Map([[root, 0]]);
  const queue = [root];
  for (const object of queue) {
    for (const key of Object.keys(object)) {
      const value = Reflect.get(object, key);
      if (typeof value !== 'object' || value === null || numbers.has(value)) continue;
      numbers.set(value, queue.length);
      queue.push(value);
    }
  }
  return numbers;
}

const { encode, decode } = await coder();
/** @type {{ encodeMs: number[], decodeMs: number[] }} */
const samples = { encodeMs: [], decodeMs: [] };
let note = '';
try {
  for (let run = 0; run <= runs; run++) {
    /** @type {unknown} */
    let encoded;
    globalThis.gc?.();
    const encodeMs = timed(() => {
      encoded = encode();
    });
    globalThis.gc?.();
    const decodeMs = decode === undefined ? undefined : timed(() => decode(encoded));
    // The code is compiled by now; what is as slow as this is measured once.
    const late = performance.now() > LONG_MS;
    if (run === 0 && !late) continue;
    samples.encodeMs.push(encodeMs);
    if (decodeMs !== undefined) samples.decodeMs.push(decodeMs);
    if (late) break;
  }
} catch (error) {
  note = `cannot: ${error instanceof Error ? error.message.slice(0, 60) : error}`;
}
report(note === '' ? { samples } : { samples, note });
