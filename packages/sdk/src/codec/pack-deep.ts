/**
 * Packing of values nested deeper than msgpackr's recursion should go: the stack it runs on is the program's, and
 * nobody knows how much of it is left.
 *
 * Invariants
 * 1. msgpackr never goes deeper than SHALLOW levels; what is deeper is taken apart with an explicit list.
 */
import { packMsgpack } from './msgpack.js';

/** Levels of msgpack that are left to msgpackr. */
export const SHALLOW = 200;

/** @param deep the containers within `value` (itself included) that hold more than SHALLOW levels */
export function packDeep(value: unknown, deep: ReadonlySet<unknown>): Uint8Array {
  if (!deep.has(value)) return packMsgpack(value);
  const parts: Uint8Array[] = [];
  /** What is still to be written, the next one last. */
  const todo: unknown[] = [value];
  while (todo.length > 0) {
    const next = todo.pop();
    if (!deep.has(next) || typeof next !== 'object' || next === null) {
      parts.push(packMsgpack(next));
      continue;
    }
    const list = Array.isArray(next);
    const members: readonly unknown[] = list ? next : flat(next);
    parts.push(list ? header(0x90, 0xdc, members.length) : header(0x80, 0xde, members.length / 2));
    for (let i = members.length - 1; i >= 0; i--) todo.push(members[i]);
  }
  return joined(parts);
}

/** Keys and values of a map, in turn. */
function flat(map: object): unknown[] {
  const members: unknown[] = [];
  for (const [key, value] of map instanceof Map ? map : Object.entries(map)) members.push(key, value);
  return members;
}

function header(short: number, long: number, length: number): Uint8Array {
  if (length < 16) return Uint8Array.of(short | length);
  if (length < 0x1_0000) return Uint8Array.of(long, length >> 8, length & 0xff);
  return Uint8Array.of(long + 1, length >>> 24, (length >>> 16) & 0xff, (length >>> 8) & 0xff, length & 0xff);
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}
