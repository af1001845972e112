/**
 * The fault-injecting file system for tests in one process: real files, every operation recorded.
 *
 * Invariants
 * 1. `operations` holds what was done, in order; `fired` what was made to fail.
 * 2. Bytes are copied when recorded, so that a trace stays true when the caller reuses its memory.
 */
import type { FileSystem, Ports } from '../../packages/sdk/src/base/ports.js';
import { systemClock, systemFileSystem } from '../../packages/sdk/src/base/system-ports.js';
import { type Fault, Faults, faultyFileSystem, type Operation } from './fault-file-system.mjs';

export interface Recording {
  readonly ports: Ports;
  readonly fileSystem: FileSystem;
  readonly operations: Operation[];
  readonly fired: Operation[];
  /** Resolves when a fault has fired; after a halt nothing else settles. */
  readonly firing: Promise<void>;
  /** Resolves when a halt has taken place: its operation is over, and no other is done any more. */
  readonly halted: Promise<void>;
  /** Closes what a halted life left open, as the kernel does when a process ends. */
  abandon(): Promise<void>;
}

export function recordingFileSystem(faults: readonly Fault[] = [], base: FileSystem = systemFileSystem): Recording {
  const operations: Operation[] = [];
  const fired: Operation[] = [];
  let tell: () => void = () => {};
  const firing = new Promise<void>((resolve) => {
    tell = resolve;
  });
  let tellHalted: () => void = () => {};
  const halted = new Promise<void>((resolve) => {
    tellHalted = resolve;
  });
  const onOperation = (operation: Operation): void => {
    operations.push(operation.bytes === undefined ? operation : { ...operation, bytes: operation.bytes.slice() });
  };
  const onFired = (_: Fault, operation: Operation): void => {
    fired.push(operation);
    tell();
  };
  const fileSystem = faultyFileSystem(base, new Faults(faults, { onOperation, onFired, onHalted: () => tellHalted() }));
  return { ports: { fileSystem, clock: systemClock }, fileSystem, operations, fired, firing, halted, abandon: fileSystem.abandon };
}
