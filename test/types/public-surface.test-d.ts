/** What a program may write against `@ckpt/sdk`, and what its compiler must refuse (`@ts-expect-error`). Never run. */
import {
  type CheckpointBytes,
  CheckpointError,
  type Checkpointer,
  type CheckpointerOptions,
  type CheckpointResult,
  type CheckpointTimes,
  type ErrorCode,
  type HandlerContext,
  type ImageInfo,
  isCheckpointError,
  type MemberHandle,
  openCheckpointer,
  type StartResult,
} from '@ckpt/sdk';
import { createCheckpoint, diffImages, listImages, removeImage, restartImage, statImage, verifyImage } from '@ckpt/sdk/images';
import { joinCheckpointer } from '@ckpt/sdk/member';

/** Compiles only when both types are the same. */
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const same = <A, B>(_yes: Same<A, B>): void => {};

async function options(): Promise<void> {
  const all: CheckpointerOptions = {
    dir: './ckpt',
    app: { name: 'sim', version: '1.0.0' },
    every: 250,
    signals: { SIGUSR1: 'checkpoint', SIGTERM: 'checkpoint-and-exit' },
    requests: true,
    restart: { image: 'before-anneal' },
    keep: 3,
    handlerTimeout: '60s',
    quiesceTimeout: '10s',
    lockWait: '90s',
    logger: console,
  };
  await openCheckpointer(all);
  await openCheckpointer();
  await openCheckpointer({ every: false, signals: {}, restart: 'must' });
  // @ts-expect-error an option that there is not
  await openCheckpointer({ evry: '15m' });
  // @ts-expect-error not an answer to a signal
  await openCheckpointer({ signals: { SIGUSR1: 'exit' } });
  // @ts-expect-error not a way to restart
  await openCheckpointer({ restart: 'maybe' });
  // @ts-expect-error an app has a name
  await openCheckpointer({ app: { version: '1' } });
  // @ts-expect-error a logger can log errors
  await openCheckpointer({ logger: { warn: () => {} } });
  // @ts-expect-error true is no interval
  await openCheckpointer({ every: true });
}

function registrations(ckpt: Checkpointer): void {
  const sim = ckpt.state('sim', () => ({ step: 0, grid: new Float64Array(8) }), { version: 2 });
  same<typeof sim, { step: number; grid: Float64Array<ArrayBuffer> }>(true);
  const list = ckpt.state('list', (): number[] => []);
  same<typeof list, number[]>(true);
  const map = ckpt.state('map', () => new Map<string, Date>());
  same<typeof map, Map<string, Date>>(true);
  // @ts-expect-error a primitive is for provide()
  ckpt.state('n', () => 5);
  // @ts-expect-error init is needed
  ckpt.state('n');
  // @ts-expect-error init is a function
  ckpt.state('n', {});

  let count = 0;
  ckpt.provide('count', {
    capture: () => count,
    restore: (value) => {
      same<typeof value, number>(true);
      count = value;
    },
    version: 1,
  });
  ckpt.provide('later', { capture: () => 'text', restore: async (_value: string) => {} });
  // @ts-expect-error restore takes what capture returns
  ckpt.provide('wrong', { capture: () => 1, restore: (_value: string) => {} });
  // @ts-expect-error restore is needed
  ckpt.provide('half', { capture: () => 1 });

  const noise = ckpt.random('noise', 42);
  const drawn: number = noise.next() + noise.int(1, 6) + noise.normal() + noise.uint32();
  const shuffled: string[] = noise.shuffle(['a', 'b']);
  // @ts-expect-error a seed is a number or a text
  ckpt.random('noise', {});
  const now: number = ckpt.clock.now();
  void [drawn, shuffled, now];
}

function handlers(ckpt: Checkpointer): void {
  ckpt.atCheckpoint((ctx) => {
    same<typeof ctx, HandlerContext>(true);
    const reason: string = ctx.reason;
    const name: string | undefined = ctx.name;
    const image: ImageInfo | undefined = ctx.image;
    ctx.signal.throwIfAborted();
    void [reason, name, image];
  });
  ckpt.atResume(async () => {});
  ckpt.atRestart(async ({ image }) => void image?.id);
  // @ts-expect-error a handler is a function
  ckpt.atRestart('later');
}

