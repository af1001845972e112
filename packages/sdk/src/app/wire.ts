/**
 * Wires the rooms of one incarnation together. No logic of its own: who is told of what.
 *
 * Invariants
 * 1. Requests that arrive while things are being wired wait in the conductor until start().
 */
import { isCheckpointError } from '../base/errors.js';
import { callPlace } from '../base/place.js';
import { Staging } from '../base/staging.js';
import { Background, type BackgroundEvents, type HelperThread } from '../checkpoint/background.js';
import { captureMember } from '../checkpoint/capture.js';
import { Conductor, type ConductorParts } from '../checkpoint/conductor.js';
import { DroppedWarnings } from '../checkpoint/dropped-warnings.js';
import { Handlers } from '../checkpoint/handlers.js';
import { idleThread } from '../checkpoint/idle-thread.js';
import { KeepAlive } from '../checkpoint/keep-alive.js';
import type { CheckpointRequest } from '../checkpoint/request.js';
import { Shadows } from '../checkpoint/shadow.js';
import { type FoundRequest, SHARED } from '../checkpoint/thread-protocol.js';
import type { LineageTip } from '../checkpoint/tip.js';
import { ToldChanges } from '../checkpoint/told-changes.js';
import { Uncopied } from '../checkpoint/uncopied.js';
import { CONTENT_KIND } from '../files/content-sections.js';
import type { TrackedFileRecord } from '../files/contract.js';
import { FileTable } from '../files/table.js';
import { declarable, UntrackedFiles } from '../files/untracked.js';
import { WritePermit } from '../files/write-permit.js';
import type { StartPlan } from '../restart/plan.js';
import { CarriedSections } from '../state/carried.js';
import { RunClock } from '../state/clock.js';
import { ProviderRegistry } from '../state/registry.js';
import type { AutoPace } from '../triggers/auto-pace.js';
import { Pacing } from '../triggers/pacing.js';
import { answerText } from '../triggers/request-answer.js';
import { listenToSignals } from '../triggers/signals.js';
import { begin } from './begin.js';
import { discarding } from './discarding.js';
import { Events } from './events.js';
import { Life } from './life.js';
import { locator, makePace, makeTip, recordedFiles } from './lineage-facts.js';
import type { Members } from './members.js';
import { MAIN, type Opened } from './opened.js';
import { endWithPlan, endWithRefusal, planStart } from './plan-start.js';
import { makeMembers } from './wire-members.js';

/** The rooms of one incarnation, before they know each other. */
interface Rooms {
  readonly events: Events;
  readonly keepAlive: KeepAlive;
  readonly handlers: Handlers;
  readonly registry: ProviderRegistry;
  readonly runClock: RunClock;
  readonly files: FileTable;
  readonly untracked: UntrackedFiles;
  readonly background: HelperThread;
  readonly shadows: Shadows;
  readonly uncopied: Uncopied;
  readonly told: ToldChanges;
  readonly tip: LineageTip;
  readonly carried: CarriedSections | undefined;
  readonly members: Members;
  readonly pace: AutoPace | undefined;
}

/** A life, and the plan of its start. */
export interface Wired {
  readonly life: Life;
  readonly plan: () => Promise<StartPlan>;
  readonly told: ToldChanges;
}

export function wire(opened: Opened): Wired {
  const { resolved, ports, incarnation, warn } = opened;
  const rooms = makeRooms(
    opened,
    () => conductor,
    () => life,
  );
  const conductor: Conductor = new Conductor(conductorParts(opened, rooms, () => life));
  conductor.gate.join(MAIN, callPlace(), 'start()');
  const signals = listenToSignals(resolved.signals, (request) => conductor.ask(request), warn);
  const life: Life = new Life({
    ...rooms,
    classes: opened.classes,
    clock: ports.clock,
    conductor,
    signals,
    incarnation,
    warn,
    apply: () => (resolved.planTo === undefined ? begin(opened, { ...rooms, signals }) : endWithPlan(resolved.planTo, opened, rooms)),
    startPacing: () => {
      const every = rooms.pace ?? resolved.everyMs;
      return every === undefined ? undefined : new Pacing({ every, clock: ports.clock, ask: (request) => conductor.ask(request) });
    },
  });
  return { life, plan: () => planStart(opened, rooms), told: rooms.told };
}

