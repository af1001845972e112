#!/usr/bin/env node
/**
 * Puts the documents that belong to every published package beside its package.json, from the root of the repository,
 * where they are kept. Runs before `npm pack` and `npm publish`; git ignores the copies.
 *
 *   node scripts/pack-documents.mjs [NAME …]     default: all of them
 */
import { copyFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const wanted = process.argv.slice(2);
for (const name of wanted.length > 0 ? wanted : ['README.md', 'LICENSE', 'CHANGELOG.md'])
  copyFileSync(join(root, name), join(process.cwd(), name));
