#!/usr/bin/env node
/**
 * Runs the built package under every supported major version of Node.
 *
 *   npm run test:matrix [-- 22 24]
 *
 * The binaries come from the registry package `node` and are kept in .cache/, outside of the lock file. The test runner
 * stays on the Node it was started with; the programs under test are started with CKPT_TEST_NODE (test/fixtures/node.ts).
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const VERSIONS = ['20', '22', '24', '26'];
/** What starts programs of its own, and what reads images that are kept. */
const SUITES = ['test/e2e', 'test/compat'];

/**
 * @param {string} command
 * @param {string[]} args
 * @param {NodeJS.ProcessEnv} [env]
 */
function run(command, args, env = {}) {
  const shell = process.platform === 'win32' && command === 'npm';
  return spawnSync(command, args, { cwd: root, shell, stdio: 'inherit', env: { ...process.env, ...env } }).status === 0;
}

/** @param {string} major @returns {string | undefined} the path of that Node; undefined when it cannot be had */
function provide(major) {
  if (process.versions.node.startsWith(`${major}.`)) return process.execPath;
  const folder = join(root, '.cache', `node-${major}`);
  const path = join(folder, 'node_modules', 'node', 'bin', process.platform === 'win32' ? 'node.exe' : 'node');
  if (versionOf(path)?.startsWith(`v${major}.`)) return path;
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  // A package of its own, so that npm neither looks at nor changes the workspace around it.
  writeFileSync(join(folder, 'package.json'), '{ "private": true }\n');
  run('npm', ['install', '--prefix', folder, `node@${major}`, '--no-audit', '--no-fund', '--loglevel=error']);
  return versionOf(path)?.startsWith(`v${major}.`) ? path : undefined;
}

/** @param {string} path */
function versionOf(path) {
  if (!existsSync(path)) return undefined;
  const { status, stdout } = spawnSync(path, ['--version'], { encoding: 'utf8' });
  return status === 0 ? stdout.trim() : undefined;
}

/**
 * @param {string} major
 * @returns {{ version: string, passed: number, failed: number, skipped: number }}
 */
function test(major) {
  const node = provide(major);
  const nothing = {
    version: node === undefined ? `${major} (not to be had)` : (versionOf(node) ?? major),
    passed: 0,
    failed: 1,
    skipped: 0,
  };
  if (node === undefined) return nothing;
  process.stdout.write(`\n=== Node ${nothing.version}\n`);
  const results = join(root, '.cache', `matrix-${major}.json`);
  rmSync(results, { force: true });
  const succeeded = run(process.execPath, ['node_modules/vitest/vitest.mjs', 'run', ...SUITES], {
    CKPT_TEST_NODE: node,
    CKPT_TEST_RESULTS: results,
  });
  if (!existsSync(results)) return nothing;
  const { passed, failed, skipped } = JSON.parse(readFileSync(results, 'utf8'));
  return { version: nothing.version, passed, failed: succeeded ? failed : Math.max(failed, 1), skipped: skipped.length };
}

const chosen = process.argv.slice(2);
const rows = (chosen.length > 0 ? chosen : VERSIONS).map(test);
process.stdout.write('\n');
for (const { version, passed, failed, skipped } of rows) {
  process.stdout.write(`${version.padEnd(12)} ${passed} passed, ${failed} failed${skipped === 0 ? '' : `, ${skipped} skipped`}\n`);
}
process.exitCode = rows.every(({ failed }) => failed === 0) ? 0 : 1;