function makeRooms(opened: Opened, conductor: () => Conductor, life: () => Life): Rooms {
  const { resolved, selection, incarnation, warn } = opened;
  const { clock, fileSystem } = opened.ports;
  const events = new Events(resolved.logger);
  const runClock = new RunClock(clock);
  const background: HelperThread = startThread(opened, {
    request: (found) => conductor().ask(fromFile(found, background)),
    filesCopied: () => files.release(),
    returned: (list) => shadows.returned(list),
    wanted: (wanted) => uncopied.piece(wanted),
    warmed: (memory) => shadows.prepared(memory),
    pruned: (images) => events.emit('pruned', { images: images.map((image) => image.id) }),
    fenced: () => conductor().end('fenced'),
    warn,
  });
  const told = new ToldChanges();
  const shadows = new Shadows(resolved.memoryBudget, opened.accelerator.tracker, told);
  const uncopied = new Uncopied(resolved.memoryBudget, warn);
  const permit = new WritePermit(clock, {
    assertAlive: () => life().assertNotFenced(),
    assertNewest: () => incarnation.assertNewest().catch((error: unknown) => endIfFenced(error, conductor())),
    assertNewestSync: () => background.assertNewestSync(clock),
  });
  const keepAlive = new KeepAlive(clock);
  const members = makeMembers(opened, { background, keepAlive, conductor, life });
  const records = recordedFiles(selection);
  const pace = makePace(opened);
  const files: FileTable = new FileTable(MAIN, declarable(records), {
    clock,
    fileSystem,
    allowed: () => permit.allowed(),
    allowedSync: () => permit.allowedSync(),
    waitReleased: (released) => background.waitSync(released),
    assertAlive: () => permit.assertAlive(),
    gate: (take) => conductor().gate.whenGoingOn(life().tasks.current, take),
  });
  return {
    events,
    runClock,
    background,
    shadows,
    uncopied,
    told,
    files,
    untracked: makeUntracked(opened, records, files, () => members.descriptors()),
    keepAlive,
    handlers: new Handlers(clock, resolved.handlerTimeoutMs),
    registry: makeRegistry(opened),
    carried: makeCarried(opened),
    tip: makeTip(opened, runClock, () => members.records(), pace),
    members,
    pace,
  };
}

function startThread({ resolved, incarnation }: Opened, events: BackgroundEvents): HelperThread {
  if (resolved.planTo !== undefined) return idleThread();
  const { ports: portsAddress, dir: location, requests, compression } = resolved;
  return new Background({ portsAddress, location, epoch: incarnation.epoch, requests, compression }, events);
}

function makeRegistry(opened: Opened): ProviderRegistry {
  const { selection, resolved, classes } = opened;
  const { planTo } = resolved;
  const onRefused = planTo === undefined ? undefined : () => endWithRefusal(planTo, opened, registry);
  const registry: ProviderRegistry = new ProviderRegistry(selection.kind === 'image' ? selection.sections : new Map(), classes, onRefused);
  return registry;
}

/** Made now, because the program is handed memory of the image from the first registration on. */
function makeCarried({ selection, resolved }: Opened): CarriedSections | undefined {
  if (selection.kind !== 'image' || resolved.allowUnclaimed !== 'carry') return undefined;
  return new CarriedSections(selection.contents, MAIN, ({ kind }) => kind !== CONTENT_KIND);
}

