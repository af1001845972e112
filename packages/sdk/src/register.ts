/**
 * `node --import @ckpt/sdk/register program.js`: keeps a SIGUSR1 that arrives before the program has opened its
 * checkpointer, and notes where files are opened, for the report on those that nobody tracks. Imports nothing but the two
 * slots, so that the listener is there as early as possible.
 */
import { watchOpeners } from './files/openers.js';
import { noteEarlySignals } from './triggers/early-signals.js';

noteEarlySignals();
watchOpeners();
