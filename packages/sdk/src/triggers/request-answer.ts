/**
 * The answer to a request file that brought a nonce: `requests/<nonce>.result`, one JSON object.
 *
 * Invariants
 * 1. An answer appears whole or not at all (written aside, then renamed), with mode 0600.
 * 2. Errors keep their code, phase, context and causes; stacks stay in the program.
 */
import { constants } from 'node:fs';
import { join } from 'node:path';
import { type ErrorRecord, packError } from '../base/error-transfer.js';
import { systemCode } from '../base/errors.js';
import { newId } from '../base/ids.js';
import type { Clock, FileSystem } from '../base/ports.js';
import type { CheckpointResult, RequestOutcome } from '../checkpoint/request.js';

type RequestAnswer = { readonly ok: true; readonly result: CheckpointResult } | { readonly ok: false; readonly error: ErrorRecord };

const ANSWER = /^[A-Za-z0-9_-]{1,64}\.result$/;
const ASIDE = /^\.(?:answer|taken)-[0-9a-f]{32}$/;
const ANSWER_KEPT_MS = 3_600_000;

/** The text of the answer file for an outcome. */
export function answerText(outcome: RequestOutcome): string {
  const answer: RequestAnswer = outcome.ok ? outcome : { ok: false, error: withoutStack(packError(outcome.error)) };
  return `${JSON.stringify(answer)}\n`;
}

function withoutStack({ stack: _, cause, errors, ...rest }: ErrorRecord): ErrorRecord {
  return { ...rest, ...(cause ? { cause: withoutStack(cause) } : {}), ...(errors ? { errors: errors.map(withoutStack) } : {}) };
}

/** The path of a file in `folder` that nobody else writes: `.answer-…` or `.taken-…`. */
export function asidePath(folder: string, use: 'answer' | 'taken'): string {
  return join(folder, `.${use}-${newId()}`);
}

export async function writeAnswer(fileSystem: FileSystem, folder: string, nonce: string, text: string): Promise<void> {
  const aside = asidePath(folder, 'answer');
  const bytes = Buffer.from(text);
  const file = await fileSystem.open(aside, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o600);
  try {
    for (let done = 0; done < bytes.length; ) done += await file.write(bytes, done, bytes.length - done, null);
  } catch (error) {
    await file.close();
    await fileSystem.unlink(aside);
    throw error;
  }
  await file.close();
  await fileSystem.rename(aside, join(folder, `${nonce}.result`));
}

/** Removes what an earlier incarnation left: files put aside, and answers that nobody has fetched for an hour. */
export async function removeOldAnswers(fileSystem: FileSystem, clock: Clock, folder: string): Promise<void> {
  for (const entry of await fileSystem.readdir(folder)) {
    if (!ANSWER.test(entry) && !ASIDE.test(entry)) continue;
    const path = join(folder, entry);
    try {
      const stat = await fileSystem.lstat(path);
      const old = ASIDE.test(entry) || clock.now() - stat.mtimeMs > ANSWER_KEPT_MS;
      if (old && !stat.isDirectory()) await fileSystem.unlink(path);
    } catch (error) {
      if (systemCode(error) !== 'ENOENT') throw error;
    }
  }
}
