/**
 * The work of start(): what was selected is applied, the program is announced as ready, the result is told.
 *
 * Invariants
 * 1. Nothing is announced before everything is applied.
 */
import type { HelperThread } from '../checkpoint/background.js';
import { foreseeImage, foreseeState } from '../checkpoint/foresight.js';
import type { Handlers } from '../checkpoint/handlers.js';
import type { KeepAlive } from '../checkpoint/keep-alive.js';
import { imageInfo, type LineageTip } from '../checkpoint/tip.js';
import type { FileTable } from '../files/table.js';
import type { UntrackedFiles } from '../files/untracked.js';
import { applyRestart } from '../restart/apply.js';
import { FilesAtStart } from '../restart/put-files-back.js';
import type { CarriedSections } from '../state/carried.js';
import type { RunClock } from '../state/clock.js';
import type { ProviderRegistry } from '../state/registry.js';
import type { SignalTrigger } from '../triggers/signals.js';
import type { Events, StartResult } from './events.js';
import { locator, sourceOf } from './lineage-facts.js';
import type { Members } from './members.js';
import { MAIN, type Opened } from './opened.js';

/** What the start of tracked files needs. */
export type FileRooms = Pick<Beginning, 'files' | 'untracked' | 'tip'>;

interface Beginning {
  readonly events: Events;
  readonly registry: ProviderRegistry;
  readonly handlers: Handlers;
  readonly keepAlive: KeepAlive;
  readonly runClock: RunClock;
  readonly files: FileTable;
  readonly untracked: UntrackedFiles;
  readonly signals: SignalTrigger;
  readonly tip: LineageTip;
  readonly carried: CarriedSections | undefined;
  readonly members: Members;
  readonly background: Pick<HelperThread, 'warm'>;
}

export async function begin(opened: Opened, rooms: Beginning): Promise<StartResult> {
  const { events, registry, handlers, keepAlive, runClock, signals, members } = rooms;
  const { selection, incarnation, resolved, ports, blame, accelerator } = opened;
  const head = selection.kind === 'image' ? selection.contents.manifest : undefined;
  const budget = resolved.memoryBudget;
  const image = selection.kind === 'image' && head !== undefined ? imageInfo(head, selection.entry.path) : undefined;
  runClock.start(head?.image.clockMs ?? 0);
  members.plan(image?.finished === true);
  const { carried, dropped } = await applyRestart({
    clock: ports.clock,
    keepAlive,
    handlers,
    registry,
    incarnation,
    source: sourceOf(selection),
    image,
    timeoutMs: resolved.handlerTimeoutMs,
    blame,
    unclaimed: { mode: resolved.allowUnclaimed, carried: rooms.carried },
    files: image?.finished === true ? undefined : await prepareFiles(opened, rooms),
    members: {
      launch: image?.finished === true ? async () => members.stayFinished() : () => members.launch(),
      terminate: () => members.terminate(),
    },
  });
  if (dropped.length > 0) opened.warn(droppedText(dropped, image?.id ?? ''));
  // A tool may send any signal recorded here, so those that also mean an exit are left out.
  const asking = signals.names.filter((name) => resolved.signals[name] === 'checkpoint');
  await incarnation.ready({ signals: asking, requests: resolved.requests });
  const lifeSign = incarnation.previousSignOfLife;
  const result: StartResult = {
    restarted: image !== undefined,
    finished: image?.finished ?? false,
    image,
    incarnation: incarnation.epoch,
    carried,
    dropped,
    lostMs: image === undefined || image.finished || lifeSign === undefined ? 0 : Math.max(0, lifeSign - image.createdAt),
  };
  if (selection.kind === 'image' && image !== undefined && selection.passedOver.length > 0)
    events.emit('fallback', { chosen: image, passedOver: selection.passedOver });
  if (result.restarted) events.emit('restarted', result);
  if (!result.finished) {
    rooms.background.warm(head === undefined ? foreseeState(statesOf(registry), budget) : foreseeImage(head, MAIN, budget));
    events.emit('tracking', { state: accelerator.tracker === undefined ? 'off' : 'on', reason: accelerator.reason, bytes: undefined });
  }
  return result;
}

/** What `state()` holds; what `provide()` captures is the program's to compute. */
function statesOf(registry: ProviderRegistry): unknown[] {
  return registry
    .list()
    .filter(({ kind }) => kind === 'state')
    .map(({ capture }) => capture());
}

function droppedText(names: readonly string[], image: string): string {
  const list = names.map((name) => `'${name}'`).join(', ');
  return `allowUnclaimed: 'drop': left out ${list} of image ${image}, which no provider claims; later images hold nothing of it`;
}

export function prepareFiles(opened: Opened, { files, untracked, tip }: FileRooms): Promise<FilesAtStart> {
  const { ports, store, incarnation, selection, resolved, warn } = opened;
  return FilesAtStart.prepare({
    fileSystem: ports.fileSystem,
    store,
    incarnation,
    selection,
    table: files,
    untracked,
    roots: resolved.roots,
    keepTails: resolved.keepTails,
    locate: locator(opened),
    generation: () => tip.generation,
    log: warn,
  });
}
