/** `ckpt remove`: removes images by name or id. */
import type { Command } from 'commander';
import { type CheckpointError, type ErrorCode, isCheckpointError, type RemovedImage, removeImage } from '../images.js';
import { EXIT, exitCodeOfAll } from './exit-codes.js';
import { formatBytes, shortId, writeJson } from './output.js';
import { printable } from './printable.js';
import { type Session, tellError } from './session.js';

export function addRemove(program: Command, session: Session): void {
  program
    .command('remove')
    .summary('remove images by name or id')
    .description(
      'Removes images with their names. What is still needed (the source of the running program, the last ' +
        'image of the lineage, a base of another image) is refused. Exit 3: some were removed, some not.\n\n' +
        'Example: ckpt remove before-anneal 3f2a91bc',
    )
    .argument('<image...>', 'names, ids, or at least six digits of an id')
    .action((images: string[]) => remove(images, session));
}

async function remove(images: readonly string[], session: Session): Promise<void> {
  const { terminal, options, exitWith } = session;
  const { dir, json } = options();
  const removed: RemovedImage[] = [];
  const failures: CheckpointError[] = [];
  for (const image of new Set(images)) {
    try {
      removed.push(await removeImage(dir, image));
    } catch (error) {
      if (!isCheckpointError(error)) throw error;
      failures.push(error);
      tellError(terminal, error, json, false);
    }
  }
  if (json) writeJson(terminal, { removed });
  else for (const image of removed) terminal.out(`${line(image)}\n`);
  const codes: ErrorCode[] = failures.map(({ code }) => code);
  if (codes.length > 0) exitWith(removed.length > 0 ? EXIT.partly : exitCodeOfAll(codes));
}

function line({ id, generation, names, size }: RemovedImage): string {
  const named = names.length === 0 ? '' : ` ${names.map((name) => printable(name)).join(', ')}`;
  return `removed ${shortId(id)}${named} (generation ${generation}, ${formatBytes(size)})`;
}
