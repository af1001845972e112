/** What the program of a worker member imports: `@ckpt/sdk/member`. */
export { joinCheckpointer } from './app/join.js';
export { MemberCheckpointer } from './app/member-checkpointer.js';
export type { MemberStart } from './app/member-life.js';
export type { ChildOptions, WorkerOptions } from './app/member-options.js';
export type { Channel } from './members/channel.js';
export type { MemberHandle } from './members/participant.js';
export type { ChannelRequest } from './members/requests.js';
