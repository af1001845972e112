/**
 * How a program of a store is started again, and whether the record of it may be trusted.
 *
 * Invariants
 * 1. A recorded command is run only from the store it was recorded in: a copied store, which may come from anyone,
 *    wants the command from the caller.
 * 2. Recorded paths change only by the caller's roots (files/mapped-paths.ts).
 */
import { CheckpointError } from '../base/errors.js';
import type { FileSystem } from '../base/ports.js';
import { mapPath, type Root } from '../files/mapped-paths.js';
import { isCopied } from '../store/context.js';
import type { EpochRecord, StartCommand } from '../store/contract.js';
import type { OpenedStore } from './open-store.js';

export async function startCommand(
  opened: OpenedStore,
  given: readonly string[] | undefined,
  roots: readonly Root[],
): Promise<StartCommand> {
  if (given !== undefined) {
    const [execPath = '', ...argv] = given;
    return { cwd: process.cwd(), execPath, execArgv: [], argv };
  }
  const { fileSystem } = opened.ports;
  const owner = await opened.store.owner();
  if (owner === undefined) {
    throw new CheckpointError(
      'ERR_CKPT_NO_IMAGE',
      `restart: no program has ever been started on the store ${opened.root}: start it itself`,
      {
        phase: 'plan',
      },
    );
  }
  await assertOriginal(opened, owner.record);
  const command = mapCommand(owner.record.command, roots);
  await assertFolder(fileSystem, command.cwd);
  return command;
}

/** argv without the executable, which Node puts first. */
function mapCommand({ cwd, execPath, execArgv, argv }: StartCommand, roots: readonly Root[]): StartCommand {
  const map = (path: string): string => mapPath(path, roots);
  const args = argv[0] === execPath ? argv.slice(1) : argv;
  return { cwd: map(cwd), execPath: map(execPath), execArgv: execArgv.map(map), argv: args.map(map) };
}

async function assertOriginal({ root, ports }: OpenedStore, { directory, command, imported }: EpochRecord): Promise<void> {
  if (imported !== undefined)
    throw wantsCommand(`the store ${root} holds an imported image, and no program has been started on it yet`, root);
  const stat = await ports.fileSystem.lstat(await ports.fileSystem.realpath(root));
  if (!isCopied(directory, stat)) return;
  const line = [command.execPath, ...command.argv].join(' ');
  throw wantsCommand(`the store ${root} is a copy, so the command recorded in it (${line}) is not run by itself`, root);
}

export function wantsCommand(why: string, path: string): CheckpointError {
  return new CheckpointError(
    'ERR_CKPT_STORE_UNSAFE',
    `restart: ${why}: give the command (ckpt restart [IMAGE] -- COMMAND…, or the option \`command\`)`,
    { phase: 'plan', path },
  );
}

async function assertFolder(fileSystem: FileSystem, path: string): Promise<void> {
  const found = await fileSystem.realpath(path).then(
    (real) => fileSystem.lstat(real),
    () => undefined,
  );
  if (found?.isDirectory() === true) return;
  throw new CheckpointError(
    'ERR_CKPT_IO',
    `restart: the recorded working directory ${path} is ${found === undefined ? 'not there' : 'no directory'}: map it (--root FROM=TO), or give the command`,
    { phase: 'plan', path },
  );
}