async function calls(ckpt: Checkpointer): Promise<void> {
  const { restarted, finished, image, incarnation, lostMs, carried, dropped } = await ckpt.start();
  const start: StartResult = { restarted, finished, image, incarnation, lostMs, carried, dropped };
  same<ReturnType<Checkpointer['safepoint']>, Promise<void> | undefined>(true);
  await ckpt.safepoint();
  await ckpt.safepoint(7);
  same<ReturnType<Checkpointer['safepointSync']>, void>(true);
  const value: string = await ckpt.safe(Promise.resolve('value'));
  const plain: number = await ckpt.safe(5);
  const result: CheckpointResult = await ckpt.checkpoint();
  await ckpt.checkpoint('named', { signal: AbortSignal.timeout(10), replace: true });
  // @ts-expect-error a name is a text
  await ckpt.checkpoint(1);
  // @ts-expect-error not an option of checkpoint()
  await ckpt.checkpoint('named', { force: true });
  const times: CheckpointTimes = result.times;
  const bytes: CheckpointBytes = result.bytes;
  const total: number = times.quiesceMs + times.freezeMs + times.persistMs + times.totalMs + bytes.state + bytes.dirty + bytes.stored;
  const info: ImageInfo = result.image;
  // @ts-expect-error what comes from ckpt is read-only
  info.name = 'other';
  const last: CheckpointResult | undefined = await ckpt.finish();
  await ckpt.close();
  void [start, value, plain, total, last];
}

async function scope(): Promise<void> {
  await using ckpt = await openCheckpointer();
  await ckpt.start();
}

function events(ckpt: Checkpointer): void {
  ckpt
    .on('requested', ({ reason, name }) => void [reason, name?.length])
    .on('quiesced', ({ quiesceMs }) => void quiesceMs.toFixed())
    .on('captured', ({ freezeMs, stateBytes }) => void (freezeMs + stateBytes))
    .on('committed', (result) => same<typeof result, CheckpointResult>(true))
    .on('failed', ({ error }) => same<typeof error, CheckpointError>(true))
    .on('waiting', ({ missing }) => void [missing[0]?.lastSafepoint, missing[0]?.registeredAt, missing[0]?.sinceMs.toFixed()])
    .on('restarted', (result) => same<typeof result, StartResult>(true))
    .on('fallback', ({ chosen, passedOver }) => void [chosen.id, passedOver[0]?.code])
    .once('pruned', ({ images }) => void images[0]?.length)
    .off('pruned', () => {});
  // @ts-expect-error there is no such event
  ckpt.on('comitted', () => {});
  // @ts-expect-error a commit has no error
  ckpt.on('committed', ({ error }) => error);
}

function members(ckpt: Checkpointer): readonly MemberHandle[] {
  // @ts-expect-error there is no such policy
  ckpt.fork('kid', './kid.js', [], { opaque: 'never' });
  const kid = ckpt.fork('kid', './kid.js', ['--fast'], { opaque: 'restart', cwd: '/tmp' });
  return [kid, ckpt.worker('deaf', new URL('file:///deaf.js'), { workerData: 1, opaque: 'exclude' })];
}

async function membersOfMembers(): Promise<void> {
  const ckpt = await joinCheckpointer();
  const handles: readonly MemberHandle[] = [ckpt.fork('kid', './kid.js'), ckpt.worker('leaf', 'file:///leaf.js', { workerData: 1 })];
  await ckpt.safe(Promise.all(handles.map(({ done }) => done)));
  const file: never = ckpt.file('log', 'log.txt');
  void file;
}

function errors(caught: unknown): ErrorCode | undefined {
  if (!isCheckpointError(caught)) return undefined;
  if (isCheckpointError(caught, 'ERR_CKPT_LOCKED')) void caught.context.owner;
  // @ts-expect-error there is no such code
  isCheckpointError(caught, 'ERR_CKPT_NOPE');
  const texts: (string | undefined)[] = [caught.message, caught.phase, caught.image, caught.provider, caught.member, caught.path];
  void [texts, caught instanceof CheckpointError];
  return caught.code;
}

async function tools(): Promise<void> {
  for (const image of await listImages('./ckpt')) void [image.id, image.generation];
  await statImage('./ckpt', 'before-anneal');
  const { same: nothing, differences } = await diffImages('before-anneal', 'latest', { dir: './ckpt', limit: 10 });
  same<typeof nothing, boolean>(true);
  for (const { mark } of differences) same<typeof mark, '+' | '-' | 'M' | 'T'>(true);
  // @ts-expect-error two images
  await diffImages('before-anneal');
  await verifyImage('./ckpt', 'before-anneal');
  await removeImage('./ckpt', 'before-anneal');
  await createCheckpoint('./ckpt', { name: 'now' });
  await restartImage('./ckpt', { image: 'before-anneal' });
  await restartImage('./ckpt', 'before-anneal');
}

void [options, registrations, handlers, calls, scope, events, members, membersOfMembers, errors, tools];
