/** An opened incarnation: claimed, its source image selected and read, nothing of the program's touched yet. */

import type { Ports } from '../base/ports.js';
import type { Accelerator } from '../checkpoint/accelerator.js';
import type { ClassRegistry } from '../codec/classes.js';
import type { ImageRef } from '../image/contract.js';
import type { Selection } from '../restart/select.js';
import type { Incarnation, Store } from '../store/contract.js';
import type { ResolvedOptions } from './options.js';

export interface Opened {
  readonly resolved: ResolvedOptions;
  readonly ports: Ports;
  readonly store: Store;
  readonly incarnation: Incarnation;
  readonly selection: Selection;
  readonly classes: ClassRegistry;
  readonly accelerator: Accelerator;
  readonly highestGeneration: number;
  readonly startedAt: number;
  readonly warn: (message: string) => void;
  readonly blame: (image: ImageRef, why: string) => Promise<void>;
}

/** The program itself, as a member and as a task. */
export const MAIN = 'main';
