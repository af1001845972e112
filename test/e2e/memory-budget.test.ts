/** State of which copies do not fit `memoryBudget`: it is written while the program stands, exactly as with copies. */
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Laboratory } from '../fixtures/sdk-program.js';

const STATE = `
  const make = () => ({
    step: 0,
    large: new Float64Array(20 * 2 ** 17 + 77).map((_, i) => i / 7),
    shared: new Uint8Array(new SharedArrayBuffer(9 * 2 ** 20 + 5)).map((_, i) => i % 251),
    small: new Float64Array(100).fill(3),
    zeros: new Uint8Array(17 * 2 ** 20),
  });
  const advance = (s) => {
    s.step++;
    for (let i = 0; i < s.large.length; i += 1000) s.large[i] += s.step;
    s.shared[s.shared.length - 1] = s.step;
    s.zeros[s.zeros.length - 1] = s.step;
  };
  const crypto = await import('node:crypto');
  const digest = (s) => crypto.createHash('sha256').update(String(s.step)).update(s.large).update(Buffer.from(s.shared)).update(s.small).update(s.zeros).digest('hex');
  const expected = (steps) => { const s = make(); for (let i = 0; i < steps; i++) advance(s); return digest(s); };
`;

test('beyond the budget each image is written while the program stands; what comes back is exact, and the results say how much', async () => {
  const lab = new Laboratory();
  const said = await lab.run(`${STATE}
    const warned = [];
    const ckpt = await open({ memoryBudget: '1MiB', logger: { warn: (message) => warned.push(message), error() {} } });
    const s = ckpt.state('s', make);
    await ckpt.start();
    // Nothing of the program runs while a piece is taken: a timer would tear the state.
    const timer = setInterval(() => { s.large[0]++; s.zeros[s.zeros.length - 1]++; }, 1);
    advance(s);
    await ckpt.checkpoint();
    clearInterval(timer);
    s.large[0] = 1; s.zeros[s.zeros.length - 1] = 1;
    advance(s);
    const results = [await ckpt.checkpoint(), await ckpt.checkpoint()];
    say('results', { results, warned });
    await ckpt.close();
  `);
  const { results, warned } = said['results'] as unknown as {
    results: { bytes: Record<string, number>; times: Record<string, number> }[];
    warned: string[];
  };
  const uncopied = 20 * 2 ** 20 + 77 * 8 + 9 * 2 ** 20 + 5 + 17 * 2 ** 20;
  for (const { bytes, times } of results) {
    expect(bytes).toMatchObject({ uncopied });
    expect(bytes['state']).toBeGreaterThan(uncopied + 800);
    expect(times['freezeMs']).toBeGreaterThanOrEqual(Number(times['captureMs']));
  }
  expect(warned.filter((message) => message.includes('memoryBudget'))).toHaveLength(1);

  const torn = await lab.run(`${STATE}
    const images = await import('@ckpt/sdk/images');
    const [, , first] = await images.listImages();
    const ckpt = await open({ memoryBudget: '1MiB', restart: { image: first.id } });
    const s = ckpt.state('s', make);
    await ckpt.start();
    say('torn', { large: s.large[0], zeros: s.zeros.at(-1) });
    await ckpt.close();
  `);
  expect(Number(torn['torn']?.['large'])).toBe(Number(torn['torn']?.['zeros']));

  const back = await lab.run(`${STATE}
    const ckpt = await open({ memoryBudget: '1MiB', restart: { image: (await (await import('@ckpt/sdk/images')).listImages())[0].id } });
    const s = ckpt.state('s', make);
    await ckpt.start();
    say('back', { step: s.step, same: digest(s) === expected(2) });
    await ckpt.close();
  `);
  expect(back['back']).toMatchObject({ step: 2, same: true });
});

test('inside a synchronous loop it is the same, and a request to exit is served', async () => {
  const lab = new Laboratory();
  const program = lab.start(
    `${STATE}
    const ckpt = await open({ memoryBudget: 0, requests: true });
    const s = ckpt.state('s', make);
    const { restarted } = await ckpt.start();
    say('started', { restarted, step: s.step, same: digest(s) === expected(s.step) });
    if (restarted) await ckpt.close();
    else {
      fs.writeFileSync(process.env.CKPT_DIR + '/requests/checkpoint-and-exit', '');
      for (;;) { if (s.step < 5) advance(s); ckpt.safepointSync(); }
    }
  `,
  );
  expect((await program.ended).code).toBe(85);
  const said = await lab.run(
    `${STATE}
    const ckpt = await open({ memoryBudget: 0 });
    const s = ckpt.state('s', make);
    await ckpt.start();
    say('back', { step: s.step, same: digest(s) === expected(s.step) });
    await ckpt.finish();
  `,
  );
  expect(said['back']).toMatchObject({ same: true });
  expect(Number(said['back']?.['step'])).toBeGreaterThan(0);
});

test('F15: when the image cannot be written the checkpoint fails, the program goes on, and the next one works', async () => {
  const lab = new Laboratory();
  const program = lab.start(`${STATE}
    const ckpt = await open({ memoryBudget: '1MiB' });
    const s = ckpt.state('s', make);
    let resumed = 0;
    ckpt.atResume(() => void resumed++);
    await ckpt.start();
    await ckpt.checkpoint();
    say('ready');
    while (fs.existsSync(process.env.CKPT_DIR + '/tmp')) await turn();
    say('failed', { code: await codeOf(() => ckpt.checkpoint()), resumed });
    while (!fs.existsSync(process.env.CKPT_DIR + '/tmp')) await turn();
    advance(s);
    const { bytes } = await ckpt.checkpoint();
    say('again', { uncopied: bytes.uncopied, resumed });
    await ckpt.close();
  `);
  await program.hear('ready');
  rmSync(join(lab.store, 'tmp'), { recursive: true });
  expect(await program.hear('failed')).toMatchObject({ code: expect.stringMatching(/^ERR_CKPT_/), resumed: 2 });
  mkdirSync(join(lab.store, 'tmp'), { mode: 0o700 });
  expect(await program.hear('again')).toMatchObject({ uncopied: expect.any(Number), resumed: 3 });
  expect((await program.ended).code).toBe(0);
  expect(lab.leftovers()).toEqual([]);
});
