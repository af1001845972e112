/** What a program with members, and the programs of members, may write, and what their compiler must refuse. Never run. */
import type {
  Channel,
  ChannelRequest,
  Checkpointer,
  CheckpointResult,
  MemberHandle,
  Rescaled,
  RescaledSet,
  UndeliveredMessage,
} from '@ckpt/sdk';
import { joinCheckpointer } from '@ckpt/sdk/member';

/** Compiles only when both types are the same. */
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const same = <A, B>(_yes: Same<A, B>): void => {};

function declarations(ckpt: Checkpointer): void {
  const worker = ckpt.worker('solver-0', new URL('./solver.js', import.meta.url), { workerData: { part: 0 } });
  same<typeof worker, MemberHandle>(true);
  same<typeof worker.done, Promise<void>>(true);
  same<typeof worker.pid, number | undefined>(true);
  ckpt.worker('solver-1', 'file:///solver.js');
  // @ts-expect-error options of a Worker that are not recorded
  ckpt.worker('solver-2', new URL('file:///solver.js'), { argv: ['a'] });
  // @ts-expect-error a worker has a program
  ckpt.worker('solver-3');
  same<ReturnType<Checkpointer['fork']>, MemberHandle>(true);
  ckpt.fork('ingest', './ingest.js', ['--fast'], { cwd: '/', env: { A: 'b' }, execArgv: ['--expose-gc'] });
  // @ts-expect-error arguments are strings
  ckpt.fork('ingest', './ingest.js', [1]);
  // @ts-expect-error its streams are those of the program
  ckpt.fork('ingest', './ingest.js', [], { stdio: 'inherit' });
  ckpt.onMember(({ name, kind, workerData, args }) => {
    same<typeof kind, 'worker' | 'process'>(true);
    same<typeof workerData, unknown>(true);
    same<typeof args, readonly string[]>(true);
    return name === 'known' ? './known.js' : undefined;
  });
  // @ts-expect-error an answer is a program
  ckpt.onMember(() => true);
  // @ts-expect-error shared memory has a size
  ckpt.shared('field');
}

async function channels(ckpt: Checkpointer): Promise<void> {
  const jobs = ckpt.channel<{ n: number }, string>('jobs', 'solver-0');
  same<typeof jobs, Channel<{ n: number }, string>>(true);
  const buffer = new ArrayBuffer(8);
  await jobs.send({ n: 1 }, [buffer]);
  // @ts-expect-error not what this channel carries
  jobs.send('one');
  // @ts-expect-error shared memory is not handed over
  jobs.send({ n: 1 }, [new SharedArrayBuffer(8)]);
  const message = await ckpt.safe(jobs.receive());
  same<typeof message, { n: number }>(true);
  const reply = await ckpt.safe(jobs.request({ n: 2 }, [buffer]));
  same<typeof reply, string>(true);
  // @ts-expect-error not what is asked on this channel
  void jobs.request(2);
  for await (const request of jobs.requests()) {
    same<typeof request, ChannelRequest<{ n: number }>>(true);
    jobs.reply(request.id, 'done', [buffer]);
    // @ts-expect-error not what is answered on this channel
    jobs.reply(request.id, 1);
    jobs.refuse(request.id, 'no');
  }
  for await (const one of jobs) same<typeof one, { n: number }>(true);
  const anything = await ckpt.channel('any', 'solver-0').receive();
  same<typeof anything, unknown>(true);
}

async function tasks(ckpt: Checkpointer): Promise<void> {
  const made = await ckpt.task('reader', async () => 'text');
  same<typeof made, string>(true);
  const number = await ckpt.task('counter', () => 1);
  same<typeof number, number>(true);
  // @ts-expect-error a task has a name
  await ckpt.task(async () => {});
}

function rescaling(ckpt: Checkpointer): void {
  ckpt.rescale(({ members, messages }: RescaledSet): Rescaled => {
    same<typeof messages, readonly UndeliveredMessage[]>(true);
    const work = members.map(({ sections }) => sections['work']);
    same<typeof work, unknown[]>(true);
    return { members: { a: 'recorded', b: { work }, c: {} }, messages: messages.map((one) => ({ ...one, to: 'b' })), dropped: [] };
  });
  ckpt.rescale(() => ({ members: {} }));
  // @ts-expect-error it is synchronous
  ckpt.rescale(async () => ({ members: {} }));
  // @ts-expect-error a member goes on as recorded, or with values
  ckpt.rescale(() => ({ members: { a: 'anew' } }));
  // @ts-expect-error a message is one of those that were shown
  ckpt.rescale(() => ({ members: {}, messages: [{ channel: 'jobs', from: 'main', to: 'a', value: 1 }] }));
}

async function member(): Promise<void> {
  const ckpt = await joinCheckpointer();
  const state = ckpt.state('at', () => ({ step: 0 }));
  const { restarted, finished } = await ckpt.start();
  same<[typeof restarted, typeof finished], [boolean, boolean]>(true);
  await ckpt.safepoint(state.step);
  ckpt.safepointSync();
  const result = await ckpt.checkpoint('by-a-member');
  same<typeof result, CheckpointResult>(true);
  same<ReturnType<typeof ckpt.shared>, SharedArrayBuffer>(true);
  const nested = ckpt.worker('w', new URL('file:///w.js'));
  same<typeof nested, MemberHandle>(true);
  // @ts-expect-error only the program decides on other members
  ckpt.rescale(() => ({ members: {} }));
  await ckpt.finish();
}

export { channels, declarations, member, rescaling, tasks };
