#!/usr/bin/env node
/**
 * Everything that can be said about the code without running it. Every part runs, also after another has failed;
 * the output of those that failed is printed, then a table. Exit code 1 when any failed.
 *
 * The counts go to .cache/check-results.json.
 *
 *   npm run check [-- NAME …]     only the parts of these names (and the build, where they need it)
 */
import { spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));

const MOST_LINES = 200;

/**
 * @typedef {object} Part
 * @property {string} name
 * @property {string} says what is known when it has passed
 * @property {string[]} command a script of node_modules or of ours with its arguments, or npm
 * @property {true} [built] it looks at dist/
 */

/** @param {string} project folder with a tsconfig.json @param {string} name */
function tsc(project, name) {
  return ['node_modules/typescript/bin/tsc', '-p', project, '--incremental', '--tsBuildInfoFile', `.cache/tsc/${name}.tsbuildinfo`];
}

/** What is published, as its users get it. @param {string} name of the folder @param {string} suffix of the parts @returns {Part[]} */
function published(name, suffix) {
  const folder = `packages/${name}`;
  const attw = 'node_modules/@arethetypeswrong/cli/dist/index.js';
  return [
    {
      name: `attw${suffix}`,
      says: `every way to import ${folder} finds its types`,
      command: [attw, '--pack', folder, '--profile', 'esm-only', '--no-emoji'],
      built: true,
    },
    {
      name: `publint${suffix}`,
      says: `the published files of ${folder} fit its package.json`,
      command: ['node_modules/publint/src/cli.js', folder, '--strict'],
      built: true,
    },
  ];
}

/** @type {Part} */
const build = { name: 'build', says: 'the package can be built', command: ['scripts/prepare.mjs'] };

/** Long ones first, so that they do not run alone at the end. @type {Part[]} */
const PARTS = [
  { name: 'types-sdk', says: 'the sources are type-correct', command: tsc('packages/sdk', 'sdk') },
  {
    name: 'types-accelerator',
    says: 'the sources of the accelerator are type-correct',
    command: tsc('packages/accelerator', 'accelerator'),
  },
  {
    name: 'imports',
    says: 'folders import upward only, without cycles',
    command: ['node_modules/dependency-cruiser/bin/dependency-cruise.mjs', 'packages/sdk/src', '--config', '.dependency-cruiser.mjs'],
  },
  { name: 'unused', says: 'no export, file or dependency is unused', command: ['node_modules/knip/bin/knip.js', '--no-config-hints'] },
  {
    name: 'lint',
    says: 'format, lint, length of files and functions',
    command: ['node_modules/@biomejs/biome/bin/biome', 'check', '--error-on-warnings', '--max-diagnostics=60', '.'],
  },
  { name: 'lock', says: 'the lock file installs everywhere', command: ['npm', 'ci', '--dry-run', '--ignore-scripts', '--loglevel=error'] },
  { name: 'types-tests', says: 'tests and type tests are type-correct', command: tsc('test', 'test'), built: true },
  { name: 'types-examples', says: 'the examples are type-correct', command: tsc('packages/examples', 'examples'), built: true },
  { name: 'types-scripts', says: 'the scripts are type-correct', command: tsc('scripts', 'scripts'), built: true },
  ...published('sdk', ''),
  ...published('accelerator', '-accelerator'),
  { name: 'house-rules', says: 'rules of this repository', command: ['scripts/house-rules.mjs'], built: true },
];

/** Enough to act on: when the build fails, everything after it has a thousand complaints. @param {string} output */
function firstLines(output) {
  const lines = output.split('\n');
  return lines.length <= MOST_LINES ? output : [...lines.slice(0, MOST_LINES), `… and ${lines.length - MOST_LINES} more lines`].join('\n');
}

/** @param {Part} part @returns {Promise<{ part: Part, passed: boolean, ms: number }>} */
function run(part) {
  const began = performance.now();
  const [first = '', ...rest] = part.command;
  const npm = first === 'npm';
  const child = spawn(npm ? 'npm' : process.execPath, npm ? rest : [first, ...rest], {
    cwd: root,
    shell: npm && process.platform === 'win32',
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, FORCE_COLOR: '0', NO_COLOR: '1' },
  });
  let output = '';
  child.stdout?.on('data', (data) => {
    output += data;
  });
  child.stderr?.on('data', (data) => {
    output += data;
  });
  return new Promise((resolve) => {
    child.on('error', (error) => {
      output += error.message;
    });
    child.on('close', (code) => {
      if (code !== 0) process.stdout.write(`\n--- ${part.name} failed (${part.command.join(' ')})\n${firstLines(output)}\n`);
      resolve({ part, passed: code === 0, ms: performance.now() - began });
    });
  });
}

/** At most as many at once as there are processors. @param {Part[]} parts */
async function runAll(parts) {
  const waiting = [...parts];
  /** @type {Awaited<ReturnType<typeof run>>[]} */
  const done = [];
  const lane = async () => {
    for (let part = waiting.shift(); part !== undefined; part = waiting.shift()) done.push(await run(part));
  };
  await Promise.all(Array.from({ length: Math.min(4, availableParallelism()) }, lane));
  return done.sort((a, b) => parts.indexOf(a.part) - parts.indexOf(b.part));
}

const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => name !== build.name && !PARTS.some((part) => part.name === name));
if (unknown.length > 0) {
  process.stderr.write(
    `check: no part is called ${unknown.join(', ')}; there are: ${[build, ...PARTS].map((part) => part.name).join(', ')}\n`,
  );
  process.exit(1);
}
const chosen = PARTS.filter((part) => wanted.length === 0 || wanted.includes(part.name));
mkdirSync(join(root, '.cache', 'tsc'), { recursive: true });
const results = [];
if (wanted.length === 0 || wanted.includes(build.name) || chosen.some((part) => part.built)) results.push(await run(build));
results.push(...(await runAll(chosen)));

process.stdout.write('\n');
for (const { part, passed, ms } of results) {
  process.stdout.write(`${passed ? 'ok    ' : 'FAILED'}  ${part.name.padEnd(15)} ${(ms / 1000).toFixed(1).padStart(5)} s  ${part.says}\n`);
}
const failed = results.filter((result) => !result.passed).length;
process.stdout.write(`${results.length - failed} checks passed, ${failed} failed\n`);
writeFileSync(join(root, '.cache', 'check-results.json'), `${JSON.stringify({ passed: results.length - failed, failed })}\n`);
process.exitCode = failed === 0 ? 0 : 1;
