/** Fills a store with images of a small state, as commits would leave them. Arguments: store, images, address of the built image writer. */
import { readFileSync, writeFileSync } from 'node:fs';
import { openCheckpointer } from '@ckpt/sdk';
import { report } from '../measure.mjs';

const [dir = '', images = '0', built = ''] = process.argv.slice(2);
const { imagePath, layout, newId, readManifest, writeImage } = await import(built);
const ckpt = await openCheckpointer({ dir, app: { name: 'bench' }, signals: {}, requests: false, keep: 1e6 });
ckpt.state('state', () => ({ step: 0, field: new Float64Array(16) }));
await ckpt.start();
const { image } = await ckpt.checkpoint();
await ckpt.close();

const bytes = readFileSync(image.path);
/** @param {{ place: { offset: number }, length: number }} extent */
const bytesOf = ({ place, length }) => new Uint8Array(bytes.subarray(place.offset, place.offset + length));
/** @param {Uint8Array} target @param {number} at */
const read = async (target, at) => target.set(bytes.subarray(at, at + target.length));
const { manifest } = await readManifest({ size: bytes.length, label: image.path, read });
const { sections, buffers, bases: _, ...head } = manifest;
/** @param {any} record */
const again = ({ extents, length, ...record }) => ({ ...record, chunks: extents.map(bytesOf) });
let parent = { id: image.id, epoch: image.epoch, generation: image.generation };
for (let generation = 2; generation <= Number(images); generation++) {
  const ref = { id: newId(), epoch: image.epoch, generation };
  /** @type {Uint8Array[]} */
  const parts = [];
  const input = { head: { ...head, image: { ...head.image, ...ref, parent } }, sections: sections.map(again), buffers: buffers.map(again) };
  await writeImage({ write: async (/** @type {Uint8Array} */ chunk) => void parts.push(chunk.slice()) }, input);
  writeFileSync(imagePath(layout(dir), ref), Buffer.concat(parts), { mode: 0o600 });
  parent = ref;
}
report({ samples: {} });
