/** What tests of a program import to hold it against images that older versions wrote: `@ckpt/sdk/testing`. */
export { assertImageLoads, type ImageRegistration, type LoadedImage, type LoadOptions } from './app/golden.js';
export { CheckpointError, type ErrorCode, isCheckpointError } from './base/errors.js';
