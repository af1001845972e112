import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  opendirSync,
  openSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { Audit, type AuditRequest } from '../../packages/sdk/src/files/audit.js';
import type { CapturedFile } from '../../packages/sdk/src/files/contract.js';
import { declareFile } from '../../packages/sdk/src/files/declaration.js';
import { openNumbers } from '../../packages/sdk/src/files/descriptors.js';

const linux = process.platform === 'linux';

describe.runIf(linux)('the audit of open descriptors', () => {
  let folder: string;
  let warned: string[];
  beforeEach(() => {
    folder = realpathSync(mkdtempSync(join(tmpdir(), 'ckpt-audit-')));
    warned = [];
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  function open(name: string, flags = 'a'): { path: string; fd: number } {
    const path = join(folder, name);
    const fd = openSync(path, flags);
    onTestFinished(() => closeSync(fd));
    return { path, fd };
  }

  function request(how: Partial<AuditRequest> = {}): AuditRequest {
    return { mode: 'warn', declared: [], rules: [], workingDirectory: folder, channels: [], open: undefined, openers: [], ...how };
  }

  function audit(): Audit {
    return new Audit(join(folder, 'store'), (message) => warned.push(message));
  }

  const aboutHere = (): string[] => warned.filter((message) => message.includes(folder));

  it('tells a file open for writing that nobody tracks, with its position, once', () => {
    const { path, fd } = open('library.log');
    writeSync(fd, 'seven b');
    const running = audit();
    const listed = running.run(request(), []);
    expect(listed).toContainEqual(expect.objectContaining({ fd, target: path, position: 7 }));
    expect(aboutHere()).toHaveLength(1);
    expect(aboutHere()[0]).toContain(path);
    expect(aboutHere()[0]).toContain('writing at 7');
    running.run(request(), []);
    expect(aboutHere()).toHaveLength(1);
  });

  it('keeps quiet about files that are read, tracked, declared, under a rule, or in the store', () => {
    writeFileSync(join(folder, 'input'), 'x');
    mkdirSync(join(folder, 'store'));
    open('input', 'r');
    open('store/image');
    const tracked = open('tracked');
    const declared = open('declared');
    open('ruled.tmp');
    const { dev, ino } = statSync(tracked.path);
    const captured: CapturedFile = {
      declaration: declareFile('out', tracked.path, {}),
      member: 'main',
      position: 0,
      size: 0,
      identity: { dev, ino },
      pending: [],
      created: false,
    };
    const rules = [{ pattern: '*.tmp', policy: 'ignore' as const }];
    const listed = audit().run(request({ declared: [declared.path], rules }), [captured]);
    expect(aboutHere()).toEqual([]);
    expect(listed.find(({ target }) => target === tracked.path)?.tracked).toBe('out');
    expect(listed.some(({ target }) => target.includes('/store/'))).toBe(false);
  });

  it('refuses with ERR_CKPT_FILE and the path when asked to, and lists without a word when asked to ignore', () => {
    const { path } = open('library.log');
    expect(() => audit().run(request({ mode: 'error' }), [])).toThrowError(
      expect.objectContaining({ code: 'ERR_CKPT_FILE', message: expect.stringContaining(path) }),
    );
    expect(
      audit()
        .run(request({ mode: 'ignore' }), [])
        .map(({ target }) => target),
    ).toContain(path);
    expect(warned).toEqual([]);
  });

  it('leaves out what was opened after the capture', () => {
    const numbers = openNumbers();
    const { path } = open('later.log');
    const running = audit();
    expect(running.run(request({ open: numbers }), [])).not.toContainEqual(expect.objectContaining({ target: path }));
    expect(aboutHere()).toEqual([]);
    running.run(request({ open: openNumbers() }), []);
    expect(aboutHere()).toHaveLength(1);
  });

  it('tells a socket, and not the pipes by which Node wakes its own loops', async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => void server.close());
    // Node reaches its own descriptor of the server by an internal handle; the kernel knows it as a listening socket.
    const listed = audit().run(request(), []);
    expect(listed.some(({ target }) => target.startsWith('socket:'))).toBe(true);
    expect(warned.some((message) => message.includes('a socket'))).toBe(true);
    expect(listed.some(({ target }) => target.startsWith('anon_inode:'))).toBe(false);
  });

  it('says where a file was opened when that was noted, and not when its number has been given again', () => {
    const { path, fd } = open('library.log');
    audit().run(request({ openers: [{ fd, path, place: 'writeLog (logger.js:7:3)' }] }), []);
    expect(aboutHere()[0]).toContain('logger.js:7:3');
    warned = [];
    audit().run(request({ openers: [{ fd, path: join(folder, 'before'), place: 'old.js:1:1' }] }), []);
    expect(aboutHere()[0]).not.toContain('old.js');
  });

  it('knows a file that was renamed while it is open by its new name', () => {
    const { path, fd } = open('rotated.log');
    renameSync(path, `${path}.1`);
    expect(
      audit()
        .run(request({ mode: 'ignore' }), [])
        .find((found) => found.fd === fd)?.target,
    ).toBe(`${path}.1`);
  });

  it('stops telling after a hundred, and says so', () => {
    const running = audit();
    for (let i = 0; i < 120; i++) open(`f${i}`);
    running.run(request(), []);
    expect(warned.length).toBeLessThanOrEqual(101);
    expect(warned.at(-1)).toContain('no longer told');
  });

  it('lists a folder without its position, which no number can hold', () => {
    const directory = opendirSync(folder, { bufferSize: 1 });
    onTestFinished(() => directory.closeSync());
    open('a');
    while (directory.readSync() !== null);
    const listed = audit().run(request({ mode: 'ignore' }), []);
    expect(listed.find(({ target }) => target === folder)).not.toHaveProperty('position');
    for (const { position = 0 } of listed) expect(Number.isSafeInteger(position)).toBe(true);
  });
});
