/**
 * Wires the rooms of one incarnation together. No logic of its own: who is told of what.
 *
 * Invariants
 * 1. Requests that arrive while things are being wired wait in the conductor until start().
 */
import { isCheckpointError } from '../base/errors.js';
import { callPlace } from '../base/place.js';
import { Background } from '../checkpoint/background.js';
import { captureMember } from '../checkpoint/capture.js';
import { Conductor, type ConductorParts } from '../checkpoint/conductor.js';
import { Handlers } from '../checkpoint/handlers.js';
import { KeepAlive } from '../checkpoint/keep-alive.js';
import type { CheckpointRequest } from '../checkpoint/request.js';
import { Staging } from '../checkpoint/staging.js';
import { type FoundRequest, SHARED } from '../checkpoint/thread-protocol.js';
import type { LineageTip } from '../checkpoint/tip.js';
import type { TrackedFileRecord } from '../files/contract.js';
import { FileTable } from '../files/table.js';
import { declarable, UntrackedFiles } from '../files/untracked.js';
import { WritePermit } from '../files/write-permit.js';
import type { Sections } from '../restart/sections.js';
import { RunClock } from '../state/clock.js';
import { ProviderRegistry } from '../state/registry.js';
import { Pacing } from '../triggers/pacing.js';
import { answerText } from '../triggers/request-answer.js';
import { listenToSignals } from '../triggers/signals.js';
import { begin } from './begin.js';
import { Events } from './events.js';
import { Life } from './life.js';
import { locator, makeTip, recordedFiles } from './lineage-facts.js';
import { Members, SET_KINDS } from './members.js';
import { MAIN, type Opened } from './opened.js';
import { safely } from './safely.js';

/** The rooms of one incarnation, before they know each other. */
interface Rooms {
  readonly events: Events;
  readonly keepAlive: KeepAlive;
  readonly handlers: Handlers;
  readonly registry: ProviderRegistry;
  readonly runClock: RunClock;
  readonly files: FileTable;
  readonly untracked: UntrackedFiles;
  readonly background: Background;
  readonly tip: LineageTip;
  readonly members: Members;
}

export function wire(opened: Opened): Life {
  const { resolved, ports, incarnation, warn } = opened;
  const rooms = makeRooms(
    opened,
    () => conductor,
    () => life,
  );
  const conductor: Conductor = new Conductor(conductorParts(opened, rooms, () => life));
  conductor.gate.join(MAIN, 'start()');
  const signals = listenToSignals(resolved.signals, (request) => conductor.ask(request), warn);
  const life: Life = new Life({
    ...rooms,
    clock: ports.clock,
    conductor,
    signals,
    incarnation,
    apply: () => begin(opened, { ...rooms, signals }),
    startPacing: () =>
      resolved.everyMs === undefined
        ? undefined
        : new Pacing({ every: resolved.everyMs, clock: ports.clock, ask: (request) => conductor.ask(request) }),
  });
  return life;
}

function makeRooms(opened: Opened, conductor: () => Conductor, life: () => Life): Rooms {
  const { resolved, selection, incarnation, warn } = opened;
  const { clock, fileSystem } = opened.ports;
  const events = new Events(resolved.logger);
  const runClock = new RunClock(clock);
  const background: Background = new Background(
    { portsAddress: resolved.ports, location: resolved.dir, epoch: incarnation.epoch, requests: resolved.requests },
    {
      request: (found) => conductor().ask(fromFile(found, background)),
      filesCopied: () => files.release(),
      pruned: (images) => events.emit('pruned', { images: images.map((image) => image.id) }),
      fenced: () => conductor().end('fenced'),
      warn,
    },
  );
  const permit = new WritePermit(clock, {
    assertAlive: () => life().assertNotFenced(),
    assertNewest: () => incarnation.assertNewest().catch((error: unknown) => endIfFenced(error, conductor())),
    assertNewestSync: () => background.assertNewestSync(clock),
  });
  const keepAlive = new KeepAlive(clock);
  const members = makeMembers(opened, background, keepAlive, conductor, life);
  const records = recordedFiles(selection);
  const files: FileTable = new FileTable(MAIN, declarable(records), {
    clock,
    fileSystem,
    allowed: () => permit.allowed(),
    allowedSync: () => permit.allowedSync(),
    waitReleased: (released) => background.waitSync(released),
    assertAlive: () => permit.assertAlive(),
    gate: (take) => conductor().gate.whenGoingOn(MAIN, take),
  });
  return {
    events,
    runClock,
    background,
    files,
    untracked: makeUntracked(opened, records, files),
    keepAlive,
    handlers: new Handlers(clock, resolved.handlerTimeoutMs),
    registry: new ProviderRegistry(new Map([...sectionsOf(opened)].filter(([, { kind }]) => !SET_KINDS.has(kind)))),
    tip: makeTip(opened, runClock, () => members.set.records()),
    members,
  };
}

