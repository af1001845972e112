#!/usr/bin/env node
/**
 * Makes a clone ready to run: installs the dependencies when that is needed, then builds. Runs before `npm test`,
 * `npm run demo` and their kin, on plain Node, with nothing installed.
 *
 *   node scripts/prepare.mjs [--install-only]
 *
 * Invariants
 * 1. The stamp is written only after an installation has succeeded, and is removed before one begins.
 * 2. An installation counts only for the lock file, Node ABI, platform and architecture it was made for, and only
 *    while every package it put in place is still there (npm's own record stays when packages are deleted).
 * 3. A build is left to turbo, which does nothing when nothing has changed.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const stampFile = join(root, 'node_modules', '.ckpt-installed.json');
const lockText = readFileSync(join(root, 'package-lock.json'), 'utf8');

/** What an installation is made for (invariant 2). */
const wanted = {
  lock: createHash('sha256').update(lockText).digest('hex'),
  abi: process.versions.modules,
  platform: `${process.platform}-${process.arch}`,
};

/** @returns {string | undefined} why an installation is needed; undefined when it is not */
function reasonToInstall() {
  if (!existsSync(join(root, 'node_modules'))) return 'nothing is installed yet';
  const stamp = readStamp();
  if (stamp === undefined) return 'no finished installation is on record';
  if (stamp.lock !== wanted.lock) return 'the lock file has changed';
  if (stamp.abi !== wanted.abi || stamp.platform !== wanted.platform) return 'Node or the platform has changed';
  const missing = stamp.packages.find((path) => !isThere(path));
  return missing === undefined ? undefined : `${missing} is missing`;
}

/** @returns {{ lock: string, abi: string, platform: string, packages: string[] } | undefined} */
function readStamp() {
  try {
    return JSON.parse(readFileSync(stampFile, 'utf8'));
  } catch {
    // Absent or half-written: both mean that no installation is known to have finished.
    return undefined;
  }
}

/** @param {string} path of a package, relative to the root */
function isThere(path) {
  return existsSync(join(root, path, 'package.json'));
}

/** @param {string} line */
function say(line) {
  process.stderr.write(`ckpt: ${line}\n`);
}

/**
 * @param {string} what for the message when it fails
 * @param {string} command
 * @param {string[]} args
 * @param {NodeJS.ProcessEnv} [env]
 */
function run(what, command, args, env = {}) {
  const shell = process.platform === 'win32' && command === 'npm';
  const result = spawnSync(command, args, { cwd: root, encoding: 'utf8', shell, env: { ...process.env, ...env }, maxBuffer: 1 << 28 });
  if (result.status === 0) return;
  process.stderr.write(`${result.stdout ?? ''}${result.stderr ?? ''}`);
  const end = result.error?.message ?? (result.signal ? `ended by ${result.signal}` : `exit code ${result.status}`);
  say(`${what} failed (${end}); its output is above`);
  process.exit(1);
}

/** npm as the npm that started us, else the one on the path. @param {string[]} args */
function npm(args) {
  const script = process.env['npm_execpath'];
  if (script !== undefined && /npm-cli\.[cm]?js$/.test(script)) run('npm ci', process.execPath, [script, ...args]);
  else run('npm ci', 'npm', args);
}

function install() {
  const reason = reasonToInstall();
  if (reason === undefined) return;
  const began = performance.now();
  say(`installing the dependencies, ${reason} (about 20 s) …`);
  rmSync(stampFile, { force: true });
  // No package here needs its install script; not running them is quicker and safer. NODE_ENV must not leave tools out.
  npm(['ci', '--include=dev', '--ignore-scripts', '--loglevel=error']);
  const packages = Object.keys(JSON.parse(lockText).packages).filter((path) => path.includes('node_modules/') && isThere(path));
  writeFileSync(stampFile, JSON.stringify({ ...wanted, packages }));
  say(`installed ${packages.length} packages in ${seconds(began)}`);
}

function build() {
  const began = performance.now();
  const turbo = join('node_modules', 'turbo', 'bin', 'turbo');
  run('the build', process.execPath, [turbo, 'run', 'build', '--output-logs=errors-only'], {
    TURBO_TELEMETRY_DISABLED: '1',
    TURBO_NO_UPDATE_NOTIFIER: '1',
  });
  say(`built in ${seconds(began)}`);
}

/** @param {number} began */
function seconds(began) {
  return `${((performance.now() - began) / 1000).toFixed(1)} s`;
}

install();
if (!process.argv.includes('--install-only')) build();
