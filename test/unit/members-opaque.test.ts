/** An opaque child over its real process, from the side of the program. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect, it, onTestFinished, vi } from 'vitest';
import { launchOpaque } from '../../packages/sdk/src/members/opaque-carrier.js';

it('F64: an opaque process runs its program only once it is recorded, under the number that is recorded', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'ckpt-opaque-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const ran = join(folder, 'ran');
  const program = join(folder, 'child.mjs');
  writeFileSync(
    program,
    `import { writeFileSync } from 'node:fs';\nwriteFileSync(${JSON.stringify(ran)}, process.pid + ' ' + process.argv.slice(2));\n`,
  );
  let recorded = (): void => {};
  let pid = 0;
  let exited = false;
  launchOpaque(
    'child',
    { kind: 'process', url: pathToFileURL(program), args: ['a b', '$0'], options: { execArgv: [] } },
    {
      failed: (why) => expect.fail(why),
      exited: (why) => {
        expect(why).toBeUndefined();
        exited = true;
      },
      forked: (child) => {
        pid = child;
        return new Promise((resolve) => {
          recorded = () => resolve(async () => {});
        });
      },
    },
  );
  await new Promise((resolve) => setTimeout(resolve, 500)); // long enough for a program that does not wait
  expect(existsSync(ran)).toBe(false);
  recorded();
  await vi.waitFor(() => expect(exited).toBe(true), { timeout: 20_000, interval: 20 });
  expect(readFileSync(ran, 'utf8')).toBe(`${pid} a b,$0`);
});
