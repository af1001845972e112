/**
 * How zod is to check: each shape is looked at once or a few times in a program's life, and the code that zod would otherwise
 * make and compile for it first costs more than a start of the program from a small image does altogether.
 */
export const INTERPRETED = { jitless: true } as const;