function makeUntracked(
  opened: Opened,
  records: readonly TrackedFileRecord[],
  table: FileTable,
  channels: () => readonly number[],
): UntrackedFiles {
  const { resolved, warn } = opened;
  const { files: rules, stdio, openFiles } = resolved;
  return new UntrackedFiles({
    member: MAIN,
    rules,
    stdio,
    openFiles,
    records,
    locate: locator(opened),
    mapped: resolved.mappedRoots,
    store: resolved.dir,
    declared: () => table.declarations,
    channels,
    warn,
  });
}

function conductorParts({ resolved, ports, classes, warn }: Opened, rooms: Rooms, life: () => Life): ConductorParts {
  const { background, registry, files, untracked, carried, members, shadows, uncopied } = rooms;
  const staging = new Staging();
  const warnings = new DroppedWarnings(warn);
  const raise = (): void => {
    Atomics.store(background.shared, SHARED.ATTENTION, 1);
  };
  const discard = discarding({ ...rooms, staging });
  return {
    ...rooms,
    clock: ports.clock,
    members: members.set.rounds,
    waitingMs: resolved.quiesceTimeoutMs,
    events: conductorEvents(resolved, rooms, life),
    prepare: ({ reason, name }) => both(files.settled(), members.set.rounds.prepare(reason, name)),
    capture: () =>
      members.merge(
        captureMember(MAIN, [...registry.list(), ...members.providers()], {
          staging,
          shadows,
          beyond: uncopied,
          classes,
          carried,
          files: () => untracked.capture(files.capture()),
          foreign: [],
        }),
      ),
    acknowledged: (captured) => {
      registry.committed();
      members.set.committed();
      shadows.committed();
      warnings.tell(captured.sections);
      files.committed(captured.files);
    },
    recycle: () => {
      discard();
      members.set.recycle();
    },
    discard,
    persist: (job, done) => background.persist(job, done),
    takeUncopied: (over) => uncopied.take(over, (settled) => background.waitSync(settled)),
    waitSync: (settled) => background.waitSync(settled),
    paced: (monotonic) => life().captured(monotonic),
    exit: (code) => {
      files.secured(); // the store may be another life's already
      background.stopSync();
      process.exit(code);
    },
    attention: raise,
    ended: (why) => {
      members.end(why);
      shadows.end();
      life().ended();
      raise();
    },
  };
}

function conductorEvents(
  { logger }: Opened['resolved'],
  { events, registry, members, pace }: Rooms,
  life: () => Life,
): ConductorParts['events'] {
  return {
    requested: (facts) => events.emit('requested', facts),
    waiting: (facts) => events.emit('waiting', facts),
    quiesced: (facts) => events.emit('quiesced', facts),
    captured: (facts) => events.emit('captured', facts),
    committed: (result) => {
      pace?.learn(result.times);
      life().reconsidered();
      events.emit('committed', result);
    },
    failed: (facts) => {
      if (facts.error.code !== 'ERR_CKPT_ABORTED') logger.error(`ckpt: ${facts.error.message} (${facts.error.code})`);
      registry.failed(facts.error);
      members.set.notCommitted(facts.error);
      events.emit('failed', facts);
    },
  };
}

function both(one: Promise<void> | undefined, other: Promise<void> | undefined): Promise<void> | undefined {
  if (one === undefined || other === undefined) return one ?? other;
  return Promise.all([one, other]).then(() => undefined);
}

/** Whoever finds out first that this life is fenced ends it, so that its safepoints throw too. */
function endIfFenced(error: unknown, conductor: Conductor): never {
  if (isCheckpointError(error, 'ERR_CKPT_FENCED')) conductor.end('fenced');
  throw error;
}

/** A request file: its answer goes back through the thread that found it. */
function fromFile(found: FoundRequest, background: HelperThread): CheckpointRequest {
  return {
    reason: 'request-file',
    exit: found.kind === 'checkpoint-and-exit',
    ...(found.name === undefined ? {} : { name: found.name }),
    settled: (outcome) => background.settle(found, answerText(outcome)),
  };
}
