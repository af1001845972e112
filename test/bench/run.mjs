#!/usr/bin/env node
/**
 * Measures the built package.
 *
 *   npm run bench [-- GROUP …] [--json] [--runs N] [--dir FOLDER] [--write]
 *
 * GROUP     safepoint, codec, compression, files, incremental-64MiB, incremental-1GiB, state (all sizes), state-1KiB, state-1MiB, state-64MiB, state-1GiB, generations, loop, cold,
 *           steps, many, beyond, growth; default: all of them
 * --json    one JSON object on stdout instead of the table
 * --runs    samples of each quantity, at least 5 (default 5)
 * --dir     where the images are written (default: the folder for temporary files)
 * --write   puts the table into README.md beside this file, and the curves into pictures
 *
 * Medians are printed with the smallest and the largest sample. Trust ratios within one run, not figures of two runs.
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, release, tmpdir, totalmem, type } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { chooseGroups, folderOf } from './groups.mjs';
import { pictures } from './picture.mjs';

/** @import { Row } from './lines.mjs' */
/** @import { Measured } from './measure.mjs' */

/** No row takes nearly as long; one that does is stuck. */
const ROW_LIMIT_MS = 900_000;
const FILE_SYSTEMS = new Map([
  [0xef53, 'ext4'],
  [0x0102_1994, 'tmpfs'],
  [0x5846_5342, 'xfs'],
  [0x9123_683e, 'btrfs'],
  [0x794c_7630, 'overlay'],
]);

/** Runs rows/NAME.mjs in a process of its own. @param {string} name @param {(string | number)[]} args @returns {Promise<Measured>} */
function start(name, args) {
  const program = fileURLToPath(new URL(`./rows/${name}.mjs`, import.meta.url));
  const env = Object.fromEntries(Object.entries(process.env).filter(([key]) => !key.startsWith('CKPT_')));
  const child = spawn(process.execPath, ['--expose-gc', program, ...args.map(String)], {
    stdio: ['ignore', 'pipe', 'inherit'],
    timeout: ROW_LIMIT_MS,
    killSignal: 'SIGKILL',
    env,
  });
  let output = '';
  child.stdout.on('data', (data) => {
    output += data;
  });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => {
      if (code === 0) resolve(JSON.parse(output));
      else reject(new Error(`bench: ${name} ${args.join(' ')} ended with ${signal ?? code}`));
    });
  });
}

/** @param {string} folder */
function machine(folder) {
  const packageFile = new URL('../../packages/sdk/package.json', import.meta.url);
  const fileSystem = statfsSync(folder).type;
  return {
    date: new Date().toISOString().slice(0, 10),
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    system: `${type()} ${release()}`,
    fileSystem: FILE_SYSTEMS.get(fileSystem) ?? `type 0x${fileSystem.toString(16)}`,
    node: process.versions.node,
    v8: process.versions.v8,
    ckpt: JSON.parse(readFileSync(packageFile, 'utf8')).version,
  };
}

/** Three digits that mean something. @param {number} value */
function figure(value) {
  if (Number.isNaN(value)) return '–';
  if (value >= 100) return value.toFixed(0);
  if (value >= 10) return value.toFixed(1);
  return value >= 1 ? value.toFixed(2) : String(Number(value.toPrecision(2)));
}

/** @param {Row} row */
function line(row) {
  const { group, name, unit, median, min, max, samples, goal, note } = row;
  const judged = goal === undefined ? '' : `goal ≤ ${goal}: ${median <= goal ? 'met' : 'missed'}`;
  const spread = samples === 1 ? 'one sample' : `${figure(min)} – ${figure(max)}`;
  return `| ${group} | ${name.trimStart()} | ${figure(median)} ${unit} | ${spread} | ${[judged, note ?? ''].filter(Boolean).join('; ')} |`;
}

/** @param {ReturnType<typeof machine>} on @param {Row[]} rows */
function table(on, rows) {
  return [
    `${on.date}, ${on.cpu}, ${on.cores} cores, ${on.memoryGiB} GiB, ${on.system}, ${on.fileSystem}; Node ${on.node}, V8 ${on.v8}, ckpt ${on.ckpt}`,
    '',
    '| group | what | median | smallest – largest | |',
    '| --- | --- | ---: | ---: | --- |',
    ...rows.map(line),
  ].join('\n');
}

/** @param {string} text @param {Row[]} rows */
function keep(text, rows) {
  const drawn = [...pictures(rows)];
  for (const [name, picture] of drawn) writeFileSync(fileURLToPath(new URL(`./${name}.svg`, import.meta.url)), picture);
  const links = drawn.map(([name]) => `\n![${name}](${name}.svg)\n`).join('');
  const path = fileURLToPath(new URL('./README.md', import.meta.url));
  const [before = ''] = readFileSync(path, 'utf8').split('## Last results');
  writeFileSync(path, `${before}## Last results\n\n${text}\n${links}`);
}

function readArguments() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      json: { type: 'boolean', default: false },
      write: { type: 'boolean', default: false },
      runs: { type: 'string', default: '5' },
      dir: { type: 'string', default: tmpdir() },
    },
  });
  const runs = Number(values.runs);
  if (!Number.isInteger(runs) || runs < 5) throw new Error(`--runs: expected a whole number of at least 5, got ${values.runs}`);
  return { ...values, runs, groups: chooseGroups(positionals) };
}

/** @param {ReturnType<typeof readArguments>} options */
async function main(options) {
  const folder = mkdtempSync(join(options.dir, 'ckpt-bench-'));
  try {
    /** @type {Row[]} */
    const rows = [];
    const on = machine(folder);
    for (const group of options.groups) {
      process.stderr.write(`bench: ${group.name} …\n`);
      const own = folderOf(folder, group);
      rows.push(...(await group.run({ runs: options.runs, folder: own, start })));
      rmSync(own, { recursive: true, force: true });
    }
    process.stdout.write(`${options.json ? JSON.stringify({ machine: on, rows }, null, 2) : table(on, rows)}\n`);
    if (options.write) keep(table(on, rows), rows);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

try {
  await main(readArguments());
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : error}\n`);
  process.exitCode = 1;
}
