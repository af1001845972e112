/**
 * What an opened incarnation knows about its place in the lineage: the source, its files, and the facts that go into
 * every image.
 *
 * Invariants
 * 1. Facts that change are asked anew for each image; the others are collected once.
 */
import packageFile from '../../package.json' with { type: 'json' };
import { LineageTip } from '../checkpoint/tip.js';
import type { TrackedFileRecord } from '../files/contract.js';
import { locate } from '../files/mapped-paths.js';
import { parseFileRecord } from '../files/record.js';
import type { ImageRef, MemberRecord } from '../image/contract.js';
import type { Selection } from '../restart/select.js';
import type { RunClock } from '../state/clock.js';
import { AutoPace, parseLearned } from '../triggers/auto-pace.js';
import { MAIN, type Opened } from './opened.js';
import { describeProgram } from './program.js';

export function makeTip(
  { resolved, incarnation, selection, highestGeneration, startedAt, ports }: Opened,
  runClock: RunClock,
  members: () => readonly MemberRecord[],
  pace: AutoPace | undefined,
): LineageTip {
  return new LineageTip({
    epoch: incarnation.epoch,
    keep: resolved.keep,
    highestGeneration,
    source: sourceOf(selection),
    run: { id: incarnation.run.id, app: resolved.app },
    producer: { sdk: packageFile.version, node: process.version, platform: process.platform, arch: process.arch },
    describe: () => ({
      createdAt: ports.clock.now(),
      clockMs: runClock.now(),
      provenance: describeProgram(startedAt),
      members: [{ name: MAIN, kind: 'program', ...(pace?.learned === undefined ? {} : { cost: pace.learned }) }, ...members()],
      files: [], // the helper thread secures the captured files and puts their records here
    }),
  });
}

/** The pace of `every: 'auto'`, with what the lives before have learned. */
export function makePace({ resolved, selection, ports }: Opened): AutoPace | undefined {
  if (resolved.auto === undefined) return undefined;
  const members = selection.kind === 'image' ? selection.contents.manifest.members : [];
  const learned = parseLearned(members.find(({ name }) => name === MAIN)?.['cost']);
  return new AutoPace(resolved.auto, ports.clock, learned);
}

export function sourceOf(selection: Selection): ImageRef | null {
  if (selection.kind === 'fresh') return null;
  const { id, epoch, generation } = selection.entry;
  return { id, epoch, generation };
}

/** Where a recorded file lies that the program has not declared. */
export function locator({
  selection,
  resolved: { mappedRoots: roots },
}: Opened): (record: Pick<TrackedFileRecord, 'path' | 'given'>) => string {
  const recorded = selection.kind === 'image' ? selection.contents.manifest.provenance.cwd : '';
  const now = process.cwd();
  return (record) => locate(record, { roots, recorded, now });
}

/** The tracked files of the program in the source image. @throws CheckpointError ERR_CKPT_IMAGE_CORRUPT */
export function recordedFiles(selection: Selection): readonly TrackedFileRecord[] {
  if (selection.kind === 'fresh') return [];
  const { files, image } = selection.contents.manifest;
  return files.filter((file) => file.member === MAIN).map((file) => parseFileRecord(file, image.id));
}
