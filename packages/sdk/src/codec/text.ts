/// <reference lib="es2024.string" />
/** Which strings msgpack's str carries to every reader. */

const BYTE_ORDER_MARK = 0xfeff;

/** False for strings that UTF-8 cannot carry (lone surrogates) or that many decoders cut (a leading byte order mark). */
export function isCarried(text: string): boolean {
  return text.isWellFormed() && text.charCodeAt(0) !== BYTE_ORDER_MARK;
}
