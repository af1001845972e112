/**
 * Who a process is, and whether a recorded process still lives.
 *
 * Invariants
 * 1. A pid alone says nothing: the same boot, the same pid namespace and the same start time make an identity.
 * 2. `dead` is said only of a process that certainly is; where this process cannot look, the answer is `unknown`.
 * 3. A zombie is dead, a stopped process is alive.
 * 4. Only a process with exactly the recorded identity is ever signalled.
 *
 * What the kernel tells about processes is read straight from it, not through the file-system port: it is no
 * storage, and a fault injected into storage must not change who is alive.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync, readlinkSync } from 'node:fs';
import { hostname, uptime } from 'node:os';
import { systemCode } from '../base/errors.js';
import type { Clock, Ports } from '../base/ports.js';
import { systemClock } from '../base/system-ports.js';
import type { EpochRecord, OwnerIdentity } from './contract.js';

export type Liveness = 'alive' | 'dead' | 'unknown';

interface ProcessState {
  readonly pid: number;
  readonly state: string;
  readonly startTime: string;
}

/** `/proc/<pid>/stat`; the command in it may hold blanks and brackets, so fields count from the last ')'. */
function processState(pid: number | 'self'): ProcessState | undefined {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/stat`, 'latin1');
  } catch {
    return undefined;
  }
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const [state, startTime] = [fields[0], fields[19]];
  return state === undefined || startTime === undefined ? undefined : { pid: Number.parseInt(text, 10), state, startTime };
}

function output(command: string, args: readonly string[]): string | undefined {
  try {
    return execFileSync(command, args, { encoding: 'utf8', timeout: 5_000, stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  } catch {
    return undefined;
  }
}

function bootIdentity(clock: Clock): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  } catch {
    const session = process.platform === 'darwin' ? output('sysctl', ['-n', 'kern.bootsessionuuid']) : undefined;
    // The minute of the boot; a wrong answer only makes the heartbeat decide.
    return session ?? `minute ${Math.round((clock.now() / 1_000 - uptime()) / 60)}`;
  }
}

function pidNamespace(): string {
  try {
    return readlinkSync('/proc/self/ns/pid');
  } catch {
    return '';
  }
}

function startTimeOf(pid: number): string {
  if (process.platform === 'darwin') return output('ps', ['-o', 'lstart=', '-p', String(pid)]) ?? '';
  return processState(pid === process.pid ? 'self' : pid)?.startTime ?? '';
}

let own: OwnerIdentity | undefined;

/** The identity of this process. */
export function currentOwner(ports: Pick<Ports, 'clock'>): OwnerIdentity {
  own ??= {
    host: hostname(),
    boot: bootIdentity(ports.clock),
    pidNamespace: pidNamespace(),
    pid: process.pid,
    startTime: startTimeOf(process.pid),
  };
  return own;
}

/** The identity of a process that this one has started, and which lives. */
export function identityOf(pid: number, me: OwnerIdentity): OwnerIdentity {
  return { ...me, pid, startTime: startTimeOf(pid) };
}

/** True when this process can look at that one: same boot and same pid namespace. */
function isNear(owner: OwnerIdentity, me: OwnerIdentity): boolean {
  return owner.boot === me.boot && owner.pidNamespace === me.pidNamespace;
}

/** True when some process has that pid, whoever it is. */
export function processExists(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (cause) {
    return systemCode(cause) !== 'ESRCH';
  }
}

function livenessOnLinux(owner: OwnerIdentity): Liveness {
  // /proc may be mounted for another pid namespace: then its numbers are not ours.
  if (processState('self')?.pid !== process.pid) return 'unknown';
  const found = processState(owner.pid);
  // Hidden processes (hidepid) exist without a /proc entry.
  if (found === undefined) return processExists(owner.pid) ? 'unknown' : 'dead';
  return found.startTime === owner.startTime && found.state !== 'Z' && found.state !== 'X' ? 'alive' : 'dead';
}

function livenessElsewhere(owner: OwnerIdentity): Liveness {
  if (!processExists(owner.pid)) return 'dead';
  const startTime = startTimeOf(owner.pid);
  if (startTime !== owner.startTime) return 'dead';
  const zombie = process.platform === 'darwin' && output('ps', ['-o', 'stat=', '-p', String(owner.pid)])?.startsWith('Z');
  return zombie === true ? 'dead' : 'alive';
}

/** What can be told of a recorded process from here. `me` is this process's identity. */
export function livenessOf(owner: OwnerIdentity, me: OwnerIdentity): Liveness {
  if (!isNear(owner, me)) return 'unknown';
  return process.platform === 'linux' ? livenessOnLinux(owner) : livenessElsewhere(owner);
}

/** True when that very process certainly lives. */
export function isAlive(owner: OwnerIdentity): boolean {
  return livenessOf(owner, currentOwner({ clock: systemClock })) === 'alive';
}

/** Ends that very process (invariant 4). @returns false when it is not alive, not near, or is this process */
export function endProcess(owner: OwnerIdentity, me: OwnerIdentity): boolean {
  if (owner.pid === process.pid || livenessOf(owner, me) !== 'alive') return false;
  process.kill(owner.pid, 'SIGKILL');
  return true;
}

/** One line for people: who, where, what, since when. */
export function describeOwner({ owner, command, claimedAt }: EpochRecord): string {
  const line = [command.execPath, ...command.argv].join(' ');
  const shown = line.length > 200 ? `${line.slice(0, 200)}…` : line;
  return `process ${owner.pid} on ${owner.host} (${shown}), owner since ${new Date(claimedAt).toISOString()}`;
}
