import { describe, expect, it } from 'vitest';
import { imageTable } from '../../packages/sdk/src/cli/list.js';
import { createTerminal, facts, formatAge, formatBytes, formatTime, type Terminal, table } from '../../packages/sdk/src/cli/output.js';
import { progressOn } from '../../packages/sdk/src/cli/progress.js';
import { describePlan } from '../../packages/sdk/src/cli/restart.js';
import type { ListedImage } from '../../packages/sdk/src/images.js';
import { captureTerminal } from '../fixtures/captured-terminal.js';

const plain = (text: string): string => text;
const NOW = 1_700_000_000_000;

function terminal(interactive = false): Terminal & { readonly said: string[] } {
  const said: string[] = [];
  return { ...captureTerminal().terminal, said, err: (text) => void said.push(text), interactive, now: () => NOW };
}

function listed(over: Partial<ListedImage>): ListedImage {
  return {
    id: '0123456789abcdef0123456789abcdef',
    name: undefined,
    names: [],
    generation: 7,
    epoch: 2,
    path: '/s/images/x.ckpt',
    size: 5 * 1024 * 1024,
    lineage: true,
    source: false,
    leased: undefined,
    createdAt: NOW - 180_000,
    parent: undefined,
    finished: false,
    reason: 'timer',
    damage: undefined,
    ...over,
  };
}

describe('sizes, ages and times', () => {
  it('writes sizes in binary units', () => {
    expect([0, 1023, 1024, 1536, 1024 ** 2 - 1, 5 * 1024 ** 3, Number.NaN].map(formatBytes)).toEqual([
      '0 B',
      '1023 B',
      '1.0 KiB',
      '1.5 KiB',
      '1.0 MiB',
      '5.0 GiB',
      '?',
    ]);
  });

  it('writes ages in the unit a person would choose, and says when the clock was set back', () => {
    const ages = [0, 40, 119, 600, 7_300, 200_000].map((seconds) => formatAge(NOW - seconds * 1_000, NOW));
    expect(ages).toEqual(['now', '40 s', '119 s', '10 min', '2 h', '2 d']);
    expect(formatAge(NOW + 60_000, NOW)).toBe('ahead');
    expect([formatAge(undefined, NOW), formatAge(Number.NaN, NOW)]).toEqual(['?', '?']);
  });

  it('survives numbers that are no time', () => {
    expect([formatTime(0), formatTime(1e300), formatTime(Number.NaN), formatTime(undefined)]).toEqual([
      '1970-01-01T00:00:00.000Z',
      '?',
      '?',
      '?',
    ]);
  });
});

describe('table', () => {
  it('aligns columns and leaves no blanks at line ends', () => {
    const text = table(
      [{ title: 'NAME' }, { title: 'GEN', align: 'right' }, { title: 'NOTE' }],
      [
        [{ text: 'a' }, { text: '12' }, { text: '' }],
        [{ text: 'longer' }, { text: '3' }, { text: 'x' }],
      ],
      plain,
    );
    expect(text).toBe('NAME    GEN  NOTE\na        12\nlonger    3  x\n');
  });

  it('keeps its columns whatever the colours are', () => {
    const colored = table([{ title: 'A' }, { title: 'B' }], [[{ text: 'x', color: (text) => `<${text}>` }, { text: 'y' }]], plain);
    expect(colored).toBe('A  B\n<x>  y\n');
  });

  it('aligns the values of facts', () => {
    expect(
      facts(
        [
          ['a', '1'],
          ['long', '2'],
        ],
        plain,
      ),
    ).toBe('a     1\nlong  2\n');
  });
});

describe('list', () => {
  it('marks lineage, branch, source, finished and damaged images', () => {
    const text = imageTable(
      [
        listed({ generation: 9, finished: true, reason: 'finish', createdAt: NOW }),
        listed({ generation: 8, names: ['y100', 'kept'], source: true }),
        listed({ generation: 7, lineage: false }),
        listed({ generation: 6, createdAt: undefined, damage: { code: 'ERR_CKPT_IMAGE_CORRUPT', message: 'x' } }),
      ],
      terminal(),
    );
    expect(text).toBe(
      [
        '   NAMES       ID        GEN  EPOCH    AGE     SIZE  NOTES',
        '*  -           01234567    9      2    now  5.0 MiB  finished',
        '*  y100, kept  01234567    8      2  3 min  5.0 MiB  source, timer',
        '   -           01234567    7      2  3 min  5.0 MiB  branch, timer',
        '*  -           01234567    6      2      ?  5.0 MiB  DAMAGED ERR_CKPT_IMAGE_CORRUPT',
        '',
      ].join('\n'),
    );
  });

  it('escapes names and reasons from the store', () => {
    const text = imageTable([listed({ names: ['\u001b[2Jx'], reason: '\u001b]0;t\u0007' })], terminal());
    expect(text).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/);
  });
});

