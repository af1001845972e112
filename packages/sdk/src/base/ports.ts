/**
 * The ports to the outside: file system and clock. Everything that touches a disk or the time goes through these,
 * so that tests can record, kill, fail or drop operations around real files with the code that ships.
 *
 * Invariants
 * 1. A port adds no policy: no retry, no loop over short writes, no error translation. Node's errors pass through.
 * 2. Ports are found by module (`loadPorts`), so a thread that is handed the module's address gets the same ones.
 */

export interface FileStat {
  readonly size: number;
  readonly mode: number;
  readonly dev: number;
  readonly ino: number;
  readonly nlink: number;
  readonly mtimeMs: number;
  readonly birthtimeMs: number;
  isFile(): boolean;
  isDirectory(): boolean;
  isSymbolicLink(): boolean;
}

export interface OpenFile {
  /** May read less than asked; 0 means the end of the file. */
  read(target: Uint8Array, offset: number, length: number, position: number): Promise<number>;
  /** May write less than asked. `position` null writes at the file's own position (or its end, with append). */
  write(source: Uint8Array, offset: number, length: number, position: number | null): Promise<number>;
  /** For an exit, and for programs that never let the event loop turn. */
  writeSync(source: Uint8Array, offset: number, length: number, position: number): number;
  truncate(length: number): Promise<void>;
  sync(): Promise<void>;
  stat(): Promise<FileStat>;
  close(): Promise<void>;
}

export interface FileSystem {
  /** `flags` are those of `fs.constants` (O_RDONLY | O_NOFOLLOW …). */
  open(path: string, flags: number, mode?: number): Promise<OpenFile>;
  mkdir(path: string, mode: number): Promise<void>;
  readdir(path: string): Promise<string[]>;
  lstat(path: string): Promise<FileStat>;
  realpath(path: string): Promise<string>;
  link(existing: string, path: string): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  unlink(path: string): Promise<void>;
  rmdir(path: string): Promise<void>;
  /** Makes the entries of a directory durable. */
  syncDirectory(path: string): Promise<void>;
}

export interface Timer {
  cancel(): void;
  /** Lets the timer keep the process alive, or not (the default). */
  keepAlive(on: boolean): void;
}

export interface Clock {
  /** Wall time, milliseconds since 1970. May jump. */
  now(): number;
  /** Monotonic milliseconds from an arbitrary origin; never jumps back. */
  monotonic(): number;
  /** Fires once after `ms`, however long (setTimeout alone breaks above 2^31-1 ms). */
  timer(ms: number, fire: () => void): Timer;
}

export interface Ports {
  readonly fileSystem: FileSystem;
  readonly clock: Clock;
}
