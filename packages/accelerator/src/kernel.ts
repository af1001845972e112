/**
 * The calls of the Linux kernel that tell written pages: userfaultfd in its asynchronous write-protect mode, and the
 * PAGEMAP_SCAN ioctl (Linux 6.7 and newer). Structures and numbers are those of linux/userfaultfd.h and linux/fs.h.
 *
 * Invariants
 * 1. No privilege is needed: faults are the kernel's own to settle in this mode, so UFFD_USER_MODE_ONLY is enough also for
 *    writes that the kernel makes for the program (a read into a buffer).
 * 2. Both descriptors close at an exec, and nothing is left registered when the first is closed.
 */
import { closeSync, constants, openSync, readdirSync } from 'node:fs';
import koffi, { type LibraryHandle } from 'koffi';
import type { Refused } from './port.js';

/** What the machine says of itself. */
export interface Machine {
  readonly platform: string;
  readonly arch: string;
}

export function thisMachine(): Machine {
  return { platform: process.platform, arch: process.arch };
}

const USERFAULTFD: Readonly<Record<string, number>> = { x64: 323, arm64: 282 };
const UFFD_USER_MODE_ONLY = 1;
const O_CLOEXEC = 0o2000000;
const UFFD_API = 0xaan;
const FEATURE_WP_HUGETLBFS_SHMEM = 1n << 12n;
const FEATURE_WP_UNPOPULATED = 1n << 13n;
const FEATURE_WP_ASYNC = 1n << 15n;
const FEATURES = FEATURE_WP_HUGETLBFS_SHMEM | FEATURE_WP_UNPOPULATED | FEATURE_WP_ASYNC;
const REGISTER_MODE_WP = 2n;
const WRITEPROTECT_MODE_WP = 1n;
const IOCTL = {
  API: 0xc018aa3f,
  REGISTER: 0xc020aa00,
  UNREGISTER: 0x8010aa01,
  WRITEPROTECT: 0xc018aa06,
  PAGEMAP_SCAN: 0xc0606610,
} as const;
/** Write-protects what it reports, and fails with EPERM where memory is not registered. */
const SCAN_FLAGS = 3n;
const PAGE_IS_WRITTEN = 2n;
const SCAN_BYTES = 96n;
const REGIONS = 16_384;
const REGION_WORDS = 6;
const F_GETFL = 3;
const ACCESS_MODE = 3;
const O_DIRECT: number = constants.O_DIRECT ?? 0;

export interface Kernel {
  readonly pageSize: number;
  addressOf(memory: ArrayBufferLike): number;
  /** Registers whole pages and write-protects them. @returns the number of the error, 0 for none */
  protect(start: number, end: number): number;
  unregister(start: number, end: number): void;
  /** Calls `found` for each run of pages written since they were protected, and protects them again. @returns false when it cannot tell */
  scan(start: number, end: number, found: (start: number, end: number) => void): boolean;
  /** Whether a descriptor is open for reading past the page cache: then devices write into memory behind the kernel's back. */
  readsDirectly(): boolean;
  close(): void;
}

export function openKernel({ platform, arch }: Machine): Kernel | Refused {
  const number = USERFAULTFD[arch];
  if (platform !== 'linux') return { refused: `tracking written pages needs Linux 6.7 or newer; this is ${platform}` };
  if (number === undefined) return { refused: `tracking written pages is made for x64 and arm64; this is ${arch}` };
  const library = koffi.load(null);
  const syscall = library.func('long syscall(long number, long argument)');
  const fd = Number(syscall(number, O_CLOEXEC | UFFD_USER_MODE_ONLY));
  if (fd < 0) return { refused: `userfaultfd: ${nameOf(koffi.errno())}${remedyOf(koffi.errno())}` };
  const ioctl = library.func('int ioctl(int fd, unsigned long request, void *argument)');
  const failed = (what: string): Refused => {
    const error = koffi.errno();
    closeSync(fd);
    return { refused: `${what}: ${nameOf(error)}; tracking written pages needs Linux 6.7 or newer` };
  };
  if (ioctl(fd, IOCTL.API, new BigUint64Array([UFFD_API, FEATURES, 0n])) < 0) return failed('userfaultfd, asynchronous write protection');
  let pagemap: number;
  try {
    pagemap = openSync('/proc/self/pagemap', 'r');
  } catch (error) {
    closeSync(fd);
    return { refused: `opening /proc/self/pagemap: ${error instanceof Error ? error.message : error}` };
  }
  return kernelOf({ fd, pagemap, library, ioctl });
}

