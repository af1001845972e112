/**
 * Text from a store, made safe for a terminal.
 *
 * Invariants
 * 1. Nothing that is printed can move the cursor, change colours, hide, reorder or clear: control characters, bidirectional
 *    overrides, invisible characters and lone surrogates appear as visible escapes.
 * 2. JSON stays valid JSON of the same value; only its spelling changes.
 * 3. One value never fills the screen: prose is cut, and says so; JSON is never cut.
 */

// Cc: controls. Cf: format characters (bidirectional overrides, zero-width). Zl, Zp: line and paragraph separators. Cs: lone surrogates.
const UNSAFE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu;
const UNSAFE_IN_JSON = /[\u007f-\u009f\p{Cf}\p{Zl}\p{Zp}]/gu;
const NAMED: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' };
const LONGEST = 400;

function escapeOne(character: string): string {
  const code = character.codePointAt(0) ?? 0;
  return NAMED[character] ?? (code < 0x100 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u{${code.toString(16)}}`);
}

/** `text` for one line of a terminal. */
export function printable(text: string, longest: number = LONGEST): string {
  const cut = text.length > longest;
  const shown = (cut ? text.slice(0, longest) : text).replace(UNSAFE, escapeOne);
  return cut ? `${shown}… (${text.length - longest} characters more)` : shown;
}

/** As printable, but line breaks stay: for messages, which are ours but quote what is not. */
export function printableLines(text: string, longest: number = 4_000): string {
  return printable(text, longest).replaceAll('\\n', '\n');
}

/** An argument as a shell would want it, safe to look at. */
export function printableArgument(argument: string): string {
  const shown = printable(argument);
  return /^[\w@%+=:,./-]+$/.test(shown) ? shown : `'${shown.replaceAll("'", "'\\''")}'`;
}

export function toJson(value: unknown): string {
  return escapedJson(JSON.stringify(value, null, 2));
}

/** JSON with everything escaped that could move what a terminal shows. */
export function escapedJson(json: string): string {
  return json.replace(UNSAFE_IN_JSON, escapeJson);
}

function escapeJson(character: string): string {
  return Array.from({ length: character.length }, (_, index) => `\\u${character.charCodeAt(index).toString(16).padStart(4, '0')}`).join('');
}
