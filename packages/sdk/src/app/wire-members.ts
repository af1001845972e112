/**
 * Wires the members of a program to its rooms. No logic of its own: who is told of what.
 *
 * Invariants
 * 1. A round goes on only when the conductor is told; the set decides nothing about phases.
 */
import { callPlace } from '../base/place.js';
import type { HelperThread } from '../checkpoint/background.js';
import type { Conductor } from '../checkpoint/conductor.js';
import type { KeepAlive } from '../checkpoint/keep-alive.js';
import { AskedByMembers } from './asked-by-members.js';
import { DeclaredByMembers } from './declared-by-members.js';
import type { Life } from './life.js';
import { Members } from './members.js';
import type { Opened } from './opened.js';
import { safely } from './safely.js';

interface MemberRooms {
  readonly background: HelperThread;
  readonly keepAlive: KeepAlive;
  readonly conductor: () => Conductor;
  readonly life: () => Life;
}

export function makeMembers(opened: Opened, { background, keepAlive, conductor, life }: MemberRooms): Members {
  const { resolved, ports, incarnation, selection, classes, warn, blame } = opened;
  const asked = new AskedByMembers(conductor);
  const declared = new DeclaredByMembers(
    () => members,
    (call) => life().assertNotEnded(call),
  );
  const members: Members = new Members({
    clock: ports.clock,
    classes,
    onMemberError: resolved.onMemberError,
    handlerTimeoutMs: resolved.handlerTimeoutMs,
    allowUnclaimed: resolved.allowUnclaimed,
    incarnation: incarnation.epoch,
    contents: selection.kind === 'image' ? selection.contents : undefined,
    sections: selection.kind === 'image' ? selection.sections : new Map(),
    signals: Object.keys(resolved.signals),
    hooks: {
      assertOpen: (call) => life().assertTalking(call),
      task: () => life().tasks.current,
      whenGoingOn: (task, take) => conductor().gate.whenGoingOn(task, take),
      during: (work) => keepAlive.during(work),
      safe: (work) => safely(life(), life().tasks.current, callPlace(), work),
      receiving: () => {},
      report: warn,
      hurried: () => conductor().phase.at === 'quiescing',
    },
    set: {
      asked: (from, message) => asked.take(from, message),
      nested: (from, message) => declared.take(from, message),
      advanced: () => conductor().advance(),
      forked: (pid) => incarnation.child(pid),
      failed: (error) => conductor().cancel(error),
      launched: ({ memory }) => {
        background.tick(memory);
        conductor().joined();
      },
      log: warn,
    },
    blame: async (why) => {
      if (selection.kind === 'image') await blame(selection.entry, why);
    },
  });
  return members;
}
