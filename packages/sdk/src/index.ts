/** What a program imports: `@ckpt/sdk`. */
export type { CheckpointOptions } from './app/arguments.js';
export { Checkpointer, type ProgramClock } from './app/checkpointer.js';
export type { CheckpointEvents, EventName, Listener, StartResult } from './app/events.js';
export { openCheckpointer } from './app/open.js';
export type { CheckpointerOptions, Logger, SignalAction } from './app/options.js';
export type { Duration } from './base/duration.js';
export { CheckpointError, type ErrorCode, type ErrorContext, type ErrorPhase, isCheckpointError } from './base/errors.js';
export type { Clock, FileSystem, Ports } from './base/ports.js';
export type { Handler, HandlerContext } from './checkpoint/handlers.js';
export type { CheckpointBytes, CheckpointResult, CheckpointTimes, ImageInfo, RequestReason } from './checkpoint/request.js';
export type { ClassOptions } from './codec/classes.js';
export type { OpenFilesMode } from './files/audit.js';
export type { FileFlags, FileOptions, FilePolicy, Verification } from './files/contract.js';
export type { FileRule, RulePolicy } from './files/rules.js';
export type { TrackedFile } from './files/tracked-file.js';
export type { PassedOver } from './restart/select.js';
export type { ProvideOptions, StateOptions } from './state/provider.js';
export type { SeededRandom } from './state/random.js';
