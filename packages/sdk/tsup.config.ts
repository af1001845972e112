/**
 * The build: one file in dist/ for each entry a program, a tool, the command or a thread is started with; what they
 * share goes into chunks beside them, so that `new URL('./helper-thread.js', import.meta.url)` holds in every chunk.
 */
import { defineConfig, type Options } from 'tsup';

const imported = {
  index: 'src/index.ts',
  images: 'src/images.ts',
  member: 'src/member.ts',
  testing: 'src/testing.ts',
  register: 'src/register.ts',
};
const started = {
  cli: 'src/cli/main.ts',
  'helper-thread': 'src/helper-thread.ts',
  'member-link': 'src/member-link.ts',
};

const options: Options = {
  entry: { ...imported, ...started },
  format: ['esm'],
  target: 'node20',
  platform: 'node',
  splitting: true,
  clean: true,
  dts: {
    entry: imported,
    // 6.0: tsup passes `baseUrl`, which TypeScript 6 deprecates. isolatedDeclarations needs `declaration`, which
    // tsup's own declaration pass switches off; the type check of the sources keeps that rule.
    compilerOptions: { ignoreDeprecations: '6.0', isolatedDeclarations: false },
  },
};

export default defineConfig(options) as Options;
