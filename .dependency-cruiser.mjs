/**
 * The order of the house: a folder of packages/sdk/src imports only from itself and from folders before it in this list.
 */
const FOLDERS = ['base', 'codec', 'image', 'store', 'state', 'files', 'members', 'checkpoint', 'restart', 'triggers', 'tools', 'app'];

/** @type {'error'} */
const ERROR = 'error';
const src = '^packages/sdk/src';
/** What a program, a tool, the command or a thread is started with. Only `ckpt` builds on one of them: on what a tool imports. */
const outside = `${src}/([^/]+\\.ts$|cli/)`;

/** @type {import('dependency-cruiser').IConfiguration} */
export default {
  forbidden: [
    ...FOLDERS.slice(0, -1).map((folder, at) => ({
      name: `${folder}-imports-downward`,
      comment: `${folder}/ may import only from: ${FOLDERS.slice(0, at + 1).join(', ')}`,
      severity: ERROR,
      from: { path: `${src}/${folder}/` },
      to: { path: `${src}/(${FOLDERS.slice(at + 1).join('|')})/` },
    })),
    {
      name: 'outside-is-not-imported',
      comment: 'index, images, member, testing, register, helper-thread and cli stand outside: the folders do not import them',
      severity: ERROR,
      from: { path: `${src}/(?!cli/)` },
      to: { path: outside },
    },
    {
      name: 'cli-uses-the-public-calls',
      comment: 'the command may import images.ts, and none of the other entries',
      severity: ERROR,
      from: { path: `${src}/cli/` },
      to: { path: `${src}/[^/]+\\.ts$`, pathNot: `${src}/images\\.ts$` },
    },
    {
      name: 'unknown-folder',
      comment: 'a new folder needs its place in the order',
      severity: ERROR,
      from: {},
      to: { path: `${src}/[^/]+/`, pathNot: `${src}/(${FOLDERS.join('|')}|cli)/` },
    },
    { name: 'no-cycle', severity: ERROR, from: {}, to: { circular: true } },
    { name: 'resolvable', severity: ERROR, from: {}, to: { couldNotResolve: true } },
    {
      name: 'only-declared-dependencies',
      comment: 'what is published may need only what its package.json lists',
      severity: ERROR,
      from: { path: src },
      to: { dependencyTypes: ['npm-dev', 'npm-no-pkg', 'npm-unknown', 'undetermined'] },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'types', 'node', 'default'] },
  },
};
