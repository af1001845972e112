/**
 * Declarations of tracked files: what a program may ask for, checked once.
 *
 * Invariants
 * 1. A bad option is a TypeError at the call; no default stands anywhere else.
 * 2. `append` is only for handles that write at the end; `r+` changes bytes in place and so wants their content kept.
 */
import { resolve } from 'node:path';
import type { FileDeclaration, FileFlags, FileOptions, FilePolicy } from './contract.js';
import { LIBRARY_PREFIX } from './library-files.js';
import { STDIO_PREFIX } from './stdio.js';

const DEFAULT_POLICY: Readonly<Record<FileFlags, FilePolicy>> = {
  r: 'unchanged',
  'r+': 'contents',
  a: 'append',
  w: 'append',
  wx: 'append',
};
const ALLOWED: Readonly<Record<FileFlags, readonly FilePolicy[]>> = {
  r: ['unchanged', 'contents', 'contents-if-missing', 'volatile', 'ignore'],
  'r+': ['contents', 'ignore'],
  a: ['append', 'contents', 'contents-if-missing', 'volatile', 'ignore'],
  w: ['append', 'contents', 'contents-if-missing', 'volatile', 'ignore'],
  wx: ['append', 'contents', 'contents-if-missing', 'volatile', 'ignore'],
};
const KNOWN_OPTIONS: ReadonlySet<string> = new Set(['flags', 'mode', 'policy', 'verify', 'root']);
const RESERVED: readonly string[] = [LIBRARY_PREFIX, STDIO_PREFIX];
const DEFAULT_MODE = 0o666;

/**
 * @param late whether it is declared after start()
 * @throws TypeError naming the option, what was expected and what was found
 */
export function declareFile(name: unknown, given: unknown, options: FileOptions, late = false): FileDeclaration {
  if (typeof name !== 'string' || name.length < 1 || name.length > 256 || !name.isWellFormed()) {
    throw new TypeError(`file(name, path): expected a name of 1 to 256 characters, got ${shown(name)}`);
  }
  if (RESERVED.some((prefix) => name.startsWith(prefix)))
    throw new TypeError(
      `file('${name}', path): names that begin with ${RESERVED.join(' or ')} stand for files that nobody declared; take another`,
    );
  if (typeof given !== 'string' || given === '' || given.includes('\0')) {
    throw new TypeError(`file('${name}', path): expected the path of a file, got ${shown(given)}`);
  }
  const unknown = Object.keys(options).find((key) => !KNOWN_OPTIONS.has(key));
  if (unknown !== undefined)
    throw new TypeError(`file('${name}'): unknown option ${unknown}; expected one of ${[...KNOWN_OPTIONS].join(', ')}`);
  const { flags = 'a', mode = DEFAULT_MODE, verify = 'tail', root } = options;
  if (!Object.hasOwn(ALLOWED, flags))
    throw new TypeError(`file('${name}'): flags: expected one of ${Object.keys(ALLOWED).join(', ')}, got ${shown(flags)}`);
  const policy = options.policy ?? DEFAULT_POLICY[flags];
  if (!ALLOWED[flags].includes(policy)) {
    throw new TypeError(
      `file('${name}'): policy: with flags '${flags}' expected one of ${ALLOWED[flags].join(', ')}, got ${shown(policy)}`,
    );
  }
  if (verify !== 'tail' && verify !== 'whole')
    throw new TypeError(`file('${name}'): verify: expected 'tail' or 'whole', got ${shown(verify)}`);
  if (!Number.isInteger(mode) || mode < 0 || mode > 0o7777)
    throw new TypeError(`file('${name}'): mode: expected permissions such as 0o644, got ${shown(mode)}`);
  if (root !== undefined && (typeof root !== 'string' || root === ''))
    throw new TypeError(`file('${name}'): root: expected a folder, got ${shown(root)}`);
  return Object.freeze({ name, given, path: resolve(root ?? '.', given), flags, mode, policy, verify, late });
}

export function writes(flags: FileFlags): boolean {
  return flags !== 'r';
}

export function reads(flags: FileFlags): boolean {
  return flags === 'r' || flags === 'r+';
}

function shown(value: unknown): string {
  return JSON.stringify(value) ?? String(value);
}
