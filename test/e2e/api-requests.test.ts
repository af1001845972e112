import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Laboratory } from '../fixtures/sdk-program.js';

const PROGRAM = `
  const ckpt = await open({ requests: true, ...JSON.parse(process.env.OPTIONS ?? '{}') });
  const s = ckpt.state('s', () => ({ step: 0 }));
  if (process.env.FAIL) ckpt.atCheckpoint(() => { throw new Error('not now'); });
  ckpt.on('committed', ({ image, reason }) => say('committed ' + (image.names.join('+') || '-'), { reason }));
  ckpt.on('failed', ({ error }) => say('failed', { code: error.code }));
  await ckpt.start();
  say('ready');
  while (!fs.existsSync('end')) { s.step++; await ckpt.safepoint(); if (s.step % 50 === 0) await turn(); }
  await ckpt.close();
`;

function request(lab: Laboratory, kind: 'checkpoint' | 'checkpoint-and-exit', content: string): void {
  writeFileSync(join(lab.store, 'requests', kind), content);
}
const answer = (lab: Laboratory, nonce: string): unknown => JSON.parse(readFileSync(join(lab.store, `requests/${nonce}.result`), 'utf8'));

/** Resolves once a file is there or gone; the test's own time limit is the limit. */
async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5));
}

test('a request file may be empty, a name, or JSON with a name; it is removed at the commit', async () => {
  const lab = new Laboratory();
  const program = lab.start(PROGRAM);
  await program.hear('ready');
  const file = join(lab.store, 'requests/checkpoint');
  for (const [content, name] of [
    ['', '-'],
    ['plain\n', 'plain'],
    ['{"name":"json"}', 'json'],
  ] as const) {
    request(lab, 'checkpoint', content);
    expect(await program.hear(`committed ${name}`)).toMatchObject({ reason: 'request-file' });
    await until(() => !existsSync(file));
  }
  writeFileSync(join(lab.folder, 'end'), '');
  expect((await program.ended).code).toBe(0);
});

test('with a nonce the answer is there at commit and at failure, and the request is gone', async () => {
  const lab = new Laboratory();
  const program = lab.start(PROGRAM);
  await program.hear('ready');
  request(lab, 'checkpoint', JSON.stringify({ name: 'asked', nonce: 'n-1' }));
  await until(() => existsSync(join(lab.store, 'requests/n-1.result')));
  expect(answer(lab, 'n-1')).toMatchObject({
    ok: true,
    result: { reason: 'request-file', image: { name: 'asked', generation: 1 }, times: {}, bytes: {} },
  });
  request(lab, 'checkpoint', JSON.stringify({ name: 'asked', nonce: 'n-2' }));
  await until(() => existsSync(join(lab.store, 'requests/n-2.result')));
  expect(answer(lab, 'n-2')).toMatchObject({ ok: false, error: { code: 'ERR_CKPT_NAME_TAKEN', message: expect.any(String) } });
  expect(existsSync(join(lab.store, 'requests/checkpoint'))).toBe(false);
});

test('the answer to checkpoint-and-exit is on disk before the program exits with 85', async () => {
  const lab = new Laboratory();
  const program = lab.start(PROGRAM);
  await program.hear('ready');
  request(lab, 'checkpoint-and-exit', JSON.stringify({ name: 'last', nonce: 'bye' }));
  expect((await program.ended).code).toBe(85);
  expect(answer(lab, 'bye')).toMatchObject({ ok: true, result: { image: { name: 'last' } } });
  expect(existsSync(join(lab.store, 'requests/checkpoint-and-exit'))).toBe(false);
});

test('a checkpoint-and-exit that fails is answered, removed, and the program goes on', async () => {
  const lab = new Laboratory();
  const program = lab.start(PROGRAM, { env: { FAIL: '1' } });
  await program.hear('ready');
  request(lab, 'checkpoint-and-exit', JSON.stringify({ nonce: 'no' }));
  await until(() => existsSync(join(lab.store, 'requests/no.result')));
  expect(answer(lab, 'no')).toMatchObject({
    ok: false,
    error: { code: 'ERR_CKPT_HANDLER', checkpoint: { phase: 'handlers' }, cause: { message: 'not now' } },
  });
  await until(() => !existsSync(join(lab.store, 'requests/checkpoint-and-exit')));
  writeFileSync(join(lab.folder, 'end'), '');
  expect((await program.ended).code).toBe(0);
});

test('requests that lie there when the epoch is claimed are stale: removed and not answered', async () => {
  const lab = new Laboratory();
  const first = lab.start(PROGRAM, { env: { OPTIONS: '{"requests":false}' } });
  await first.hear('ready');
  writeFileSync(join(lab.folder, 'end'), '');
  await first.ended;
  mkdirSync(join(lab.store, 'requests'), { recursive: true });
  request(lab, 'checkpoint', 'stale');
  request(lab, 'checkpoint-and-exit', '');
  const { code, said } = await lab.start(PROGRAM).ended;
  expect(code).toBe(0);
  expect(said.map(({ word }) => word)).toEqual(['ready']);
  expect(existsSync(join(lab.store, 'requests/checkpoint'))).toBe(false);
  expect(existsSync(join(lab.store, 'requests/checkpoint-and-exit'))).toBe(false);
});

test('F58: a request that is written again while it is under way is answered once more, and a half-written one is refused, not lost', async () => {
  const lab = new Laboratory();
  const program = lab.start(PROGRAM);
  await program.hear('ready');
  request(lab, 'checkpoint', '{"name":"one"}');
  request(lab, 'checkpoint', '{"name":"two","nonce":"second"}');
  await until(() => existsSync(join(lab.store, 'requests/second.result')));
  expect(answer(lab, 'second')).toMatchObject({ ok: true });
  request(lab, 'checkpoint', '{"nonce":"broken","name":');
  await until(() => existsSync(join(lab.store, 'requests/broken.result')));
  expect(answer(lab, 'broken')).toMatchObject({ ok: false, error: { code: 'ERR_CKPT_REQUEST' } });
});
