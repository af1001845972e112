/**
 * The tests of `npm test`: everything but the long ones (*.soak.ts). Two at a time: many of them start programs of
 * their own, and crash tests are sensitive to a machine that is overloaded. test/types is no part of a run: what it says
 * is proved by the compiler, in `npm run check`.
 */
import { defineConfig, type ViteUserConfig } from 'vitest/config';

const config: ViteUserConfig = {
  test: {
    include: ['test/{unit,conformance,property,crash,compat,e2e}/**/*.test.ts'],
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 60_000,
    reporters: ['default', './scripts/test-summary.mjs'],
  },
};

export default defineConfig(config);
