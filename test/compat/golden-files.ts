/** The golden images on disk: reading and describing them. What is there is never written again. */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { DecodedSection } from '../../packages/sdk/src/codec/contract.js';
import type { BaseRecord, ByteSource } from '../../packages/sdk/src/image/contract.js';
import { readImage, readManifest } from '../../packages/sdk/src/image/reader.js';
import { buffersOf } from '../../packages/sdk/src/image/section-buffers.js';
import { decodeRecord } from '../../packages/sdk/src/restart/decode-record.js';
import { type ReplayedCollection, SEGMENTS_1 } from '../../packages/sdk/src/state/collection-segments.js';
import { memorySource, noBases } from '../fixtures/memory-image.js';
import { describeImage, RAW } from './golden-images.js';

export const FOLDER: string = fileURLToPath(new URL('./golden/', import.meta.url));

export function goldenNames(): string[] {
  return readdirSync(FOLDER).flatMap((file) => (file.endsWith('.ckpt') ? [file.slice(0, -'.ckpt'.length)] : []));
}

export function goldenBytes(name: string): Uint8Array {
  return new Uint8Array(readFileSync(`${FOLDER}${name}.ckpt`));
}

export function goldenDescription(name: string): unknown {
  return JSON.parse(readFileSync(`${FOLDER}${name}.golden.json`, 'utf8'));
}

export async function openGoldenBase(base: BaseRecord): Promise<ByteSource> {
  for (const name of goldenNames()) {
    const source = memorySource(goldenBytes(name), name);
    if ((await readManifest(source)).manifest.image.id === base.id) return source;
  }
  return noBases(base);
}

export async function describeGolden(name: string): Promise<unknown> {
  return describeBytes(goldenBytes(name));
}

/** What is in an image, read without any class. */
export async function describeBytes(bytes: Uint8Array): Promise<unknown> {
  const contents = await readImage(memorySource(bytes), openGoldenBase);
  const { manifest, sections, buffers } = contents;
  const decoded: DecodedSection[] = [];
  for (const [index, record] of manifest.sections.entries()) {
    if (record.encoding === RAW) {
      decoded.push({ value: undefined, objects: [], instances: false });
      continue;
    }
    const imports = (record.imports ?? []).flatMap((other) => decoded[other] ?? []);
    const memory = buffersOf(manifest, record, buffers);
    // As the codec has it: what a section of the kind wasm is more than its value does not matter here.
    decoded.push(
      decodeRecord(
        { ...record, kind: record.kind === 'wasm' ? 'state' : record.kind },
        { bytes: sections[index] ?? new Uint8Array(), imports, memory, own: [] },
        'tagged',
      ),
    );
  }
  return describeImage(contents, (section) => {
    const value = decoded[section]?.value;
    // Only a section of this encoding becomes what the log of a collection goes on from.
    return manifest.sections[section]?.encoding === SEGMENTS_1 ? (value as ReplayedCollection).entries : value;
  });
}
