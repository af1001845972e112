/**
 * How zod is to check: each shape is looked at once or a few times in a program's life, so that it does not pay to have zod make
 * and compile code for it first.
 */
export const INTERPRETED = { jitless: true } as const;
