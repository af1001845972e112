#!/usr/bin/env node
/**
 * The rules that no other tool knows. Prints each breach with its place; exit code 1 when there is one.
 *
 *   1. The lock file holds no download addresses: they belong to whoever installs.
 *   2. No marks of unfinished work in what is committed.
 *   3. Text speaks of the project only: no folder of one machine, no address of a private host.
 *   4. An entry of bin/ is a script that a shell can start.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const own = basename(fileURLToPath(import.meta.url));

/** @type {string[]} */
const breaches = [];

/** @type {readonly { pattern: RegExp, why: string }[]} */
const LINES = [
  { pattern: /\b(?:TODO|FIXME|XXX|HACK)\b/, why: 'a mark of unfinished work' },
  { pattern: /(?:^|[\s'"`(=])\/(?:work|home|root|Users)\/\w/, why: 'a folder of one machine' },
  { pattern: /https?:\/\/(?:localhost|127\.|10\.|192\.168\.|[\w.-]+\.(?:internal|local|corp)\b)/, why: 'an address of a private host' },
  {
    pattern: /\b(?:DESIGN|FAILURES|FACTS|STYLE|DECISIONS)\.md\b|\bDESIGN (?:section )?\d/,
    why: 'a document that is not in the repository',
  },
  { pattern: /\b[Ii]ssue (?:#?\d|on )|\bthis (?:session|issue)\b/, why: 'a plan, which a reader does not have' },
  { pattern: /\bas any\b|@ts-(?:ignore|nocheck)/, why: 'a hole in the type check' },
];

/** What is committed or about to be, without what git ignores. */
function files() {
  const listed = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], { cwd: root, encoding: 'utf8' });
  return listed.split('\0').filter((path) => path !== '' && existsSync(join(root, path)));
}

/** @param {string} path */
function isText(path) {
  return /\.(?:[cm]?[jt]s|jsonc?|md|sh|py)$|^\.ci\/|^\.npmrc$/.test(path) && basename(path) !== own && path !== 'package-lock.json';
}

for (const path of files().filter(isText)) {
  for (const [at, line] of readFileSync(join(root, path), 'utf8').split('\n').entries()) {
    for (const { pattern, why } of LINES) {
      if (pattern.test(line)) breaches.push(`${path}:${at + 1}: ${why}: ${line.trim().slice(0, 120)}`);
    }
  }
}

/** @type {{ packages: Record<string, { resolved?: string }> }} */
const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8'));
for (const [path, { resolved }] of Object.entries(lock.packages)) {
  if (resolved !== undefined && /^(?:https?|git)/.test(resolved)) breaches.push(`package-lock.json: ${path} has a download address`);
}

const packageFolder = join(root, 'packages', 'sdk');
/** @type {{ bin: Record<string, string> }} */
const { bin } = JSON.parse(readFileSync(join(packageFolder, 'package.json'), 'utf8'));
for (const [command, target] of Object.entries(bin)) {
  const path = join(packageFolder, target);
  if (!existsSync(path)) breaches.push(`packages/sdk: the command ${command} is not built: ${target}`);
  else if (!readFileSync(path, 'utf8').startsWith('#!/usr/bin/env node\n')) breaches.push(`packages/sdk: ${target} does not begin with #!`);
  else if (process.platform !== 'win32' && (statSync(path).mode & 0o111) === 0) breaches.push(`packages/sdk: ${target} is not executable`);
}

for (const breach of breaches) process.stdout.write(`${breach}\n`);
process.exitCode = breaches.length === 0 ? 0 : 1;
