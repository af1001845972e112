/**
 * What each worker member was started with, encoded: it goes into every image that holds the member.
 *
 * Invariants
 * 1. Encoded when the member is declared: what the program changes afterwards does not count, as in the worker itself.
 * 2. Shared memory is refused: after a restart it would be shared no more. shared() is for that.
 */
import { CheckpointError } from '../base/errors.js';
import { encodedSection } from './encoded-section.js';
import type { CapturedMember } from './protocol.js';

const SECTION = 'ckpt:workerData';
const NOTHING: CapturedMember = { sections: [], buffers: [], stateBytes: 0, dirtyBytes: 0 };

export class WorkerDataTable {
  readonly #encoded = new Map<string, CapturedMember>();

  /** @throws CheckpointError ERR_CKPT_UNSUPPORTED_VALUE */
  add(name: string, data: unknown): void {
    if (data === undefined) {
      this.#encoded.delete(name);
      return;
    }
    refuseShared(name, data, new Set());
    this.#encoded.set(name, encodedSection(name, { name: SECTION, kind: 'worker-data' }, data));
  }

  /** Copies: what is persisted is handed over to the helper thread. */
  captured(name: string): CapturedMember {
    const data = this.#encoded.get(name) ?? NOTHING;
    return { ...data, sections: data.sections.map((section) => ({ ...section, chunks: section.chunks.map((chunk) => chunk.slice()) })) };
  }
}

function refuseShared(member: string, value: unknown, seen: Set<object>): void {
  if (typeof value !== 'object' || value === null || seen.has(value)) return;
  seen.add(value);
  const memory: unknown = ArrayBuffer.isView(value) ? value.buffer : value;
  if (memory instanceof SharedArrayBuffer) {
    throw new CheckpointError(
      'ERR_CKPT_UNSUPPORTED_VALUE',
      `worker('${member}', …, { workerData }): it holds shared memory, which a restart could not give back as shared; make it with shared(name, bytes) and ask for it by name in the member`,
      { member, phase: 'register' },
    );
  }
  if (ArrayBuffer.isView(value)) return;
  const parts: Iterable<unknown> = value instanceof Map ? [...value].flat() : value instanceof Set ? value : Object.values(value);
  for (const part of parts) refuseShared(member, part, seen);
}
