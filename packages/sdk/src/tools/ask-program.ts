/**
 * Asking a program for the plan of its start: it is started with CKPT_PLAN, and ends inside start() with its answer.
 *
 * Invariants
 * 1. What the program does before start() is its own and does happen; nothing of ckpt's does.
 * 2. A program that does not answer in time is ended, and only that process: the one started here. No answer is never a
 *    failure of the plan, which then tells what is recorded.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { within } from '../base/deadline.js';
import { messageOf } from '../base/errors.js';
import type { FileSystem, Ports } from '../base/ports.js';
import { PLAN_VARIABLE, type StartPlan } from '../restart/plan.js';
import type { StartCommand } from '../store/contract.js';
import { quietly } from '../store/failure.js';
import { openSource } from '../store/source.js';

/** What the program answered, or why it did not. */
export type ProgramAnswer = { readonly plan: StartPlan } | { readonly problem: string };

export interface Question {
  readonly command: StartCommand;
  readonly environment: Readonly<Record<string, string>>;
  readonly waitMs: number;
}

const MOST_TOLD = 2_000;

export async function askProgram(question: Question, ports: Ports): Promise<ProgramAnswer> {
  const { fileSystem } = ports;
  const folder = join(tmpdir(), `ckpt-plan-${randomBytes(8).toString('hex')}`);
  const file = join(folder, 'plan.json');
  await fileSystem.mkdir(folder, 0o700);
  try {
    const problem = await runToAnswer(question, file, ports);
    const answer = await readAnswer(fileSystem, file);
    return answer === undefined ? { problem: problem ?? 'it ended without calling start()' } : { plan: answer };
  } catch (error) {
    return { problem: messageOf(error) };
  } finally {
    await quietly(() => fileSystem.unlink(file));
    await quietly(() => fileSystem.rmdir(folder));
  }
}

/** @returns why there may be no answer */
async function runToAnswer({ command, environment, waitMs }: Question, file: string, { clock }: Ports): Promise<string | undefined> {
  const child = spawn(command.execPath, [...command.execArgv, ...command.argv], {
    cwd: command.cwd,
    env: { ...process.env, ...environment, [PLAN_VARIABLE]: file },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let told = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    told = (told + text).slice(-MOST_TOLD);
  });
  try {
    const late = (): Error => new Error(`it has not called start() within ${waitMs} ms`);
    const how = await within(clock, endOf(child), { ms: waitMs, onTimeout: late, keepAlive: true });
    return how === undefined ? undefined : `it ended with ${how}${told === '' ? '' : `: ${told.trim()}`}`;
  } catch (error) {
    return messageOf(error);
  } finally {
    child.kill('SIGKILL');
  }
}

/** @returns how it ended; undefined when well */
function endOf(child: ChildProcess): Promise<string | undefined> {
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => resolve(code === 0 ? undefined : `${signal ?? `code ${code}`}`));
  });
}

async function readAnswer(fs: FileSystem, path: string): Promise<StartPlan | undefined> {
  const source = await openSource(fs, path);
  if (source === undefined) return undefined;
  try {
    const bytes = new Uint8Array(source.size);
    await source.read(bytes, 0);
    // Written by this package in the program that was just started (app/plan-start.ts).
    return JSON.parse(new TextDecoder().decode(bytes)) as StartPlan;
  } finally {
    await source.close();
  }
}
