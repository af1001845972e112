/** Checkpoints of a program with members that hold its state. Arguments: `worker` or `process`, how many, bytes of all of them, runs, store. */
import { readFileSync } from 'node:fs';
import { openCheckpointer } from '@ckpt/sdk';
import { report, timedAsync } from '../measure.mjs';

const [kind = 'worker', ...numbers] = process.argv.slice(2, 6);
const [members = 0, bytes = 0, runs = 0] = numbers.map(Number);
const ckpt = await openCheckpointer({
  dir: process.argv[6],
  app: { name: 'bench' },
  signals: {},
  requests: false,
  keep: 1,
  handlerTimeout: '300s',
  quiesceTimeout: '60s',
});
const program = new URL('./member.mjs', import.meta.url);
const share = bytes / members;
/** So that all of them together leave the cores some time. */
const pollMs = Math.ceil(members / 100);
const handles = Array.from({ length: members }, (_, at) => {
  if (kind === 'process') return ckpt.fork(`m${at}`, program, [share, pollMs].map(String));
  return ckpt.worker(`m${at}`, program, { workerData: [share, pollMs] });
});
const startMs = await timedAsync(() => ckpt.start());
const channels = handles.map(({ name }) => ckpt.channel('touch', name));
for (const channel of channels) await channel.receive(); // it has made its field

/** Of this process and of those that it has forked, MiB. */
function memory() {
  const pids = [process.pid, ...handles.flatMap(({ pid }) => pid ?? [])];
  return (
    pids.reduce((sum, pid) => sum + Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? Number.NaN), 0) / 1024
  );
}

/** @type {Record<'quiesceMs' | 'freezeMs' | 'durableMs', number[]>} */
const samples = { quiesceMs: [], freezeMs: [], durableMs: [] };
await ckpt.checkpoint(); // allocates what the later ones keep
for (let run = 0; run < runs; run++) {
  for (const channel of channels) channel.send('touch');
  for (const channel of channels) await channel.receive();
  await new Promise((resolve) => setTimeout(resolve, 20)); // so that all of them poll again
  const began = performance.now();
  const { times } = await ckpt.checkpoint();
  samples.durableMs.push(performance.now() - began);
  samples.quiesceMs.push(times.quiesceMs);
  samples.freezeMs.push(times.freezeMs);
}
report({ samples: { ...samples, startMs: [startMs], memoryMiB: [process.platform === 'linux' ? memory() : Number.NaN] } });
await Promise.all(handles.map((handle) => handle.terminate()));
await ckpt.close();
