/** `ckpt create`: asks the running program for a checkpoint. */
import type { Command } from 'commander';
import { formatDuration, parseDuration } from '../base/duration.js';
import { assertImageName } from '../base/ids.js';
import { type CreatedCheckpoint, createCheckpoint } from '../images.js';
import { formatBytes, writeJson } from './output.js';
import { printable } from './printable.js';
import type { Session } from './session.js';

interface CreateFlags {
  readonly name?: string;
  readonly wait?: true;
  readonly exit?: true;
  readonly timeout?: string;
}

export function addCreate(program: Command, session: Session): void {
  program
    .command('create')
    .summary('ask the running program for a checkpoint')
    .description('Asks the program that runs on the store for a checkpoint.\n\n' + 'Example: ckpt create --name before-anneal --wait')
    .option('--name <name>', 'name the image')
    .option('--wait', 'return once the image is durable, and show it')
    .option('--exit', 'the program exits with code 85 after the commit')
    .option('--timeout <duration>', 'how long to wait, such as 90s or 5m (default: 60s with --wait, else 10s)')
    .action((flags: CreateFlags) => create(flags, session));
}

async function create(flags: CreateFlags, session: Session): Promise<void> {
  const { dir, json } = session.options();
  if (flags.name !== undefined) assertImageName(flags.name, '--name');
  const created = await createCheckpoint(dir, {
    wait: flags.wait ?? false,
    exit: flags.exit ?? false,
    signal: session.interrupt(),
    ...(flags.name === undefined ? {} : { name: flags.name }),
    ...(flags.timeout === undefined ? {} : { timeoutMs: parseDuration(flags.timeout, '--timeout') }),
  });
  if (json) writeJson(session.terminal, created);
  else tell(created, session);
}

function tell({ image, times, bytes, pid }: CreatedCheckpoint, { terminal }: Session): void {
  if (image === undefined) {
    terminal.err(`asked the program (pid ${pid}) for a checkpoint; ckpt list shows it once it is there\n`);
    return;
  }
  terminal.out(`${printable(image.id)}\n`);
  const names = image.names.length === 0 ? '' : ` ${image.names.map((name) => printable(name)).join(', ')}`;
  const size = bytes === undefined ? '' : `, ${formatBytes(bytes.stored)}`;
  const time = times === undefined ? '' : `, frozen for ${formatDuration(times.freezeMs)}, durable after ${formatDuration(times.totalMs)}`;
  terminal.err(`image${names} (generation ${image.generation}) is durable${size}${time}\n`);
}