function sectionsOf({ selection }: Opened): Sections {
  return selection.kind === 'image' ? selection.sections : new Map();
}

function makeMembers(opened: Opened, background: Background, keepAlive: KeepAlive, conductor: () => Conductor, life: () => Life): Members {
  const { resolved, ports, incarnation, selection, warn, blame } = opened;
  return new Members({
    clock: ports.clock,
    onMemberError: resolved.onMemberError,
    handlerTimeoutMs: resolved.handlerTimeoutMs,
    incarnation: incarnation.epoch,
    contents: selection.kind === 'image' ? selection.contents : undefined,
    sections: sectionsOf(opened),
    hooks: {
      whenGoingOn: (take) => conductor().gate.whenGoingOn(MAIN, take),
      during: (work) => keepAlive.during(work),
      safe: (work) => safely(life(), MAIN, callPlace(), work),
      receiving: () => {},
      hurried: () => conductor().phase.at === 'quiescing',
    },
    set: {
      advanced: () => conductor().advance(),
      failed: (error) => conductor().cancel(error),
      launched: ({ memory }) => {
        background.tick(memory);
        conductor().joined();
      },
      log: warn,
    },
    blame: async (why) => {
      if (selection.kind === 'image') await blame(selection.entry, why);
    },
  });
}

function makeUntracked(opened: Opened, records: readonly TrackedFileRecord[], table: FileTable): UntrackedFiles {
  const { resolved, warn } = opened;
  const { files: rules, stdio, openFiles } = resolved;
  return new UntrackedFiles({
    member: MAIN,
    rules,
    stdio,
    openFiles,
    records,
    locate: locator(opened),
    declared: () => table.declarations,
    warn,
  });
}

function conductorParts({ resolved, ports }: Opened, rooms: Rooms, life: () => Life): ConductorParts {
  const { events, background, registry, files, untracked, members } = rooms;
  const staging = new Staging();
  const raise = (): void => {
    Atomics.store(background.shared, SHARED.ATTENTION, 1);
  };
  return {
    ...rooms,
    clock: ports.clock,
    members: members.set,
    waitingMs: resolved.quiesceTimeoutMs,
    events: {
      requested: (facts) => events.emit('requested', facts),
      waiting: (facts) => events.emit('waiting', facts),
      quiesced: (facts) => events.emit('quiesced', facts),
      captured: (facts) => events.emit('captured', facts),
      committed: (result) => events.emit('committed', result),
      failed: (facts) => {
        if (facts.error.code !== 'ERR_CKPT_ABORTED') resolved.logger.error(`ckpt: ${facts.error.message} (${facts.error.code})`);
        events.emit('failed', facts);
      },
    },
    prepare: ({ reason, name }) => both(files.settled(), members.set.prepare(reason, name)),
    capture: () =>
      members.merge(captureMember(MAIN, [...registry.list(), ...members.providers()], staging, () => untracked.capture(files.capture()))),
    acknowledged: (captured) => files.committed(captured.files),
    recycle: () => {
      staging.reset();
      members.set.recycle();
      files.release();
    },
    persist: (job, done) => background.persist(job, done),
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
      life().ended();
      raise();
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
function fromFile(found: FoundRequest, background: Background): CheckpointRequest {
  return {
    reason: 'request-file',
    exit: found.kind === 'checkpoint-and-exit',
    ...(found.name === undefined ? {} : { name: found.name }),
    settled: (outcome) => background.settle(found, answerText(outcome)),
  };
}
