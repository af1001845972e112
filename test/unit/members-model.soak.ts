/**
 * The model of members-model.test.ts over 20,000 states of each shape, or as many as CKPT_TEST_STATES says. The orders are drawn
 * by that number, so the same number repeats a failure. A shape has more states than that: this is a bound, not all of them.
 */
process.env['CKPT_TEST_STATES'] ??= '20000';

await import('./members-model.test.js');
