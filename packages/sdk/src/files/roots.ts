/**
 * Whether a start could put a file back whose path only an image tells: asked while the program can still be told.
 *
 * Invariants
 * 1. The answer is that of `inspect.ts` for a path that nobody has registered, as things are now.
 */
import { dirname, join, relative, resolve } from 'node:path';
import { realFolder } from './descriptors.js';
import { isBelow } from './inspect.js';

/** Below one of the roots, and through no symbolic link from there. Synchronous. */
export function isWithinRoots(path: string, roots: readonly string[]): boolean {
  return roots.some((root) => {
    const real = realFolder(root);
    const below = resolve(root);
    if (!isBelow(real, path) && !isBelow(below, path)) return false;
    const there = dirname(isBelow(real, path) ? path : join(real, relative(below, path)));
    return realFolder(there) === there;
  });
}
