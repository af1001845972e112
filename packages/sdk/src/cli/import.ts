/** `ckpt import`: takes an exported image into a store. */
import type { Command } from 'commander';
import { type ImportedImage, importImage } from '../images.js';
import { shortId, writeJson } from './output.js';
import { printable, printableArgument } from './printable.js';
import type { Session } from './session.js';

export function addImport(program: Command, session: Session): void {
  program
    .command('import')
    .summary('take an exported image into the store')
    .description(
      'Checks every byte of an exported image and takes it into the store, which is made if need be: an empty ' +
        'directory, or the store of the same run. The next start there continues from it.\n\n' +
        'Example: ckpt import one.ckpt --dir ./ckpt',
    )
    .argument('<file>', 'the exported image')
    .action((file: string) => run(file, session));
}

async function run(file: string, session: Session): Promise<void> {
  const { terminal } = session;
  const { dir, json } = session.options();
  const imported = await importImage(file, {
    signal: session.interrupt(),
    onWaiting: ({ pid, host }) => terminal.err(`waiting for the program that still runs (pid ${pid} on ${printable(host)})\n`),
    onWarning: (message) => terminal.err(`${terminal.errColors.yellow('warning')} ${printable(message)}\n`),
    ...(dir === undefined ? {} : { dir }),
  });
  if (json) writeJson(terminal, imported);
  else tell(imported, session);
}

function tell({ id, names, generation, store, app, already }: ImportedImage, { terminal }: Session): void {
  terminal.out(`${printable(id)}\n`);
  const named = names.length === 0 ? '' : ` ${names.map((name) => printable(name)).join(', ')}`;
  const what = `${shortId(id)}${named} (generation ${generation}) of ${printable(app)}`;
  terminal.err(already ? `${printable(store)} has ${what} already\n` : `imported ${what} into ${printable(store)}\n`);
  terminal.err(`start it from there with: ckpt restart --dir ${printableArgument(store)} ${shortId(id)} -- COMMAND…\n`);
}
