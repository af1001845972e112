/** The golden images on disk: reading and describing them. What is there is never written again. */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { decodeSection } from '../../packages/sdk/src/codec/codec.js';
import type { BaseRecord, ByteSource } from '../../packages/sdk/src/image/contract.js';
import { readImage, readManifest } from '../../packages/sdk/src/image/reader.js';
import { memorySource, noBases } from '../fixtures/memory-image.js';
import { describeImage } from './golden-images.js';

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
  const contents = await readImage(memorySource(goldenBytes(name)), openGoldenBase);
  return describeImage(contents, (section, buffers) => {
    const record = contents.manifest.sections[section];
    const bytes = contents.sections[section] ?? new Uint8Array();
    return decodeSection({ name: record?.name ?? '', encoding: record?.encoding ?? '', bytes, imports: [] }, buffers).value;
  });
}
