/**
 * Numbers of devices and inodes in records. Some file systems (overlays, networks) give inodes beyond 2^53: what stands for
 * them, here and where they are looked up, is the nearest double, which neighbours share: equal numbers do not say that it is
 * the same file, unequal ones say that it is not.
 */
import { z } from 'zod';

export const FILE_NUMBER: z.ZodType<number> = z.number().nonnegative().refine(Number.isInteger, 'expected a whole number');
