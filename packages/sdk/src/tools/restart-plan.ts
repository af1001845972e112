/**
 * What a restart would do, told without starting anything.
 *
 * Invariants
 * 1. The image is chosen by the same code as in the program, verified whole; those passed over on the way are listed.
 * 2. Nothing is changed: no blame is recorded, no epoch claimed, no file touched.
 */
import { CheckpointError } from '../base/errors.js';
import { NO_CLASSES } from '../codec/classes.js';
import type { FilePlan } from '../files/contract.js';
import type { Root } from '../files/mapped-paths.js';
import { type ChosenImage, type PassedOver, type RestartChoice, selectImage } from '../restart/select.js';
import type { StartCommand } from '../store/contract.js';
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
  /** What would be done to each tracked file; those below the working directory as if the program declares them again. */
  readonly files: readonly FilePlan[];
}

interface PlannedStart extends Pick<RestartPlan, 'command' | 'environment'> {
  readonly roots: readonly Root[];
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

export async function planRestart(
  opened: OpenedStore,
  image: string | undefined,
  { command, environment, roots }: PlannedStart,
): Promise<RestartPlan> {
  const { entry, contents, passedOver } = await choose(opened, image);
  const view = await viewLineage(opened.store);
  const { store, ports } = opened;
  return {
    store: opened.root,
    image: detailsOf(entry, view, contents.manifest, contents.manifestHash),
    passedOver,
    command,
    environment,
    files: await planFilesOf({ contents, store, fileSystem: ports.fileSystem, cwd: command.cwd, roots }),
  };
}

async function choose({ store, run, root }: OpenedStore, image: string | undefined): Promise<ChosenImage> {
  const selection = await selectImage({ store, run, classes: NO_CLASSES, blame: async () => {} }, choiceOf(image));
  if (selection.kind === 'image') return selection;
  throw new CheckpointError('ERR_CKPT_NO_IMAGE', `restart: the store ${root} holds no image to start from: start the program itself`, {
    phase: 'select',
  });
}
