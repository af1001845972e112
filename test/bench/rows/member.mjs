/** One member of members.mjs: polls every so many ms, and changes all of its state when it is asked to. Given: its bytes, and those ms. */
import { setTimeout as after } from 'node:timers/promises';
import { isMainThread, workerData } from 'node:worker_threads';
import { joinCheckpointer } from '@ckpt/sdk/member';
import { makeField, touchAll } from '../state.mjs';

const [bytes = 0, pollMs = 1] = (isMainThread ? process.argv.slice(2) : workerData).map(Number);
const ckpt = await joinCheckpointer();
const state = ckpt.state('state', () => ({ field: makeField(bytes) }));
await ckpt.start();
/** @type {import('@ckpt/sdk').Channel<string>} */
const touch = ckpt.channel('touch', 'main');
touch.send('ready');

void touch.receive().then(touched);
for (;;) {
  await ckpt.safepoint();
  await after(pollMs);
}

function touched() {
  touchAll(state.field);
  touch.send('touched');
  void touch.receive().then(touched);
}
