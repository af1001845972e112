/**
 * `@ckpt/sdk/images`: what a tool imports to work on the images of a store, and to ask its running program.
 *
 * Every call takes the store directory first (default: CKPT_DIR, else ./ckpt) and creates nothing by looking.
 */
export { CheckpointError, ERROR_CODES, type ErrorCode, isCheckpointError } from './base/errors.js';
export type { CheckpointBytes, CheckpointTimes, ImageInfo } from './checkpoint/request.js';
export { Tagged } from './codec/classes.js';
export type { DroppedValues } from './codec/contract.js';
export type { FilePlan, PutBack } from './files/contract.js';
export type { Root } from './files/mapped-paths.js';
export type { MemberPlan } from './restart/plan.js';
export type { PassedOver } from './restart/select.js';
export type { ProviderPlan } from './state/provider-plan.js';
export type { CreatedCheckpoint } from './tools/checkpoint-order.js';
export { type CreateOptions, createCheckpoint } from './tools/create-checkpoint.js';
export type { ChangedElements } from './tools/diff-elements.js';
export { type ComparedImage, type Difference, type DiffOptions, type DiffSide, diffImages, type ImagesDiff } from './tools/diff-images.js';
export type { DifferentPart, Mark } from './tools/diff-parts.js';
export type { ExportedFile } from './tools/export-files.js';
export { type ExportedImage, type ExportOptions, exportImage } from './tools/export-image.js';
export { type BufferDetails, type ImageDetails, type SectionDetails, type StoredBytes, statImage } from './tools/image-details.js';
export { type ImportedImage, type ImportOptions, importImage } from './tools/import-image.js';
export { type ListedDamage, type ListedImage, listImages } from './tools/inventory.js';
export type { ProgramOwner } from './tools/open-store.js';
export { type OpenedImage, type ReadOptions, readImage } from './tools/read-image.js';
export { type RemovedImage, removeImage } from './tools/remove-image.js';
export { type RestartOptions, restartImage } from './tools/restart-image.js';
export type { RestartPlan } from './tools/restart-plan.js';
export type { ProgramExit } from './tools/start-program.js';
export { type FoundDamage, type VerifiedImage, type VerifyOptions, type VerifyProgress, verifyImage } from './tools/verify-images.js';
