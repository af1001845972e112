/**
 * Rules of the option `files`: which policy a file has that a library opened, by a pattern of its path.
 *
 * A pattern is a path in which `*` stands for any characters of one component, `**` for any number of components, `?` for
 * one character, `[ab]`, `[a-z]`, `[!a]` for one of a set, `{a,b}` for alternatives; a backslash takes the next character
 * as it is. Node's own path.matchesGlob is experimental on the older of the supported versions and warns at its first use.
 *
 * Invariants
 * 1. The first rule that matches decides; a path that none matches has no policy.
 * 2. A pattern matches whole absolute paths; one that is not absolute lies below the working directory, whose own name is
 *    never read as a pattern.
 */
import { dirname, isAbsolute, posix } from 'node:path';
import type { FilePolicy } from './contract.js';

/**
 * Those that hold without a handle of ours: nobody can keep a library from writing while the content is copied.
 */
export type RulePolicy = Extract<FilePolicy, 'append' | 'volatile' | 'ignore'>;

export interface FileRule {
  readonly pattern: string;
  readonly policy: RulePolicy;
}

/** The policy for an absolute path; undefined when no rule is for it. */
export type PolicyOf = (path: string) => RulePolicy | undefined;

/** @throws TypeError for a pattern that cannot be read */
export function compileRules(rules: readonly FileRule[], workingDirectory: string): PolicyOf {
  const compiled = rules.map(({ pattern, policy }) => ({ matches: compilePattern(pattern, workingDirectory), policy }));
  return (path) => compiled.find(({ matches }) => matches.test(path))?.policy;
}

/** Where to look for what a pattern matches: `depth` levels of folders, of which `folder` is the first; 0: it is a file itself. */
export function folderOf(pattern: string): { readonly folder: string; readonly depth: number } {
  const components = posix.normalize(pattern).split('/');
  const literals = components.findIndex((component) => /[*?[{\\]/u.test(component));
  if (literals < 0) return { folder: pattern, depth: 0 };
  const rest = components.slice(literals);
  const folder = components.slice(0, literals).join('/') || (isAbsolute(pattern) ? '/' : '.');
  return { folder, depth: rest.some((component) => /\*\*|[{}]/u.test(component)) ? Number.POSITIVE_INFINITY : rest.length };
}

function compilePattern(pattern: string, workingDirectory: string): RegExp {
  if (isAbsolute(pattern)) return new RegExp(`^${translate(posix.normalize(pattern), pattern)}$`, 'su');
  let base = workingDirectory;
  let rest = posix.normalize(pattern);
  for (; rest.startsWith('../'); rest = rest.slice(3)) base = dirname(base);
  const folder = base.endsWith('/') ? base : `${base}/`;
  return new RegExp(`^${literal(folder)}${translate(rest, pattern)}$`, 'su');
}

function translate(glob: string, pattern: string): string {
  let source = '';
  let depth = 0;
  for (let at = 0; at < glob.length; ) {
    const rest = glob.slice(at);
    const { text, taken, nesting = 0 } = translateNext(rest, at === 0 || glob[at - 1] === '/', depth);
    source += text;
    at += taken;
    depth += nesting;
    if (depth < 0) throw unreadable(pattern);
  }
  if (depth !== 0) throw unreadable(pattern);
  try {
    new RegExp(source, 'su');
  } catch {
    throw unreadable(pattern);
  }
  return source;
}

interface Translated {
  readonly text: string;
  readonly taken: number;
  readonly nesting?: number;
}

function translateNext(rest: string, componentBegins: boolean, depth: number): Translated {
  if (componentBegins && rest.startsWith('**/')) return { text: '(?:.*/)?', taken: 3 };
  if (componentBegins && rest === '**') return { text: '.*', taken: 2 };
  const set = /^\[(!?)((?:\\.|[^\]\\/])+)\]/su.exec(rest);
  if (set !== null) return { text: `(?!/)[${set[1] === '!' ? '^' : ''}${escapeSet(set[2] ?? '')}]`, taken: set[0].length };
  const first = String.fromCodePoint(rest.codePointAt(0) ?? 0);
  switch (first) {
    case '*':
      return { text: '[^/]*', taken: 1 };
    case '?':
      return { text: '[^/]', taken: 1 };
    case '{':
      return { text: '(?:', taken: 1, nesting: 1 };
    case '}':
      return { text: ')', taken: 1, nesting: -1 };
    case ',':
      return { text: depth > 0 ? '|' : ',', taken: 1 };
    case '\\': {
      const escaped = rest.length > 1 ? String.fromCodePoint(rest.codePointAt(1) ?? 0) : first;
      return { text: literal(escaped), taken: rest.length > 1 ? 1 + escaped.length : 1 };
    }
    default:
      return { text: literal(first), taken: first.length };
  }
}

/** A range such as `a-z` keeps its hyphen; everything else stands for itself. */
function escapeSet(set: string): string {
  return set.replaceAll(/\\(.)/gsu, '$1').replaceAll(/[\\\]^[]/gu, '\\$&');
}

function literal(text: string): string {
  return text.replaceAll(/[\\^$.*+?()[\]{}|/]/gu, '\\$&');
}

function unreadable(pattern: string): TypeError {
  return new TypeError(`openCheckpointer: files: cannot read the pattern '${pattern}': expected each { and [ to be closed in order`);
}
