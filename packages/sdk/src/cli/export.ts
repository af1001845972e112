/** `ckpt export`: makes one self-contained file of an image. */
import type { Command } from 'commander';
import { type ExportedImage, exportImage } from '../images.js';
import { formatBytes, shortId, writeJson } from './output.js';
import { printable } from './printable.js';
import { type Session, UsageError } from './session.js';

interface ExportFlags {
  readonly output?: string;
  readonly withFiles?: true;
  readonly root?: readonly string[];
  readonly force?: true;
}

export function addExport(program: Command, session: Session): void {
  program
    .command('export')
    .summary('make one self-contained file of an image')
    .description(
      'Makes one file of an image that needs nothing else: not the store, not the images it builds upon. Every byte is ' +
        'checked on the way. With --with-files the contents of the tracked files go in too, as the image recorded them.\n\n' +
        'Example: ckpt export before-anneal -o one.ckpt',
    )
    .argument('[image]', 'a name, an id, at least six digits of an id, or latest')
    .option('-o, --output <file>', 'the file to make')
    .option('--with-files', 'put the contents of the tracked files in')
    .option('--root <dir>', 'with --with-files, a folder that files may lie in (may be repeated; default: the current one)', collect)
    .option('--force', 'replace the output if it is there')
    .action((image: string | undefined, flags: ExportFlags) => run(image, flags, session));
}

function collect(value: string, all: string[] = []): string[] {
  return [...all, value];
}

async function run(image: string | undefined, flags: ExportFlags, session: Session): Promise<void> {
  const { dir, json } = session.options();
  if (flags.output === undefined) throw new UsageError('export: expected the file to make: -o FILE');
  if (flags.root !== undefined && flags.withFiles !== true) throw new UsageError('--root: expected together with --with-files');
  const exported = await exportImage(dir, image, {
    output: flags.output,
    withFiles: flags.withFiles ?? false,
    replace: flags.force ?? false,
    signal: session.interrupt(),
    ...(flags.root === undefined ? {} : { roots: flags.root }),
  });
  if (json) writeJson(session.terminal, exported);
  else tell(exported, session);
}

function tell({ id, names, generation, output, size, files, leftOut }: ExportedImage, { terminal }: Session): void {
  terminal.out(`${printable(output)}\n`);
  const named = names.length === 0 ? '' : ` ${names.map((name) => printable(name)).join(', ')}`;
  const bytes = files.reduce((sum, file) => sum + file.size, 0);
  const contents = files.length === 0 ? '' : `, with ${files.length} file${files.length === 1 ? '' : 's'} (${formatBytes(bytes)})`;
  terminal.err(`exported ${shortId(id)}${named} (generation ${generation}), ${formatBytes(size)}${contents}\n`);
  for (const { path, why } of leftOut) terminal.err(`${terminal.errColors.yellow('left out')} ${printable(path)}: ${printable(why)}\n`);
}
