/**
 * What a restart would do, told without starting anything.
 *
 * Invariants
 * 1. The image is chosen by the same code as in the program, verified whole; those passed over on the way are listed.
 * 2. Nothing is changed: no blame is recorded, no epoch claimed, no file touched.
 */
import { CheckpointError } from '../base/errors.js';
import { NO_CLASSES } from '../codec/classes.js';
import { CONTENT_KIND } from '../files/content-sections.js';
import type { FilePlan } from '../files/contract.js';
import type { Root } from '../files/mapped-paths.js';
import type { MemberRecord, SectionRecord } from '../image/contract.js';
import { PROGRAM } from '../members/protocol.js';
import type { MemberPlan } from '../restart/plan.js';
import { factsOf } from '../restart/recorded-members.js';
import { type ChosenImage, type PassedOver, type RestartChoice, selectImage } from '../restart/select.js';
import { CARRIED_KIND } from '../state/carried.js';
import { SET_KINDS } from '../state/provider.js';
import { type ProviderPlan, recordedPlan } from '../state/provider-plan.js';
import type { StartCommand } from '../store/contract.js';
import { askProgram, type ProgramAnswer } from './ask-program.js';
import { planFilesOf } from './file-plans.js';
import { detailsOf, type ImageDetails } from './image-details.js';
import { type OpenedStore, viewLineage } from './open-store.js';

export interface RestartPlan {
  /** Absolute path of the store. */
  readonly store: string;
  /** The image a restart would take, verified. */
  readonly image: ImageDetails;
  /** Newer images of the lineage that it would not take, and why. */
  readonly passedOver: readonly PassedOver[];
  /** How the program would be started; argv is without the executable. */
  readonly command: StartCommand;
  /** What would be added to its environment. */
  readonly environment: Readonly<Record<string, string>>;
  /** As the program answered (`ask`), else what the image has, each as `recorded`. */
  readonly providers: readonly ProviderPlan[];
  /** The same of members. */
  readonly members: readonly MemberPlan[];
  /** Whether the program was asked for its plan, and answered. */
  readonly asked: 'no' | 'answered' | 'no answer';
  /** Why there is no answer, or why it is only a part of one. */
  readonly askedProblem?: string;
  /** What would be done to each tracked file; unless the program answered, those below the working directory as if it declares them again. */
  readonly files: readonly FilePlan[];
}

interface PlannedStart extends Pick<RestartPlan, 'command' | 'environment'> {
  readonly roots: readonly Root[];
  /** How long to wait for the program's answer; undefined: it is not asked. */
  readonly askMs: number | undefined;
}

function choiceOf(image: string | undefined): RestartChoice {
  return image === undefined ? { mode: 'must' } : { mode: 'named', image };
}

/**
 * Fails early where a restart cannot succeed: a named image that is not there, a lineage without images.
 * @throws CheckpointError ERR_CKPT_NOT_FOUND, ERR_CKPT_NO_IMAGE, ERR_CKPT_IMAGE_MISSING
 */
export async function assertRestartable(opened: OpenedStore, image: string | undefined): Promise<void> {
  if (image !== undefined) await opened.store.resolve(image);
  else if ((await opened.store.lineage()).candidates.length === 0) await choose(opened, image);
}

/**
 * Reads and verifies what a restart would take.
 * @throws CheckpointError ERR_CKPT_ALL_DAMAGED; for a named image what is wrong with it
 */
export async function assertUsable(opened: OpenedStore, image: string | undefined): Promise<void> {
  await choose(opened, image);
}

export async function planRestart(
  opened: OpenedStore,
  image: string | undefined,
  { command, environment, roots, askMs }: PlannedStart,
): Promise<RestartPlan> {
  const { entry, contents, passedOver } = await choose(opened, image);
  const view = await viewLineage(opened.store);
  const { store, ports } = opened;
  const planned = {
    providers: contents.manifest.sections.filter(isState).map(recordedPlan),
    members: contents.manifest.members.flatMap(recordedMember),
    files: await planFilesOf({ contents, store, fileSystem: ports.fileSystem, cwd: command.cwd, roots }),
  };
  // The very image: the program may still run, and commit another meanwhile.
  const ask = (waitMs: number): Promise<ProgramAnswer> =>
    askProgram({ command, environment: { ...environment, CKPT_RESTART: entry.id }, waitMs }, ports);
  return {
    store: opened.root,
    image: detailsOf(entry, view, contents.manifest, contents.manifestHash),
    passedOver,
    command,
    environment,
    ...(askMs === undefined ? { ...planned, asked: 'no' } : asked(planned, await ask(askMs))),
  };
}

type Planned = Pick<RestartPlan, 'providers' | 'members' | 'files'>;

function asked(recorded: Planned, answer: ProgramAnswer): Planned & Pick<RestartPlan, 'asked' | 'askedProblem'> {
  if ('problem' in answer) return { ...recorded, asked: 'no answer', askedProblem: answer.problem };
  const { providers, members, files, complete } = answer.plan;
  if (complete) return { providers, members, files, asked: 'answered' };
  const askedProblem = 'a registration was refused, so the program tells nothing of what comes after it';
  return { ...recorded, providers, asked: 'answered', askedProblem };
}

/** What a provider of the program wrote and can claim. */
function isState({ kind, member }: SectionRecord): boolean {
  return member === PROGRAM && kind !== CONTENT_KIND && kind !== CARRIED_KIND && !SET_KINDS.has(kind);
}

function recordedMember(record: MemberRecord): MemberPlan[] {
  return factsOf(record).map(({ name, kind, finished, entry, opaque, parent }) => ({
    name,
    kind,
    outcome: 'recorded',
    finished,
    ...(entry === undefined ? {} : { entry }),
    ...(opaque === undefined ? {} : { opaque }),
    ...(parent === undefined ? {} : { parent }),
  }));
}

async function choose({ store, run, root }: OpenedStore, image: string | undefined): Promise<ChosenImage> {
  const selection = await selectImage({ store, run, classes: NO_CLASSES, blame: async () => {} }, choiceOf(image));
  if (selection.kind === 'image') return selection;
  throw new CheckpointError('ERR_CKPT_NO_IMAGE', `restart: the store ${root} holds no image to start from: start the program itself`, {
    phase: 'select',
  });
}
