/**
 * The command line of `ckpt`: global options, the commands, and the way from a thrown error to an exit code.
 *
 * Invariants
 * 1. `runCli` never throws and never ends the process: it resolves to the exit code.
 * 2. A command line that is not understood exits 2 and starts nothing.
 */
import { createRequire } from 'node:module';
import { Command, CommanderError } from 'commander';
import { addCreate } from './create.js';
import { addDiff } from './diff.js';
import { EXIT } from './exit-codes.js';
import { addExport } from './export.js';
import { addGet } from './get.js';
import { addImport } from './import.js';
import { addList } from './list.js';
import type { Terminal } from './output.js';
import { addRemove } from './remove.js';
import { addRestart } from './restart.js';
import { type GlobalOptions, type Session, tellError, UsageError } from './session.js';
import { addStat } from './stat.js';
import { addVerify } from './verify.js';

const EXIT_CODES = `
Exit codes: 0 ok, 1 failed (or: differs), 2 usage, 3 partly, 10 no image, 11 locked, 12 corrupt,
13 version or schema mismatch, 14 the program does not answer.`;

/** @param args the command line without executable and script */
export async function runCli(args: readonly string[], terminal: Terminal, interrupt: () => AbortSignal): Promise<number> {
  const separator = args.indexOf('--');
  const own = separator < 0 ? args : args.slice(0, separator);
  let exitCode: number = EXIT.ok;
  const program = new Command('ckpt');
  const session: Session = {
    terminal,
    options: () => globalOptions(program),
    trailing: separator < 0 ? undefined : args.slice(separator + 1),
    interrupt,
    exitWith: (code) => {
      exitCode = code;
    },
  };
  build(program, session);
  try {
    refuseTrailing(own, session);
    if (own.length === 0) throw new NoCommand();
    await program.parseAsync(own, { from: 'user' });
    return exitCode;
  } catch (error) {
    if (error instanceof NoCommand) {
      program.outputHelp({ error: true });
      return EXIT.usage;
    }
    // Commander's code 0 is --help and --version; commander.help is a help that was shown for want of such a command.
    if (error instanceof CommanderError && error.exitCode === 0) return EXIT.ok;
    if (error instanceof CommanderError && error.code === 'commander.help') return EXIT.usage;
    const told = error instanceof CommanderError ? new UsageError(error.message.replace(/^error: /, '')) : error;
    return tellError(terminal, told, own.includes('--json'), Boolean(process.env['CKPT_DEBUG']));
  }
}

class NoCommand extends Error {}

function build(program: Command, session: Session): void {
  const { terminal } = session;
  program
    .description('Lists, checks, makes and restarts from the images of a program.')
    .option('--dir <dir>', 'the store (default: $CKPT_DIR, else ./ckpt)')
    .option('--json', 'data as JSON on stdout, errors as JSON on stderr')
    .version(version(), '-V, --version', 'show the version')
    .helpCommand('help [command]', 'show the help of a command')
    .addHelpText('after', EXIT_CODES)
    .exitOverride()
    .configureHelp({ showGlobalOptions: true })
    .configureOutput({ writeOut: terminal.out, writeErr: terminal.err, outputError: () => {} });
  for (const add of [addCreate, addRestart, addList, addStat, addGet, addDiff, addVerify, addRemove, addExport, addImport])
    add(program, session);
  for (const command of program.commands) command.copyInheritedSettings(program);
}

function refuseTrailing(own: readonly string[], { trailing }: Session): void {
  if (trailing === undefined) return;
  if (!own.includes('restart')) throw new UsageError('only restart takes a command after --');
  if (trailing.length === 0) throw new UsageError('a command is expected after --');
}

function globalOptions(program: Command): GlobalOptions {
  const { dir, json } = program.opts<{ dir?: string; json?: true }>();
  if (dir === '') throw new UsageError('--dir: expected a directory, got nothing');
  return { dir, json: json ?? false };
}

function version(): string {
  const description: unknown = createRequire(import.meta.url)('@ckpt/sdk/package.json');
  return typeof description === 'object' && description !== null && 'version' in description ? String(description.version) : 'unknown';
}
