/**
 * The log behind a collection: its changes as segments, behind those that earlier images hold already.
 *
 * Invariants
 * 1. What a capture took is dirty again unless its image was acknowledged: changed means since the last commit.
 * 2. When the changes written since everything was written are as many bytes as that, everything is written again: a
 *    section is at most about twice what it stands for, and an entry is written again about once for each change.
 */
import type { ClassRegistry } from '../codec/classes.js';
import { Collection, type CollectionKey } from './collection.js';
import { CollectionChanges } from './collection-changes.js';
import { encodeSegment, type ReplayedCollection, SEGMENT, SEGMENTS_1 } from './collection-segments.js';
import { type CapturedLog, COLLECTION_KIND, type SectionLog } from './provider.js';
import type { ProviderRegistry } from './registry.js';

/** Entries that one segment holds of the whole. */
const WHOLE_ENTRIES = 4_096;
/** Changes of fewer bytes are never a reason to write everything. */
const FEW_BYTES = 65_536;
/** Below what a section may have. */
const MOST_BYTES: number = 2 ** 30;

class CollectionLog implements SectionLog {
  readonly #name: string;
  readonly #classes: ClassRegistry;
  #entries = new Map<CollectionKey, unknown>();
  readonly #changes = { now: new CollectionChanges() };
  /** What the last capture took, until its image is acknowledged. */
  #inFlight: { readonly changes: CollectionChanges; readonly length: number; readonly wholeBytes: number } | undefined;
  /** The section in the last acknowledged image; undefined when there is none to follow. */
  #stored: { readonly length: number; readonly wholeBytes: number } | undefined;

  constructor(name: string, classes: ClassRegistry) {
    this.#name = name;
    this.#classes = classes;
  }

  goOn(restored: ReplayedCollection): void {
    // Keys were checked when they were set, and what an image has beside is only compared.
    this.#entries = restored.entries as Map<CollectionKey, unknown>;
    this.#stored = restored;
  }

  collection(): Collection {
    return new Collection(this.#entries, this.#changes);
  }

  /** Proportional to what changed, but for the times when everything is written. */
  capture(): CapturedLog {
    const changes = this.#pending();
    const stored = this.#stored;
    const log = stored === undefined || changes.cleared ? this.#whole() : (this.#following(changes, stored) ?? this.#whole());
    const own = log.chunks.reduce((sum, { length }) => sum + length, 0);
    const wholeBytes = log.follows === 0 ? own : (stored?.wholeBytes ?? 0);
    this.#inFlight = { changes, length: log.follows + own, wholeBytes };
    this.#changes.now = new CollectionChanges();
    return log;
  }

  committed(): void {
    if (this.#inFlight !== undefined) this.#stored = this.#inFlight;
    this.#inFlight = undefined;
  }

  writeWhole(): void {
    this.#stored = undefined;
  }

  /** Invariant 1. */
  #pending(): CollectionChanges {
    const taken = this.#inFlight?.changes;
    if (taken !== undefined) {
      taken.follow(this.#changes.now);
      this.#changes.now = taken;
      this.#inFlight = undefined;
    }
    return this.#changes.now;
  }

  /** Undefined when changes have become as much as the whole. */
  #following(changes: CollectionChanges, stored: { readonly length: number; readonly wholeBytes: number }): CapturedLog | undefined {
    const most = Math.min(stored.wholeBytes + Math.max(stored.wholeBytes, FEW_BYTES), MOST_BYTES);
    if (stored.length > most || changes.size > this.#entries.size + WHOLE_ENTRIES) return undefined;
    const chunks: Uint8Array[] = [];
    const deleted = changes.keysDeleted();
    if (deleted.length > 0) chunks.push(encodeSegment(this.#name, SEGMENT.delete, deleted, this.#classes));
    let some = new Map<unknown, unknown>();
    for (const key of changes.keysSet()) {
      // Only keys of the collection are in its changes.
      some.set(key, this.#entries.get(key as CollectionKey));
      if (some.size < WHOLE_ENTRIES) continue;
      chunks.push(encodeSegment(this.#name, SEGMENT.set, some, this.#classes));
      some = new Map();
    }
    if (some.size > 0) chunks.push(encodeSegment(this.#name, SEGMENT.set, some, this.#classes));
    return { encoding: SEGMENTS_1, follows: stored.length, chunks };
  }

  #whole(): CapturedLog {
    const chunks: Uint8Array[] = [];
    let some = new Map<unknown, unknown>();
    for (const [key, value] of this.#entries) {
      some.set(key, value);
      if (some.size < WHOLE_ENTRIES) continue;
      chunks.push(encodeSegment(this.#name, SEGMENT.whole, some, this.#classes));
      some = new Map();
    }
    if (some.size > 0) chunks.push(encodeSegment(this.#name, SEGMENT.whole, some, this.#classes));
    return { encoding: SEGMENTS_1, follows: 0, chunks };
  }
}

/** Registers a collection, with what the image holds of it. @throws CheckpointError ERR_CKPT_EXISTS, _PHASE, _SCHEMA */
export function openCollection(name: string, registry: ProviderRegistry, classes: ClassRegistry): Collection {
  const log = new CollectionLog(name, classes);
  const claim = registry.add({ name, kind: COLLECTION_KIND, version: 1, capture: () => undefined, log });
  // add() refuses a section of another kind, and one of this kind holds nothing else.
  if (claim !== undefined) log.goOn(claim.value as ReplayedCollection);
  return log.collection();
}
