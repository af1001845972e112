/**
 * The tests of `npm run test:soak`: long loops of the same kind as in `npm test`. One at a time, half an hour each.
 */
import { defineConfig, type ViteUserConfig } from 'vitest/config';

const config: ViteUserConfig = {
  test: {
    include: ['test/**/*.soak.ts'],
    pool: 'forks',
    maxWorkers: 1,
    testTimeout: 1_800_000,
    hookTimeout: 60_000,
    reporters: ['verbose', './scripts/test-summary.mjs'],
  },
};

export default defineConfig(config);
