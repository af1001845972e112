/** What an end of a channel needs of the member that it belongs to. */
export interface ChannelHooks {
  /** @throws CheckpointError when this member is done: a message would be lost, or come twice after a restart */
  readonly assertOpen: (call: string) => void;
  /** Whose call this is. */
  readonly task: () => string;
  /** Runs `take` once that task goes on: now, unless it stands. */
  readonly whenGoingOn: (task: string, take: () => void) => void;
  /** Keeps the thread alive while `work` is awaited. */
  readonly during: <T>(work: Promise<T>) => Promise<T>;
  readonly safe: <T>(work: Promise<T>) => Promise<T>;
  readonly receiving: (change: 1 | -1) => void;
  /** Tells the log of the program. */
  readonly report: (message: string) => void;
  /** True while a checkpoint wants the program to come to a safepoint: then nobody is held up by back pressure. */
  readonly hurried: () => boolean;
}
