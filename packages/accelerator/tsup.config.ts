/** The build: one module, and koffi beside it. */
import { defineConfig, type Options } from 'tsup';

const options: Options = {
  entry: { index: 'src/index.ts' },
  format: ['esm'],
  target: 'node20',
  platform: 'node',
  clean: true,
  // See packages/sdk/tsup.config.ts.
  dts: { compilerOptions: { ignoreDeprecations: '6.0', isolatedDeclarations: false } },
};

export default defineConfig(options) as Options;
