/** `ckpt verify`: checks every byte of images and names what is damaged. */
import type { Command } from 'commander';
import { type ErrorCode, isCheckpointError, type VerifiedImage, verifyImage } from '../images.js';
import { EXIT, exitCodeOfAll } from './exit-codes.js';
import { formatBytes, shortId, type Terminal, writeJson } from './output.js';
import { printable } from './printable.js';
import { progressOn } from './progress.js';
import { type Session, tellError } from './session.js';

export function addVerify(program: Command, session: Session): void {
  program
    .command('verify')
    .summary('check every byte of images')
    .description(
      'Checks every byte of the named images, or of all, and names the damaged sections. ' +
        'Exit 12: at least one is damaged. Exit 3: some were checked, some not found.\n\n' +
        'Example: ckpt verify before-anneal',
    )
    .argument('[image...]', 'names, ids, or at least six digits of an id')
    .action((images: string[]) => verify(images, session));
}

async function verify(images: readonly string[], session: Session): Promise<void> {
  const { terminal, options, exitWith, interrupt } = session;
  const { dir, json } = options();
  const signal = interrupt();
  const progress = progressOn(terminal);
  const verified: VerifiedImage[] = [];
  const refused: ErrorCode[] = [];
  for (const image of images.length === 0 ? [undefined] : new Set(images)) {
    try {
      verified.push(...(await verifyImage(dir, image, { onProgress: progress.show, signal })));
    } catch (error) {
      if (!isCheckpointError(error, 'ERR_CKPT_NOT_FOUND')) throw error;
      refused.push(error.code);
      progress.clear();
      tellError(terminal, error, json, false);
    } finally {
      progress.clear();
    }
  }
  if (json) writeJson(terminal, { images: verified });
  else for (const image of verified) terminal.out(report(image, terminal));
  if (verified.length === 0 && refused.length === 0) terminal.err('no images to verify\n');
  exitWith(verdict(verified, refused));
}

/** Damage outweighs a name that was not found; a store without images has not passed. */
function verdict(verified: readonly VerifiedImage[], refused: readonly ErrorCode[]): number {
  const damages = exitCodeOfAll(verified.flatMap(({ damages }) => damages.map(({ code }) => code)));
  if (damages !== EXIT.ok) return damages === EXIT.failed ? EXIT.corrupt : damages;
  if (verified.length === 0) return EXIT.noImage;
  return refused.length > 0 ? EXIT.partly : EXIT.ok;
}

function report({ id, names, generation, size, damages }: VerifiedImage, { outColors: color }: Terminal): string {
  const named = names.length === 0 ? '' : ` ${names.map((name) => printable(name)).join(', ')}`;
  const image = `${shortId(id)}${named} (generation ${generation}, ${formatBytes(size)})`;
  if (damages.length === 0) return `${color.green('ok')}       ${image}\n`;
  const lines = damages.map(
    ({ section, code, message }) => `         ${printable(section)}: ${printable(message)} ${color.dim(`[${code}]`)}\n`,
  );
  return `${color.red('DAMAGED')}  ${image}\n${lines.join('')}`;
}
