/**
 * Where in the user's program a call of ours was made: for messages that name the culprit.
 *
 * Invariants
 * 1. Frames of this package are never reported as the place.
 * 2. Taking a place is cheap; the stack becomes text only when somebody reads it.
 */

const HERE = new URL('.', import.meta.url).href.replace(/^file:\/\//, '');
/** In the sources this file lies in a folder of its own; in the built package all chunks share one. */
const PACKAGE = HERE.endsWith('/base/') ? HERE.slice(0, -'base/'.length) : HERE;
const FRAMES = 12;

/** Reads as `file:line:column`. */
export interface Place {
  toString(): string;
}

/** The nearest caller outside this package, or `(unknown place)`. */
export function callPlace(): Place {
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = FRAMES;
  const trace = new Error('place');
  Error.stackTraceLimit = limit;
  return { toString: () => readPlace(trace) };
}

function readPlace(trace: Error): string {
  for (const line of (trace.stack ?? '').split('\n').slice(1)) {
    const frame = line.trim().replace(/^at (?:async )?/, '');
    const place = (/\((.*)\)$/.exec(frame)?.[1] ?? frame).replace(/^file:\/\//, '');
    if (place.startsWith(PACKAGE) || place.startsWith('node:') || place === 'native' || place === '<anonymous>') continue;
    return place;
  }
  return '(unknown place)';
}
