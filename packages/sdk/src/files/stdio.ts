/**
 * stdout and stderr as tracked files (`stdio: 'track'`): recorded when they are regular files, put back like declared ones.
 *
 * They are opened by whoever starts the program. With `>` a restart finds them empty; with `>>` they hold all that was
 * written, and every write goes to the end of the file, so that cutting it is enough.
 *
 * Invariants
 * 1. The file that descriptor 1 or 2 is on now is trusted, wherever it lies; the recorded path is only told in messages.
 * 2. What was recorded is put back or the start is refused: a stream that is no regular file any more, or that does not
 *    write at the end of its file, is never passed over.
 * 3. Both on one file are one file, recorded as stdout.
 */
import { CheckpointError } from '../base/errors.js';
import type { CapturedFile, FileDeclaration, TrackedFileRecord } from './contract.js';
import { appends, type Descriptor, describeDescriptor, linkOf } from './descriptors.js';

type Stream = 'stdout' | 'stderr';

/** Names of such records begin with this; a program cannot declare one. */
export const STDIO_PREFIX = 'stdio:';

const NUMBERS: Readonly<Record<Stream, number>> = { stdout: 1, stderr: 2 };

interface OpenStream {
  readonly stream: Stream;
  readonly descriptor: Descriptor;
}

export function isStdioRecord({ name }: Pick<TrackedFileRecord, 'name'>): boolean {
  return name.startsWith(STDIO_PREFIX);
}

/** What a capture records of them; Node writes to files without delay, so the size is what the program has written. */
export function captureStdio(member: string): CapturedFile[] {
  return openStreams().map(({ stream, descriptor }) => ({
    declaration: declarationOf(stream, descriptor),
    member,
    position: descriptor.size,
    size: descriptor.size,
    identity: descriptor.identity,
    pending: [],
    created: true,
  }));
}

/** Streams that a restart could not put back as they are redirected now, with the reason. */
export function unfitStdio(): string[] {
  return openStreams()
    .filter(({ descriptor }) => !appends(descriptor))
    .map(({ stream, descriptor }) => `${stream} is redirected to ${descriptor.target} so that a restart empties it; ${remedy(stream)}`);
}

/**
 * The streams that can be put back, as declared files: those that the source image recorded, and in any case those that
 * write at the end of a regular file.
 * @throws CheckpointError ERR_CKPT_FILE (invariant 2)
 */
export function declareStdio(records: readonly TrackedFileRecord[]): FileDeclaration[] {
  const open = openStreams();
  for (const record of records.filter(isStdioRecord)) assertStillThere(record, open);
  return open.filter(({ descriptor }) => appends(descriptor)).map(({ stream, descriptor }) => declarationOf(stream, descriptor));
}

function assertStillThere({ name, path, size }: TrackedFileRecord, open: readonly OpenStream[]): void {
  const stream: Stream = name === `${STDIO_PREFIX}stderr` ? 'stderr' : 'stdout';
  const found = open.find((candidate) => candidate.stream === stream);
  if (found !== undefined && appends(found.descriptor)) return;
  const now = found === undefined ? `that it is ${nowOn(stream)}` : `${found.descriptor.target}, not opened for appending`;
  throw new CheckpointError(
    'ERR_CKPT_FILE',
    `cannot put back ${stream}: expected it to be redirected to the end of a file that begins with its ${size} bytes, recorded at ${path}, found ${now}; ${remedy(stream)}`,
    { path, phase: 'plan' },
  );
}

function remedy(stream: Stream): string {
  return `start the program with ${stream === 'stdout' ? '>>' : '2>>'} FILE, or with stdio: 'ignore'`;
}

function nowOn(stream: Stream): string {
  const link = linkOf(NUMBERS[stream]);
  return link === undefined ? 'closed' : `on ${link.target}`;
}

function openStreams(): OpenStream[] {
  const streams: OpenStream[] = [];
  for (const stream of ['stdout', 'stderr'] as const) {
    const link = linkOf(NUMBERS[stream]);
    const descriptor = link && describeDescriptor(link);
    // The target of a file without a name ends with ` (deleted)`: nothing could find it again.
    if (descriptor?.kind !== 'file' || descriptor.links === 0) continue;
    const same = streams.some(
      ({ descriptor: { identity } }) => identity.ino === descriptor.identity.ino && identity.dev === descriptor.identity.dev,
    );
    if (!same) streams.push({ stream, descriptor });
  }
  return streams;
}

function declarationOf(stream: Stream, { target, mode }: Descriptor): FileDeclaration {
  return { name: STDIO_PREFIX + stream, given: target, path: target, flags: 'a', mode, policy: 'append', verify: 'tail' };
}
