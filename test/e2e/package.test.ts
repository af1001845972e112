/**
 * The built package as programs get it: imported, required and started on the Node under test.
 */
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { nodePath } from '../fixtures/node.js';

const run = promisify(execFile);
// Node finds @ckpt/sdk from here as it would from any program beside node_modules.
const cwd = fileURLToPath(new URL('../..', import.meta.url));

async function printed(...args: string[]): Promise<string> {
  return (await run(nodePath, args, { cwd })).stdout.trim();
}

describe('the built package', () => {
  it.each(['@ckpt/sdk', '@ckpt/sdk/images', '@ckpt/sdk/testing', '@ckpt/sdk/register'])(
    '%s can be imported and required, and gives the same module',
    async (name) => {
      const program = `const required = require('${name}'); import('${name}').then((m) => console.log(JSON.stringify(
      [Object.keys(m).sort(), Object.keys(required).filter((k) => !['__esModule', 'module.exports'].includes(k)).sort()])));`;
      const [imported, required] = JSON.parse(await printed('-e', program));
      expect(required).toEqual(imported);
    },
  );

  it('the main entry has openCheckpointer', async () => {
    const program = `import('@ckpt/sdk').then((m) => console.log(typeof m.openCheckpointer));`;
    expect(await printed('-e', program)).toBe('function');
  });

  it('a member loads only what it needs: there may be hundreds of them', () => {
    const dist = new URL('../../packages/sdk/dist/', import.meta.url);
    const met = new Set<string>();
    const packages = new Set<string>();
    const follow = (file: string): void => {
      if (met.has(file)) return;
      met.add(file);
      for (const [, from = ''] of readFileSync(new URL(file, dist), 'utf8').matchAll(
        /^(?:import|\} from|export .* from)\s*(?:.*from )?"([^"]+)";$/gm,
      )) {
        if (from.startsWith('./')) follow(from.slice(2));
        else if (!isBuiltin(from)) packages.add(from);
      }
    };
    follow('member.js');
    expect(met.size).toBeGreaterThan(3);
    expect([...packages].sort()).toEqual(['@napi-rs/blake-hash', 'msgpackr', 'pure-rand/generator/xoroshiro128plus']);
  });

  it('the command ckpt can be started and explains itself', async () => {
    expect(await printed(fileURLToPath(new URL('../../packages/sdk/dist/cli.js', import.meta.url)), '--help')).toContain('restart');
  });
});
