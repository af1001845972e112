/** What ports.mjs writes to CKPT_FAULT_TRACE, as something that a fault can be aimed at. */

/** One operation of a traced life; the same life again does it again. */
export interface TracedOperation {
  readonly thread: string;
  readonly op: string;
  /** What a fault has to have, beside `thread` and `op`, to be meant for this operation alone. */
  readonly aim: { readonly path?: string; readonly end?: string; readonly nth: number };
  /** Folder of the store that the operation is in, with its slashes; '/' for what lies beside them. */
  readonly folder: string;
  /** Path within the store, for people. */
  readonly path: string;
}

export function tracedOperations(lines: readonly string[]): TracedOperation[] {
  const counts = new Map<string, number>();
  const count = (key: string): number => {
    const next = (counts.get(key) ?? 0) + 1;
    counts.set(key, next);
    return next;
  };
  return lines.map((line) => {
    const [thread = '', op = '', full = ''] = line.split(' ');
    const [store = '', path = '', folder = '/'] = /\/store((\/[a-z]+\/)?.*)$/.exec(full) ?? [];
    const overall = count(`${thread} ${op}`);
    const inFolder = count(`${thread} ${op} in ${folder}`);
    const there = count(`${thread} ${op} at ${store}`);
    const what = { thread, op, folder, path };
    // Above the store; and what is linked lies in tmp/, so that a link is in that folder, too, wherever it leads.
    if (store === '' || (op === 'link' && folder === '/tmp/')) return { ...what, aim: { nth: overall } };
    if (folder === '/') return { ...what, aim: { end: store, nth: there } };
    return { ...what, aim: { path: folder, nth: inFolder } };
  });
}
