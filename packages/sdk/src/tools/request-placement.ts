/**
 * The caller's side of request files: placing one, reading its answer, taking it back.
 *
 * Invariants
 * 1. A request appears complete (written elsewhere, then linked) and never overwrites another.
 * 2. An answer is untrusted input: a regular file of bounded size; it is removed after reading.
 * 3. A request that nobody waits for any more is taken back, when it is still ours.
 */
import { join } from 'node:path';
import type { FileSystem } from '../base/ports.js';
import { processTemporary, resolveRoot } from '../store/context.js';
import { createDurable, linkOnce } from '../store/durable.js';
import { quietly, translated } from '../store/failure.js';
import { currentOwner } from '../store/owner.js';
import { RECORD_LIMIT } from '../store/records.js';
import { readRecord } from '../store/source.js';
import type { OpenedStore } from './open-store.js';

export interface PlacedRequest {
  readonly path: string;
  /** Content, by which it is known again. */
  readonly content: string;
  /** Where the answer comes; undefined when none was asked for. */
  readonly answer: string | undefined;
}

export interface RequestToPlace {
  readonly exit: boolean;
  readonly name: string | undefined;
  readonly nonce: string | undefined;
}

/** Tries once; undefined when another request is pending at that place. */
export async function placeRequest({ root, ports }: OpenedStore, request: RequestToPlace): Promise<PlacedRequest | undefined> {
  const { fileSystem } = ports;
  const { exit, name, nonce } = request;
  const paths = await translated({ operation: 'use', path: root, phase: 'request' }, () => resolveRoot(fileSystem, root));
  const path = join(paths.requests, exit ? 'checkpoint-and-exit' : 'checkpoint');
  const content = JSON.stringify({ ...(name === undefined ? {} : { name }), ...(nonce === undefined ? {} : { nonce }) });
  const draft = processTemporary({ paths, owner: currentOwner(ports) });
  await createDurable(fileSystem, draft, (sink) => sink.write(Buffer.from(content)));
  try {
    if (!(await linkOnce(fileSystem, draft, path))) return undefined;
  } finally {
    await quietly(() => fileSystem.unlink(draft));
  }
  return { path, content, answer: nonce === undefined ? undefined : join(paths.requests, `${nonce}.result`) };
}

/** The answer's text once it is there; it stays until `dropAnswer`. */
export async function readAnswer(fileSystem: FileSystem, { answer }: PlacedRequest): Promise<string | undefined> {
  return answer === undefined ? undefined : readText(fileSystem, answer);
}

/** Takes the request back when the program has not removed it yet (invariant 3), and any answer. */
export async function withdrawRequest(fileSystem: FileSystem, placed: PlacedRequest): Promise<void> {
  await quietly(async () => {
    if ((await readText(fileSystem, placed.path)) === placed.content) await fileSystem.unlink(placed.path);
  });
  await dropAnswer(fileSystem, placed);
}

export async function dropAnswer(fileSystem: FileSystem, { answer }: PlacedRequest): Promise<void> {
  if (answer !== undefined) await quietly(() => fileSystem.unlink(answer));
}

async function readText(fileSystem: FileSystem, path: string): Promise<string | undefined> {
  const bytes = await readRecord(fileSystem, path, RECORD_LIMIT);
  return bytes === undefined ? undefined : Buffer.from(bytes).toString('utf8');
}
