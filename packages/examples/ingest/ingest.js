/**
 * A batch job: reads the wildlife strikes that were reported to the U.S. Federal Aviation Administration line by line, keeps
 * totals for each species, writes a ledger with one row for each report and at the end a summary. Kill it whenever you like
 * and start it again: it goes on behind the last line that an image knows, and the ledger is cut back to the row of that line.
 *
 *   node ingest.js [folder]      writes ledger.csv and summary.csv there (default: out/ beside this file)
 *
 * Environment: CKPT_DIR (where the images live), CKPT_INGEST_EVERY (time between two images), CKPT_INGEST_PACE_MS (a rest after
 * each hundred lines, so that there is time to kill it).
 */
import { mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as rest } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { openCheckpointer } from '@ckpt/sdk';
import { DATA } from './data.js';

const here = dirname(fileURLToPath(import.meta.url));
const folder = process.argv[2] ?? join(here, 'out');
const pace = Number(process.env.CKPT_INGEST_PACE_MS ?? 0);
mkdirSync(folder, { recursive: true });

/** @returns {{ lines: number, cost: number, columns: string[], species: Map<string, { reports: number, cost: number }> }} */
const begin = () => ({ lines: 0, cost: 0, columns: [], species: new Map() });

const ckpt = await openCheckpointer({
  dir: process.env.CKPT_DIR ?? join(here, 'ckpt'),
  every: /** @type {`${number}ms`} */ (process.env.CKPT_INGEST_EVERY ?? '500ms'),
});
const totals = ckpt.state('totals', begin);
const reports = ckpt.file('reports', DATA, { flags: 'r' });
const ledger = ckpt.file('ledger', join(folder, 'ledger.csv'), { flags: 'w' });
const summary = ckpt.file('summary', join(folder, 'summary.csv'), { flags: 'w' });
const { restarted, finished } = await ckpt.start();
console.log(restarted ? `Going on behind line ${totals.lines}` : 'Starting');

if (!finished) {
  for await (const line of reports.lines()) {
    take(line);
    if (pace > 0 && totals.lines % 100 === 0) await rest(pace);
    await ckpt.safepoint();
  }
  const bySpecies = [...totals.species].sort(([a, one], [b, other]) => other.cost - one.cost || (a < b ? -1 : 1));
  summary.write('species,reports,cost\n');
  for (const [species, { reports, cost }] of bySpecies) summary.write(`${species},${reports},${cost}\n`);
}
await ckpt.finish();
console.log(`${totals.lines - 1} reports of ${totals.species.size} species, ${totals.cost} dollars`);

/** @param {string} line */
function take(line) {
  const fields = line.split(',');
  totals.lines++;
  if (totals.lines === 1) {
    totals.columns = fields;
    ledger.write('report,date,species,cost,total\n');
    return;
  }
  /** @param {string} column */
  const field = (column) => fields[totals.columns.indexOf(column)] ?? '';
  const name = field('Wildlife Species');
  const cost = Number(field('Cost Total $'));
  const species = totals.species.get(name) ?? { reports: 0, cost: 0 };
  species.reports++;
  species.cost += cost;
  totals.species.set(name, species);
  totals.cost += cost;
  ledger.write(`${totals.lines - 1},${field('Flight Date')},${name},${cost},${totals.cost}\n`);
}
