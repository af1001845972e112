/**
 * The answer of a running program to a request, from the text of its result file.
 *
 * Invariants
 * 1. Text that is not complete JSON yet is no answer; complete JSON of another shape is ERR_CKPT_REQUEST.
 * 2. A failure keeps the program's own code and message, and who did not come to a safepoint.
 */
import { z } from 'zod';
import { CheckpointError, ERROR_CODES, type ErrorCode } from '../base/errors.js';
import type { CheckpointResult } from '../checkpoint/request.js';

const amount = z.number().nonnegative();
const count = z.int().nonnegative();

const resultSchema = z.object({
  image: z.object({
    id: z.string(),
    name: z.string().optional(),
    names: z.array(z.string()),
    generation: count,
    epoch: count,
    path: z.string(),
    createdAt: z.number(),
    parent: z.string().optional(),
    finished: z.boolean(),
  }),
  reason: z.enum(['call', 'signal', 'timer', 'request-file', 'finish']),
  times: z.object({ quiesceMs: amount, freezeMs: amount, captureMs: amount, persistMs: amount, totalMs: amount }),
  bytes: z.object({ state: amount, dirty: amount, uncopied: amount.default(0), stored: amount }),
});

/** Who did not come. Left out where the program, of another version, tells it otherwise. */
const missingSchema = z.object({ task: z.string(), registeredAt: z.string(), sinceMs: amount, lastSafepoint: z.string() });
const contextSchema = z.object({ member: z.string().optional(), missing: z.array(missingSchema).optional() });

const answerSchema = z.discriminatedUnion('ok', [
  z.object({ ok: z.literal(true), result: resultSchema }),
  z.object({
    ok: z.literal(false),
    error: z.object({ code: z.string().optional(), message: z.string(), checkpoint: contextSchema.optional().catch(undefined) }),
  }),
]);

/** @throws CheckpointError the program's own failure, or ERR_CKPT_REQUEST for an answer of another shape */
export function understandAnswer(text: string, path: string): CheckpointResult | undefined {
  const value = parseJson(text);
  if (value === undefined) return undefined;
  const parsed = answerSchema.safeParse(value);
  if (!parsed.success) {
    const where = parsed.error.issues[0]?.path.join('.') ?? '';
    throw new CheckpointError(
      'ERR_CKPT_REQUEST',
      `the answer in ${path} is not understood at "${where}": was it written by another version?`,
      {
        path,
        phase: 'request',
      },
    );
  }
  const answer = parsed.data;
  if (!answer.ok) throw programFailure(answer.error);
  const { image } = answer.result;
  return { ...answer.result, image: { ...image, name: image.name, parent: image.parent } };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function isErrorCode(code: string | undefined): code is ErrorCode {
  return code !== undefined && Object.hasOwn(ERROR_CODES, code);
}

function programFailure({ code, message, checkpoint }: Extract<z.infer<typeof answerSchema>, { ok: false }>['error']): CheckpointError {
  if (isErrorCode(code)) {
    const { member, missing } = checkpoint ?? {};
    const about = { ...(member === undefined ? {} : { member }), ...(missing === undefined ? {} : { missing }) };
    return new CheckpointError(code, `the program answered: ${message}`, { phase: 'request', ...about });
  }
  return new CheckpointError(
    'ERR_CKPT_REQUEST',
    `the program answered with a failure${code === undefined ? '' : ` (${code})`}: ${message}`,
    {
      phase: 'request',
    },
  );
}
