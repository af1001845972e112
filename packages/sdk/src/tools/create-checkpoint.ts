/**
 * Asking a running program for a checkpoint from outside.
 *
 * Invariants
 * 1. Request files come first; a signal is sent only to a program that takes no request files and has recorded that
 *    signal, and only after its identity was checked (live-program.ts).
 * 2. With `wait`, success means that the image is durable. Without it, success means only that the request stands.
 * 3. A call that fails leaves no request behind that the program has not seen yet.
 */
import type { CheckpointError } from '../base/errors.js';
import { newId } from '../base/ids.js';
import type { CheckpointResult } from '../checkpoint/request.js';
import { understandAnswer } from './answer.js';
import { type CreatedCheckpoint, noAnswer, type Order, waiting } from './checkpoint-order.js';
import { findProgram, waitFor } from './live-program.js';
import { openStore } from './open-store.js';
import { dropAnswer, type PlacedRequest, placeRequest, readAnswer, withdrawRequest } from './request-placement.js';
import { askBySignal } from './signal-request.js';
import { parseCreateOptions } from './tool-options.js';

export interface CreateOptions {
  /** Names the image. */
  readonly name?: string;
  /** Resolve once the image is durable; otherwise as soon as the request stands. Default false. */
  readonly wait?: boolean;
  /** The program exits with code 85 after the commit. Default false. */
  readonly exit?: boolean;
  /** Limit for all of it, ms. Default 60,000 with `wait`, else 10,000. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

/**
 * Asks the program that runs on a store for a checkpoint.
 * @param dir the store; undefined: CKPT_DIR, else ./ckpt
 * @throws TypeError for a bad option; CheckpointError ERR_CKPT_NO_IMAGE (no store there), _NOT_RUNNING (no live, ready
 *   program, or it ended meanwhile), _NO_ANSWER (not in time), _ABORTED, _REQUEST, _NO_SPACE, _IO, and with `wait`
 *   whatever failed in the program
 */
export async function createCheckpoint(dir?: string, options: CreateOptions = {}): Promise<CreatedCheckpoint> {
  const { name, wait, exit, signal, timeoutMs } = parseCreateOptions(options, 'createCheckpoint');
  const opened = await openStore(dir, 'createCheckpoint');
  const program = await findProgram(opened);
  const order: Order = { opened, program, name, wait, exit, signal, timeoutMs, deadline: opened.ports.clock.monotonic() + timeoutMs };
  return program.ready.requests ? askByFile(order) : askBySignal(order);
}

async function askByFile(order: Order): Promise<CreatedCheckpoint> {
  const { opened, program, name, wait, exit } = order;
  const nonce = wait ? newId() : undefined;
  const pending = (): CheckpointError => noAnswer(order, 'a request placed before is still pending, so none was added');
  const placed = await waitFor(waiting(order, pending), () => placeRequest(opened, { exit, name, nonce }));
  const result = wait ? await answerTo(order, placed) : undefined;
  return { via: 'request-file', pid: program.record.owner.pid, image: result?.image, times: result?.times, bytes: result?.bytes };
}

async function answerTo(order: Order, placed: PlacedRequest): Promise<CheckpointResult> {
  const { fileSystem } = order.opened.ports;
  const late = (): CheckpointError => noAnswer(order, 'the request was taken back, yet an image may still come if it had been seen');
  const look = async (): Promise<CheckpointResult | undefined> => {
    const text = await readAnswer(fileSystem, placed);
    return text === undefined ? undefined : understandAnswer(text, placed.path);
  };
  try {
    const result = await waitFor(waiting(order, late), look);
    await dropAnswer(fileSystem, placed);
    return result;
  } catch (error) {
    await withdrawRequest(fileSystem, placed);
    throw error;
  }
}