interface Opened {
  readonly fd: number;
  readonly pagemap: number;
  readonly library: LibraryHandle;
  readonly ioctl: (fd: number, request: number, argument: BigUint64Array) => number;
}

function kernelOf({ fd, pagemap, library, ioctl }: Opened): Kernel {
  const pageSize: number = library.func('int getpagesize()')();
  const flagsOf = library.func('int fcntl(int fd, int command)');
  const range = (start: number, end: number, ...more: bigint[]): BigUint64Array =>
    new BigUint64Array([BigInt(start), BigInt(end - start), ...more]);
  const call = (request: number, argument: BigUint64Array): number => (ioctl(fd, request, argument) < 0 ? koffi.errno() : 0);
  return {
    pageSize,
    // Of a view, because koffi knows no SharedArrayBuffer. User addresses have at most 52 bits.
    addressOf: (memory) => (memory.byteLength === 0 ? 0 : Number(koffi.address(new Uint8Array(memory, 0, 1)))),
    protect: (start, end) =>
      call(IOCTL.REGISTER, range(start, end, REGISTER_MODE_WP, 0n)) || call(IOCTL.WRITEPROTECT, range(start, end, WRITEPROTECT_MODE_WP)),
    unregister: (start, end) => {
      call(IOCTL.UNREGISTER, range(start, end)); // what is not registered any more needs nothing
    },
    scan: scanner(pagemap, ioctl),
    readsDirectly: () => readdirSync('/proc/self/fd').some((name) => isDirectReader(flagsOf(Number(name), F_GETFL))),
    close: () => {
      closeSync(fd);
      closeSync(pagemap);
    },
  };
}

function scanner(pagemap: number, ioctl: Opened['ioctl']): Kernel['scan'] {
  const regions = new Uint32Array(REGIONS * REGION_WORDS);
  const argument = new BigUint64Array(12);
  const regionsAt = BigInt(koffi.address(regions.buffer));
  /** Of 64 bits, without making a bigint for each. */
  const word = (at: number): number => (regions[at] ?? 0) + (regions[at + 1] ?? 0) * 2 ** 32;
  return (start, end, found) => {
    for (let at = start; at < end; ) {
      argument.set([
        SCAN_BYTES,
        SCAN_FLAGS,
        BigInt(at),
        BigInt(end),
        0n,
        regionsAt,
        BigInt(REGIONS),
        0n,
        0n,
        PAGE_IS_WRITTEN,
        0n,
        PAGE_IS_WRITTEN,
      ]);
      const count = ioctl(pagemap, IOCTL.PAGEMAP_SCAN, argument);
      if (count < 0) return false;
      for (let i = 0; i < count; i++) found(word(i * REGION_WORDS), word(i * REGION_WORDS + 2));
      const next = Number(argument[4]);
      if (next <= at) return false;
      at = next;
    }
    return true;
  };
}

function isDirectReader(flags: number): boolean {
  return flags >= 0 && (flags & O_DIRECT) !== 0 && (flags & ACCESS_MODE) !== constants.O_WRONLY;
}

const ERRORS: Readonly<Record<number, string>> = {
  1: 'EPERM',
  12: 'ENOMEM',
  13: 'EACCES',
  16: 'EBUSY',
  22: 'EINVAL',
  23: 'ENFILE',
  24: 'EMFILE',
  38: 'ENOSYS',
};

export function nameOf(error: number): string {
  return ERRORS[error] ?? `error ${error}`;
}

function remedyOf(error: number): string {
  if (error === 1) return '; a seccomp profile, such as that of a container, may forbid it';
  return error === 38 ? '; the kernel was built without it' : '';
}
