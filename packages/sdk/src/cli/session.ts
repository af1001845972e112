/**
 * What every command is given: where to write, the global options, and where to leave its exit code.
 *
 * Invariant: a command never ends the process; it leaves an exit code or throws.
 */
import { isCheckpointError, messageOf } from '../base/errors.js';
import { EXIT, exitCodeOf } from './exit-codes.js';
import type { Terminal } from './output.js';
import { printable, printableLines, toJson } from './printable.js';

export interface GlobalOptions {
  /** The store directory as given; undefined leaves the default to the calls of images.ts. */
  readonly dir: string | undefined;
  readonly json: boolean;
}

export interface Session {
  readonly terminal: Terminal;
  /** Known only once the command line has been parsed. */
  readonly options: () => GlobalOptions;
  /** What followed `--` on the command line; undefined when there was none. */
  readonly trailing: readonly string[] | undefined;
  /** Aborted by the first Ctrl-C or SIGTERM from now on; a command that never asks is ended by them as usual. */
  readonly interrupt: () => AbortSignal;
  readonly exitWith: (code: number) => void;
}

/** A command line that is understood but makes no sense: exit 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** Tells an error; returns the exit code it stands for. */
export function tellError(terminal: Terminal, error: unknown, json: boolean, debug: boolean): number {
  const code = isCheckpointError(error) ? error.code : undefined;
  const message = messageOf(error);
  const missing = isCheckpointError(error) && error.missing !== undefined ? { missing: error.missing } : {};
  if (json) {
    terminal.err(`${toJson({ error: { ...(code === undefined ? {} : { code }), message, ...missing } })}\n`);
  } else {
    const suffix = code === undefined ? '' : ` ${terminal.errColors.dim(`[${code}]`)}`;
    terminal.err(`${terminal.errColors.red('ckpt:')} ${printableLines(message)}${suffix}\n`);
  }
  if (debug && error instanceof Error)
    terminal.err(
      `${(error.stack ?? '')
        .split('\n')
        .map((line) => printable(line))
        .join('\n')}\n`,
    );
  if (code !== undefined) return exitCodeOf(code);
  return error instanceof UsageError || error instanceof TypeError ? EXIT.usage : EXIT.failed;
}
