/**
 * Compressing the bytes of one extent and getting them back, with what Node.js itself has.
 *
 * Invariants
 * 1. What is decompressed has been hashed before.
 * 2. Exactly the stated length comes out and never more, whatever the stream says: memory is bounded by what an extent may have.
 */
import { promisify } from 'node:util';
import * as zlib from 'node:zlib';
import { CheckpointError, systemCode } from '../base/errors.js';
import type { Method } from './contract.js';
import { corrupt } from './damage.js';

interface Options {
  readonly params: Readonly<Record<number, number>>;
  readonly chunkSize: number;
  readonly maxOutputLength?: number;
}

/** As node:zlib has it from Node.js 22.15 on; the types in use are those of Node.js 20. */
interface Zstd {
  readonly zstdCompress: (bytes: Uint8Array, options: Options, done: (error: Error | null, result: Buffer) => void) => void;
  readonly zstdDecompressSync: (bytes: Uint8Array, options: Options) => Buffer;
}

/** Absent in older versions; a named import would fail there. */
const { zstdCompress, zstdDecompressSync } = zlib as Partial<Zstd>;
/** Numbers of zstd's own interface: ZSTD_c_compressionLevel and ZSTD_d_windowLogMax. */
const ZSTD_LEVEL = 100;
const ZSTD_WINDOW = 100;
/** 8 MiB: much more than an extent, and what keeps a frame from asking for a GiB. */
const MOST_WINDOW = 23;
const LEAST_CHUNK = 64;

const compressors: Readonly<Record<Method, ((bytes: Uint8Array) => Promise<Uint8Array>) | undefined>> = {
  zstd:
    zstdCompress === undefined
      ? undefined
      : (bytes) => promisify(zstdCompress)(bytes, { params: { [ZSTD_LEVEL]: 1 }, chunkSize: room(bytes.length) }),
  brotli: (bytes) =>
    promisify<Uint8Array, zlib.BrotliOptions, Buffer>(zlib.brotliCompress)(bytes, {
      params: {
        [zlib.constants.BROTLI_PARAM_QUALITY]: 1,
        [zlib.constants.BROTLI_PARAM_SIZE_HINT]: bytes.length,
      },
      chunkSize: room(bytes.length),
    }),
};

/** Whether this version of Node.js can compress and decompress that way. */
export function isAvailable(method: Method): boolean {
  return compressors[method] !== undefined;
}

/** What this Node.js compresses best and fastest with. */
export const PREFERRED: Method = isAvailable('zstd') ? 'zstd' : 'brotli';

/** The bytes must stand still until it resolves; done in a thread of its own. @throws CheckpointError ERR_CKPT_IMAGE_FEATURE */
export async function compress(method: Method, bytes: Uint8Array): Promise<Uint8Array> {
  const compressor = compressors[method];
  if (compressor === undefined) throw unavailable('write image', method);
  return await compressor(bytes);
}

/**
 * Fills `target`, whose length is the stated one.
 * @throws CheckpointError ERR_CKPT_IMAGE_CORRUPT when anything else comes out, ERR_CKPT_IMAGE_FEATURE
 */
export function decompress(method: Method, bytes: Uint8Array, target: Uint8Array, label: string, section: string): void {
  const limits = { maxOutputLength: target.length, chunkSize: room(target.length) };
  let found: Uint8Array;
  try {
    if (method === 'brotli') found = zlib.brotliDecompressSync(bytes, limits);
    else if (zstdDecompressSync === undefined) throw unavailable(`read image ${label}: ${section}`, method, label, section);
    else found = zstdDecompressSync(bytes, { ...limits, params: { [ZSTD_WINDOW]: MOST_WINDOW } });
  } catch (error) {
    if (error instanceof CheckpointError) throw error;
    const reason = systemCode(error) ?? 'another stream';
    throw corrupt(label, section, `expected ${target.length} bytes compressed with ${method}, found something else (${reason})`);
  }
  if (found.length !== target.length)
    throw corrupt(label, section, `expected ${target.length} bytes compressed with ${method}, found ${found.length}`);
  target.set(found);
}

function room(length: number): number {
  return Math.max(length, LEAST_CHUNK);
}

function unavailable(operation: string, method: Method, label?: string, section?: string): CheckpointError {
  const message = `${operation}: it needs ${method}, which Node.js ${process.versions.node} lacks; use Node.js 22.15 or newer`;
  return new CheckpointError('ERR_CKPT_IMAGE_FEATURE', message, {
    ...(label === undefined ? {} : { path: label }),
    ...(section === undefined ? {} : { section }),
    phase: label === undefined ? 'persist' : 'read',
  });
}
