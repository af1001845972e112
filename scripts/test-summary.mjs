/**
 * The closing lines of a test run, and its counts for other scripts.
 *
 * Invariants
 * 1. Every test that did not run is named, with its reason.
 * 2. With CI=true a test counts as failed when it was skipped because a tool is lacking, or without giving a reason:
 *    a machine that cannot run it must not look as if it had.
 * 3. A file that could not be loaded, and an error outside of any test, count as one failed test each.
 *
 * The counts go to the file named by CKPT_TEST_RESULTS (default: .cache/test-results.json).
 */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

/** @import { Reporter, TestCase, TestModule } from 'vitest/node' */
/** @import { SerializedError } from 'vitest' */

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const resultsFile = process.env['CKPT_TEST_RESULTS'] ?? join(root, '.cache', 'test-results.json');
const inCi = process.env['CI'] === 'true';

/** @typedef {{ name: string, reason: string }} NotRun */

/** @param {TestCase} test @returns {NotRun} */
function notRun(test) {
  const result = test.result();
  const reason = (result.state === 'skipped' && result.note) || 'no reason given';
  return { name: `${relative(root, test.module.moduleId)}: ${test.fullName}`, reason };
}

/** Invariant 2. @param {NotRun} skipped */
function isUnacceptable(skipped) {
  return skipped.reason.startsWith('lacks ') || skipped.reason === 'no reason given';
}

/** @param {string} line */
function say(line) {
  process.stdout.write(`${line}\n`);
}

/** @implements {Reporter} */
export default class TestSummary {
  onInit() {
    rmSync(resultsFile, { force: true });
  }

  /**
   * @param {readonly TestModule[]} modules
   * @param {readonly SerializedError[]} unhandled
   */
  onTestRunEnd(modules, unhandled) {
    const tests = modules.flatMap((module) => [...module.children.allTests()]);
    const unloadable = modules.filter((module) => module.errors().length > 0).length;
    const passed = tests.filter((test) => test.result().state === 'passed').length;
    const broken = tests.filter((test) => test.result().state === 'failed').length;
    const skipped = tests.filter((test) => !['passed', 'failed'].includes(test.result().state)).map(notRun);
    const refused = inCi ? skipped.filter(isUnacceptable) : [];
    const failed = broken + unloadable + unhandled.length + refused.length;
    if (refused.length > 0) process.exitCode = 1;

    for (const { name, reason } of skipped) say(`skipped: ${name} (${reason})`);
    if (refused.length > 0)
      say(`${refused.length} of them count as failed here (CI=true): install what is lacking with scripts/install-test-tools.sh`);
    say(`${passed} passed, ${failed} failed${skipped.length === 0 ? '' : `, ${skipped.length} skipped`}`);
    mkdirSync(dirname(resultsFile), { recursive: true });
    writeFileSync(resultsFile, `${JSON.stringify({ passed, failed, skipped }, null, 2)}\n`);
  }
}
