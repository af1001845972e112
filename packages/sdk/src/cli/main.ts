#!/usr/bin/env node
/**
 * The executable: joins the command line of program.ts to this process.
 *
 * Invariants
 * 1. A reader that goes away (`ckpt list | head`) ends the output, not the program with a stack.
 * 2. The first Ctrl-C or SIGTERM ends a wait in order, and what was asked for is taken back; the second ends the process.
 */
import { createTerminal } from './output.js';
import { runCli } from './program.js';

for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
  });
}

const interrupt = (): AbortSignal => {
  const abort = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => abort.abort(new Error(signal)));
  return abort.signal;
};

process.exitCode = await runCli(process.argv.slice(2), createTerminal(process.stdout, process.stderr, process.env), interrupt);
