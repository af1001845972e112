/**
 * What can be known about the running program from outside its code: its package, its command, its process.
 *
 * Invariants
 * 1. Nothing here fails a checkpoint: what cannot be found out is left out.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { basename, dirname, join, parse, resolve } from 'node:path';
import type { Provenance } from '../image/contract.js';

/** Name and version of the nearest package.json of the main script; else the script's own name. */
export function nearestApp(): { name: string; version?: string } {
  const script = resolve(process.argv[1] ?? 'node');
  for (let folder = dirname(script); ; folder = dirname(folder)) {
    const found = readPackage(join(folder, 'package.json'));
    if (found !== undefined) return found;
    if (folder === parse(folder).root) return { name: basename(script) };
  }
}

function readPackage(path: string): { name: string; version?: string } | undefined {
  try {
    const content: unknown = JSON.parse(readFileSync(path, 'utf8'));
    if (typeof content !== 'object' || content === null || !('name' in content) || typeof content.name !== 'string') return undefined;
    return 'version' in content && typeof content.version === 'string'
      ? { name: content.name, version: content.version }
      : { name: content.name };
  } catch {
    return undefined;
  }
}

/** Tells whoever started the program and asked it something. @param to a file; '1' is standard output */
export function answer(to: string, text: string): void {
  writeFileSync(to === '1' ? 1 : to, text, { mode: 0o600 });
}

/** Facts that cannot change while the process lives. */
const FIXED: Omit<Provenance, 'openFiles' | 'startedAt' | 'cwd'> = {
  host: hostname(),
  pid: process.pid,
  ppid: process.ppid,
  ...processGroup(),
  execPath: process.execPath,
  execArgv: process.execArgv,
  argv: process.argv.slice(1),
};

/** In the pause. What is open is found out by the helper thread (files/audit.ts). */
export function describeProgram(startedAt: number): Provenance {
  return { ...FIXED, cwd: workingDirectory(), startedAt, openFiles: [] };
}

function workingDirectory(): string {
  try {
    return process.cwd();
  } catch {
    return ''; // it was deleted; the program may well go on
  }
}

/** Process group and session, where /proc tells them. */
function processGroup(): { pgrp?: number; sid?: number } {
  try {
    const stat = readFileSync('/proc/self/stat', 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return { pgrp: Number(fields[2]), sid: Number(fields[3]) };
  } catch {
    return {};
  }
}
