/** The journal of a directory store: small durable records, and files of any size beside them. */
import { mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { Journal, RecordShape } from '../../packages/sdk/src/store/contract.js';
import { openDirectoryStore } from '../../packages/sdk/src/store/directory.js';
import type { Fault } from '../faults/fault-file-system.mjs';
import { type Recording, recordingFileSystem } from '../faults/recording-file-system.js';
import { begin, deadOwner } from '../fixtures/store-lives.js';

interface Record {
  readonly value: number;
}
const SCHEMA: RecordShape<Record> = {
  safeParse: (data) => {
    const fits = typeof data === 'object' && data !== null && 'value' in data && typeof data.value === 'number';
    if (fits) return { success: true, data: { value: Number(data.value) } };
    return { success: false, error: { issues: [{ path: ['value'], message: 'expected a number' }] } };
  },
};
const DEAD = deadOwner();
const code = (name: string): object => expect.objectContaining({ code: name });

async function opened(
  faults: readonly Fault[] = [],
): Promise<{ root: string; journal: Journal; recording: Recording; next: () => Promise<Journal> }> {
  const folder = await mkdtemp(join(tmpdir(), 'ckpt-journal-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const root = join(folder, 'ckpt');
  const recording = recordingFileSystem(faults);
  const claim = async (): Promise<Journal> => {
    const store = openDirectoryStore(root, recording.ports, { owner: DEAD });
    const { epoch } = await begin(store);
    return store.journal(epoch);
  };
  return { root, journal: await claim(), recording, next: claim };
}

describe('a journal', () => {
  it('keeps records and files until they are removed', async () => {
    const { journal, root } = await opened();
    expect(await journal.put('base-1-1', { value: 1 })).toBe(true);
    expect(await journal.save('tail-1', (sink) => sink.write(Buffer.from('bytes')))).toBe(5);
    expect([await journal.list(), await journal.saved()]).toEqual([['base-1-1'], ['tail-1']]);
    expect(await journal.read('base-1-1', SCHEMA)).toEqual({ value: 1 });
    const source = await journal.open('tail-1');
    const target = Buffer.alloc(3);
    await source?.read(target, 1);
    await source?.close();
    expect([source?.size, target.toString()]).toEqual([5, 'yte']);
    expect(readFileSync(journal.whereSaved('tail-1'), 'utf8')).toBe('bytes');
    expect([statSync(join(root, 'journal/base-1-1')).mode & 0o777, statSync(join(root, 'tails/tail-1')).mode & 0o777]).toEqual([
      0o600, 0o600,
    ]);
    for (let twice = 0; twice < 2; twice++) {
      await journal.remove('base-1-1');
      await journal.drop('tail-1');
    }
    expect([await journal.list(), await journal.saved(), await journal.read('base-1-1', SCHEMA), await journal.open('tail-1')]).toEqual([
      [],
      [],
      undefined,
      undefined,
    ]);
    expect(readdirSync(join(root, 'tmp'))).toEqual([]);
  });

  it('never overwrites a record or a file', async () => {
    const { journal } = await opened();
    await journal.put('base-1-1', { value: 1 });
    expect(await journal.put('base-1-1', { value: 2 })).toBe(false);
    expect(await journal.read('base-1-1', SCHEMA)).toEqual({ value: 1 });
    await journal.save('tail-1', (sink) => sink.write(Buffer.from('bytes')));
    await expect(journal.save('tail-1', (sink) => sink.write(Buffer.from('other')))).rejects.toEqual(code('ERR_CKPT_STORE_UNSAFE'));
    expect(readFileSync(journal.whereSaved('tail-1'), 'utf8')).toBe('bytes');
  });

  it('makes content durable before the name, and the name before it returns', async () => {
    const { journal, recording, root } = await opened();
    recording.operations.length = 0;
    await journal.put('base-1-1', { value: 1 });
    await journal.save('tail-1', (sink) => sink.write(Buffer.from('bytes')));
    const steps = recording.operations.filter(({ name }) => ['fsync', 'link', 'fsync-directory'].includes(name));
    expect(steps.map(({ name, path }) => (name === 'fsync-directory' ? `${name} ${path.slice(root.length)}` : name))).toEqual([
      'fsync',
      'link',
      'fsync-directory /journal',
      'fsync',
      'link',
      'fsync-directory /tails',
    ]);
  });

  it.each([
    ['no JSON', '{"value":'],
    ['another shape', '{"value":"1"}'],
    ['too large', `{"value":1,"more":"${'x'.repeat(17 * 2 ** 20)}"}`],
  ])('refuses a damaged record (%s) and names it', async (_, text) => {
    const { journal, root } = await opened();
    writeFileSync(join(root, 'journal/base-1-1'), text);
    const error = await journal.read('base-1-1', SCHEMA).catch((thrown: unknown) => thrown);
    expect(error).toEqual(code('ERR_CKPT_STORE_UNSAFE'));
    expect(String(error)).toContain('base-1-1');
  });

  it('follows no link, and takes plain names only', async () => {
    const { journal, root } = await opened();
    writeFileSync(join(root, '../secret'), '{"value":1}');
    symlinkSync(join(root, '../secret'), join(root, 'journal/base-1-1'));
    symlinkSync(join(root, '../secret'), join(root, 'tails/tail-1'));
    await expect(journal.read('base-1-1', SCHEMA)).rejects.toEqual(code('ERR_CKPT_STORE_UNSAFE'));
    await expect(journal.open('tail-1')).rejects.toEqual(code('ERR_CKPT_STORE_UNSAFE'));
    for (const name of ['../secret', 'a/b', '.hidden', '', 'blame-x', 'Big']) {
      await expect(journal.read(name, SCHEMA)).rejects.toThrow(TypeError);
      await expect(journal.drop(name)).rejects.toThrow(TypeError);
    }
  });

  it('leaves the marks of blamed images and foreign files alone', async () => {
    const { journal, root } = await opened();
    mkdirSync(join(root, 'journal/.odd'));
    writeFileSync(join(root, `journal/blame-${'a'.repeat(32)}-1`), '{}');
    expect(await journal.list()).toEqual([]);
  });

  it('F74: of a fenced life writes nothing', async () => {
    const { journal, next } = await opened();
    await journal.put('base-1-1', { value: 1 });
    const newer = await next();
    await expect(journal.put('base-1-2', { value: 2 })).rejects.toEqual(code('ERR_CKPT_FENCED'));
    await expect(journal.save('tail-1', () => Promise.resolve())).rejects.toEqual(code('ERR_CKPT_FENCED'));
    expect([await newer.list(), await newer.saved()]).toEqual([['base-1-1'], []]);
  });

  it('a full disk leaves no part of a file', async () => {
    const { journal, root, recording } = await opened([{ op: 'write', path: '/tmp/e', nth: 3, action: 'errno:ENOSPC' }]);
    const before = recording.operations.filter(({ name, path }) => name === 'write' && path.includes('/tmp/e')).length;
    let error: unknown;
    for (let count = before; count < 4 && error === undefined; count++)
      await journal
        .save(`tail-${count}`, (sink) => sink.write(Buffer.from('bytes')))
        .catch((thrown: unknown) => {
          error = thrown;
        });
    expect(recording.fired).toHaveLength(1);
    expect(error).toEqual(code('ERR_CKPT_NO_SPACE'));
    expect(readdirSync(join(root, 'tmp'))).toEqual([]);
  });
});
