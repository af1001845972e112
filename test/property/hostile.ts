/** Starts hostile-child.ts, which decodes mutated sections, or whole images with such a section, in a process of its own. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { buildEntries } from '../fixtures/build-entry.js';
import { nodePath } from '../fixtures/node.js';

export interface HostileResult {
  readonly outcomes: Readonly<Record<string, number>>;
  readonly worst: { readonly ms: number; readonly bytes: number };
  readonly touched: boolean;
  readonly faults: readonly string[];
}

/** Which of the densest sections are decoded: those of one part of so many. */
export interface DensePart {
  readonly part: number;
  readonly parts: number;
}

export async function decodeHostile(
  what: 'sections' | 'images',
  mutations: number,
  seed: number,
  { part, parts }: DensePart = { part: 0, parts: 1 },
): Promise<HostileResult> {
  // Below the repository, so that packages are found.
  const folder = mkdtempSync(join(import.meta.dirname, '../../node_modules/.hostile-'));
  try {
    await buildEntries(folder, { hostile: '../../../test/fixtures/hostile-child' });
    const args = ['--expose-gc', join(folder, 'hostile.mjs'), what, ...[mutations, seed, part, parts].map(String)];
    const child = spawnSync(nodePath, args, { encoding: 'utf8' });
    if (child.status !== 0) throw new Error(`the decoder died (${child.status ?? child.signal}): ${child.stderr.slice(0, 2000)}`);
    return JSON.parse(child.stdout) as HostileResult; // what the child prints
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
