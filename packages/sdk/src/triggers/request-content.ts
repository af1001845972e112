/**
 * What a request file says.
 *
 * Invariants
 * 1. The content is untrusted: bounded in size by the caller, and only `name` and `nonce` of it are ever used.
 * 2. What is complete beyond doubt is told from what a writer may still be at: only the latter has to be looked at twice.
 */
import { isImageName } from '../base/ids.js';

export type RequestKind = 'checkpoint' | 'checkpoint-and-exit';

export const REQUEST_KINDS: readonly RequestKind[] = ['checkpoint', 'checkpoint-and-exit'];

/** Larger request files are refused unread. */
export const LONGEST_REQUEST = 4096;

export interface RequestContent {
  readonly name?: string;
  readonly nonce?: string;
}

export type ParsedRequest =
  | { readonly ok: true; readonly content: RequestContent; readonly complete: boolean }
  | { readonly ok: false; readonly problem: string; readonly nonce?: string };

const NONCE = /^[A-Za-z0-9_-]{1,64}$/;
const NONCE_IN_BROKEN_JSON = /"nonce"\s*:\s*"([A-Za-z0-9_-]{1,64})"/;

export function isNonce(value: unknown): value is string {
  return typeof value === 'string' && NONCE.test(value);
}

/** Empty text, a name, or JSON `{ "name", "nonce" }`; other keys are ignored. */
export function parseRequest(text: string): ParsedRequest {
  const trimmed = text.trim();
  if (trimmed === '') return { ok: true, content: {}, complete: false };
  if (trimmed.startsWith('{')) return parseJson(trimmed);
  if (isImageName(trimmed)) return { ok: true, content: { name: trimmed }, complete: text.endsWith('\n') };
  return { ok: false, problem: `expected nothing, an image name or JSON {"name", "nonce"}, found ${excerpt(trimmed)}` };
}

function parseJson(text: string): ParsedRequest {
  let value: { readonly name?: unknown; readonly nonce?: unknown };
  try {
    // The text begins with '{', so what JSON.parse returns is an object.
    value = JSON.parse(text) as typeof value;
  } catch {
    const nonce = NONCE_IN_BROKEN_JSON.exec(text)?.[1];
    return { ok: false, problem: `expected JSON {"name", "nonce"}, found ${excerpt(text)}`, ...(nonce === undefined ? {} : { nonce }) };
  }
  const { name, nonce } = value;
  if (nonce !== undefined && !isNonce(nonce)) {
    return { ok: false, problem: `expected a nonce of 1 to 64 of A-Z a-z 0-9 _ -, found ${excerpt(JSON.stringify(nonce))}` };
  }
  if (name !== undefined && !(typeof name === 'string' && isImageName(name))) {
    const problem = `expected an image name, found ${excerpt(JSON.stringify(name))}`;
    return { ok: false, problem, ...(nonce === undefined ? {} : { nonce }) };
  }
  return { ok: true, complete: true, content: { ...(name === undefined ? {} : { name }), ...(nonce === undefined ? {} : { nonce }) } };
}

/** Safe to print: quoted, so that no control character reaches a terminal, and short. */
function excerpt(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text);
}
