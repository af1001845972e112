/**
 * The plan of start(), for the program itself and for a tool that asks it (CKPT_PLAN).
 *
 * Invariants
 * 1. A program that is only asked claims nothing, writes nothing into the store, and ends where it would have begun: inside
 *    start(), or at the first registration that is refused, because there is no value to go on with.
 */
import { CheckpointError } from '../base/errors.js';
import type { Ports } from '../base/ports.js';
import { findAccelerator } from '../checkpoint/accelerator.js';
import { imageInfo } from '../checkpoint/tip.js';
import { ClassRegistry } from '../codec/classes.js';
import { isRefused, type StartPlan } from '../restart/plan.js';
import { selectImage } from '../restart/select.js';
import type { ProviderRegistry } from '../state/registry.js';
import type { Incarnation, RunRecord, Store } from '../store/contract.js';
import { type FileRooms, prepareFiles } from './begin.js';
import type { Members } from './members.js';
import type { Opened } from './opened.js';
import type { ResolvedOptions } from './options.js';
import { answer } from './program.js';

interface PlannedRooms extends FileRooms {
  readonly registry: ProviderRegistry;
  readonly members: Pick<Members, 'preview'>;
}

export async function planStart(opened: Opened, rooms: PlannedRooms): Promise<StartPlan> {
  const { selection } = opened;
  const finished = selection.kind === 'image' && selection.contents.manifest.image.finished;
  const files = finished ? [] : await (await prepareFiles(opened, rooms)).preview();
  return planOf(opened, rooms.registry, { members: rooms.members.preview(), files, complete: true });
}

function planOf(
  { selection, resolved }: Opened,
  registry: ProviderRegistry,
  { members, files, complete }: Pick<StartPlan, 'members' | 'files' | 'complete'>,
): StartPlan {
  const providers = registry.plan(resolved.allowUnclaimed, complete);
  const image = selection.kind === 'image' ? imageInfo(selection.contents.manifest, selection.entry.path) : undefined;
  const passedOver = selection.kind === 'image' ? selection.passedOver : [];
  return { image, passedOver, providers, members, files, refused: isRefused({ providers, members, files }), complete };
}

/** Invariant 1. */
export async function endWithPlan(to: string, opened: Opened, rooms: PlannedRooms): Promise<never> {
  return tell(to, await planStart(opened, rooms));
}

/** A registration was refused. */
export function endWithRefusal(to: string, opened: Opened, registry: ProviderRegistry): never {
  return tell(to, planOf(opened, registry, { members: [], files: [], complete: false }));
}

function tell(to: string, plan: StartPlan): never {
  answer(to, `${JSON.stringify(plan)}\n`);
  process.exit(0);
}

/** A store looked at without claiming it. @throws CheckpointError ERR_CKPT_NO_IMAGE, _WRONG_APP, and what selection throws */
export async function openForPlan(parts: {
  readonly resolved: ResolvedOptions;
  readonly ports: Ports;
  readonly store: Store;
  readonly startedAt: number;
  readonly warn: (message: string) => void;
}): Promise<Opened> {
  const { store, resolved } = parts;
  const run = await store.inspect();
  if (run.app.name !== resolved.app.name) {
    throw new CheckpointError(
      'ERR_CKPT_WRONG_APP',
      `plan: the store ${store.location} is of the program '${run.app.name}', this one is '${resolved.app.name}'; give it another directory`,
      { path: store.location, phase: 'open' },
    );
  }
  const blame = async (): Promise<void> => {};
  const classes = new ClassRegistry();
  const selection = await selectImage({ store, run, classes, blame }, resolved.restart);
  const epoch = ((await store.owner())?.record.epoch ?? 0) + 1;
  const highestGeneration = await store.highestGeneration();
  const accelerator = await findAccelerator(false);
  return { ...parts, incarnation: unclaimed(run, epoch), selection, classes, accelerator, highestGeneration, blame };
}

/** What stands for the incarnation that would be claimed. */
function unclaimed(run: RunRecord, epoch: number): Incarnation {
  const refuse = (): never => {
    throw new CheckpointError('ERR_CKPT_PHASE', 'the program is only asked for its plan: nothing is claimed and nothing is written');
  };
  const nothing = async (): Promise<void> => {};
  return {
    epoch,
    run,
    get record(): never {
      return refuse();
    },
    previousSignOfLife: undefined,
    publish: async () => refuse(),
    assertNewest: nothing,
    beat: nothing,
    release: nothing,
    seal: async () => refuse(),
    void: nothing,
    ready: nothing,
    child: async () => refuse(),
  };
}