describe('restart --dry-run', () => {
  it('shows the image, what is passed over, and the command, escaped', () => {
    const { damage: _, ...image } = listed({ names: ['y100'] });
    const text = describePlan(
      {
        store: '/s',
        providers: [{ name: 'sim\u001b[2J', kind: 'state', outcome: 'migrate', from: 1, to: 3 }],
        members: [
          { name: 'solver', kind: 'worker', outcome: 'match', finished: true, entry: 'file:///w/solver\u001b.js' },
          { name: 'lost', kind: 'process', outcome: 'refused', finished: false },
        ],
        asked: 'answered',
        image: {
          ...image,
          damage: undefined,
          clockMs: 1,
          run: { id: 'r', app: { name: 'sim', version: '1' } },
          producer: { sdk: '1', node: '20', platform: 'linux', arch: 'x64' },
          provenance: { host: 'h', pid: 1, ppid: 1, cwd: '/', execPath: '/n', execArgv: [], argv: [], startedAt: 0, openFiles: [] },
          sections: [
            {
              member: 'main',
              name: 'sim',
              kind: 'state',
              version: 1,
              encoding: 'tree-1',
              length: 1024,
              bulk: 1024,
              stored: { own: 2048, base: 0, zero: 0 },
            },
          ],
          buffers: [],
          bases: [],
          members: [],
          files: [],
          manifestHash: 'h',
        },
        passedOver: [
          { id: 'ffffffffffffffffffffffffffffffff', path: '/s/y', code: 'ERR_CKPT_IMAGE_INCOMPLETE', message: 'ends \u001b early' },
        ],
        command: { cwd: '/w', execPath: '/bin/node', execArgv: ['--x'], argv: ['main.js', 'two words', '\u001b[31m'] },
        environment: { CKPT_RESTART: 'latest' },
        files: [
          {
            name: 'out',
            path: '/w/o\u001but.csv',
            policy: 'append',
            found: true,
            beyond: 2048,
            prefix: 'matches',
            put: { do: 'cut', to: 10, from: 2058 },
          },
          {
            name: 'in',
            path: '/w/in.csv',
            policy: 'unchanged',
            found: false,
            beyond: 0,
            prefix: 'not checked',
            put: { do: 'nothing' },
            refused: { code: 'ERR_CKPT_FILE_MISSING', message: 'cannot put back \u001b in' },
          },
        ],
      },
      terminal(),
    );
    expect(text).toMatch(/solver +worker +match, finished +file:\/\/\/w\/solver/);
    expect(text).toMatch(/lost +process +refused/);
    expect(text).toContain('y100');
    expect(text).toContain('ffffffff: ends \\x1b early [ERR_CKPT_IMAGE_INCOMPLETE]');
    expect(text).toContain("/bin/node --x main.js 'two words'");
    expect(text).toContain('2.0 KiB');
    expect(text).toMatch(/^out +append +yes +2\.0 KiB +matches +cut from 2058 to 10 bytes +\/w\/o\\x1but\.csv$/m);
    expect(text).toMatch(/^in +unchanged +no +- +not checked +refused +/m);
    expect(text).toContain('cannot put back \\x1b in [ERR_CKPT_FILE_MISSING]');
    expect(text).not.toContain('\u001b');
  });
});

describe('progress', () => {
  const at = (image: string, done: number) => ({ image, index: 0, count: 2, done, total: 4096 });

  it('says nothing about a short check', () => {
    const screen = terminal(true);
    const progress = progressOn(screen);
    progress.show(at('0123456789', 1));
    progress.clear();
    expect(screen.said).toEqual([]);
  });

  it('writes one line over and clears it, on a screen', () => {
    const said: string[] = [];
    let now = 0;
    const progress = progressOn({ ...terminal(true), err: (text) => void said.push(text), now: () => now });
    now = 1_000;
    progress.show(at('0123456789', 2048));
    now = 1_001;
    progress.show(at('0123456789', 4096));
    progress.clear();
    expect(said).toEqual(['\rverifying 01234567 (1 of 2): 2.0 KiB of 4.0 KiB', `\r${' '.repeat(47)}\r`]);
  });

  it('writes whole lines now and then where a line cannot be written over', () => {
    const said: string[] = [];
    let now = 0;
    const progress = progressOn({ ...terminal(false), err: (text) => void said.push(text), now: () => now });
    now = 11_000;
    progress.show(at('0123456789', 2048));
    progress.clear();
    expect(said).toEqual(['verifying 01234567 (1 of 2): 2.0 KiB of 4.0 KiB\n']);
  });
});

describe('colours', () => {
  // Only isTTY is looked at before something is written.
  const stream = (isTTY: boolean) => ({ isTTY }) as NodeJS.WriteStream;

  it('come only on a terminal and never with NO_COLOR', () => {
    const bold = (isTTY: boolean, env: NodeJS.ProcessEnv): string => createTerminal(stream(isTTY), stream(false), env).outColors.bold('x');
    expect(bold(true, {})).not.toBe('x');
    expect([bold(false, {}), bold(true, { NO_COLOR: '1' }), bold(true, { TERM: 'dumb' })]).toEqual(['x', 'x', 'x']);
  });
});
