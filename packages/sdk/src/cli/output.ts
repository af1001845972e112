/**
 * How `ckpt` writes: tables, sizes, ages, and the two streams.
 *
 * Invariants
 * 1. Data goes to `out`, progress and prose to `err`; `--json` changes only `out`, and errors.
 * 2. Every text that is not ours passes through printable.ts before it is written.
 */
import pc from 'picocolors';
import { printable, toJson } from './printable.js';

type Colors = ReturnType<typeof pc.createColors>;

/** Where a command writes. */
export interface Terminal {
  readonly out: (text: string) => void;
  /** Data that is no text, for `out`. */
  readonly bytes: (data: Uint8Array) => void;
  /** Whether `out` is a screen. */
  readonly screen: boolean;
  readonly err: (text: string) => void;
  readonly outColors: Colors;
  readonly errColors: Colors;
  /** Whether `err` is a screen, on which a line can be written over. */
  readonly interactive: boolean;
  /** Wall time, ms since 1970. */
  readonly now: () => number;
}

export function createTerminal(stdout: NodeJS.WriteStream, stderr: NodeJS.WriteStream, env: NodeJS.ProcessEnv): Terminal {
  const colored = (stream: NodeJS.WriteStream): boolean =>
    !env['NO_COLOR'] && env['TERM'] !== 'dumb' && (stream.isTTY || Boolean(env['FORCE_COLOR'] && env['FORCE_COLOR'] !== '0'));
  return {
    out: (text) => void stdout.write(text),
    bytes: (data) => void stdout.write(data),
    screen: stdout.isTTY,
    err: (text) => void stderr.write(text),
    outColors: pc.createColors(colored(stdout)),
    errColors: pc.createColors(colored(stderr)),
    interactive: stderr.isTTY && env['TERM'] !== 'dumb',
    now: () => Date.now(),
  };
}

export interface Column {
  readonly title: string;
  readonly align?: 'right';
}

/** One cell: its text, and how it is coloured once its width is settled. */
export interface Cell {
  readonly text: string;
  readonly color?: (text: string) => string;
}

export function table(columns: readonly Column[], rows: readonly (readonly Cell[])[], heading: (text: string) => string): string {
  const widths = columns.map(({ title }, index) => Math.max(title.length, ...rows.map((row) => width(row[index]?.text ?? ''))));
  const line = (cells: readonly Cell[]): string =>
    cells
      .map(({ text, color = plain }, index) =>
        pad(text, widths[index] ?? 0, columns[index]?.align === 'right', index === cells.length - 1, color),
      )
      .join('  ')
      .trimEnd();
  return [line(columns.map(({ title }) => ({ text: title, color: heading }))), ...rows.map(line)].map((text) => `${text}\n`).join('');
}

function plain(text: string): string {
  return text;
}

function width(text: string): number {
  return Array.from(text).length;
}

function pad(text: string, to: number, right: boolean, last: boolean, color: (text: string) => string): string {
  const space = ' '.repeat(Math.max(to - width(text), 0));
  if (right) return space + color(text);
  return last ? color(text) : color(text) + space;
}

/** `label  value` lines; values are printable already. */
export function facts(lines: readonly (readonly [label: string, value: string])[], heading: (text: string) => string): string {
  const longest = Math.max(...lines.map(([label]) => label.length));
  return lines.map(([label, value]) => `${heading(label)}${' '.repeat(longest - label.length)}  ${value}\n`).join('');
}

const UNITS = ['KiB', 'MiB', 'GiB', 'TiB', 'PiB'] as const;

/** `812 B`, `4.0 KiB`, `1.2 GiB`. */
export function formatBytes(bytes: number): string {
  if (!Number.isFinite(bytes)) return '?';
  if (bytes < 1024) return `${bytes} B`;
  let value = bytes / 1024;
  let unit = 0;
  while (value >= 1023.95 && unit < UNITS.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${value.toFixed(1)} ${UNITS[unit] ?? ''}`;
}

/** `now`, `40 s`, `12 min`, `3 h`, `5 d`; what lies ahead of the clock is told as such. */
export function formatAge(createdAt: number | undefined, now: number): string {
  if (createdAt === undefined || !Number.isFinite(createdAt)) return '?';
  const seconds = Math.round((now - createdAt) / 1000);
  if (seconds < -5) return 'ahead';
  if (seconds < 5) return 'now';
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 120 * 60) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 48 * 3600) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86_400)} d`;
}

/** ISO time, or `?` for a number that is no time. */
export function formatTime(ms: number | undefined): string {
  const date = new Date(ms ?? Number.NaN);
  return Number.isNaN(date.getTime()) ? '?' : date.toISOString();
}

/** The first digits of an id: enough to name an image on the command line. */
export function shortId(id: string): string {
  return printable(id.slice(0, 8));
}

/** Writes one JSON document. */
export function writeJson(terminal: Terminal, value: unknown): void {
  terminal.out(`${toJson(value)}\n`);
}
