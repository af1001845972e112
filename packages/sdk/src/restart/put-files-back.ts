/**
 * The part of a start that concerns tracked files: plan, put back, open, and undo when the start fails.
 *
 * Invariants
 * 1. Every file is verified before the epoch is sealed, and changed only after it.
 * 2. A start from a finished image neither looks at files nor opens them.
 */
import { messageOf } from '../base/errors.js';
import type { FileSystem } from '../base/ports.js';
import { Baselines } from '../files/baselines.js';
import { cleanCensuses, withdrawCensus } from '../files/census.js';
import { contentsOf } from '../files/content-sections.js';
import type { StartContext } from '../files/context.js';
import type { FileDeclaration, FilePlan, TrackedFileRecord } from '../files/contract.js';
import type { OpenedFile } from '../files/ends.js';
import { openTracked } from '../files/opening.js';
import { planFiles, refusalOf, shownPlan } from '../files/plan.js';
import type { PlannedFile } from '../files/plan-types.js';
import { type PutBackHold, putBack, recoverPutBack } from '../files/put-back.js';
import type { FileTable } from '../files/table.js';
import type { UntrackedFiles } from '../files/untracked.js';
import type { Incarnation, Store } from '../store/contract.js';
import { quietly } from '../store/failure.js';
import type { Selection } from './select.js';

export interface FilesParts {
  readonly fileSystem: FileSystem;
  readonly store: Store;
  readonly incarnation: Incarnation;
  readonly selection: Selection;
  readonly table: FileTable;
  readonly untracked: UntrackedFiles;
  readonly roots: readonly string[];
  readonly keepTails: boolean;
  /** Where a recorded file lies now that the program has not declared. */
  readonly locate: (record: Pick<TrackedFileRecord, 'path' | 'given'>) => string;
  readonly generation: () => number;
  readonly log: (message: string) => void;
}

export class FilesAtStart {
  readonly #parts: FilesParts;
  readonly #context: StartContext;
  #streams: readonly FileDeclaration[] = [];
  #plans: readonly PlannedFile[] = [];
  #hold: PutBackHold | undefined;
  /** Settles with the opening before. */
  #opening: Promise<unknown> = Promise.resolve();
  #done = false;

  private constructor(parts: FilesParts, context: StartContext) {
    this.#parts = parts;
    this.#context = context;
  }

  static async prepare(parts: FilesParts): Promise<FilesAtStart> {
    const { store, incarnation, selection, fileSystem, roots, keepTails, locate, generation, log } = parts;
    const journal = store.journal(incarnation.epoch);
    const image = selection.kind === 'image' ? selection : undefined;
    const source = image === undefined ? null : { id: image.entry.id, epoch: image.entry.epoch, generation: image.entry.generation };
    return new FilesAtStart(parts, {
      fileSystem,
      journal,
      baselines: await Baselines.load(journal, incarnation.epoch, await store.sources(), source),
      roots,
      epoch: incarnation.epoch,
      source,
      generation,
      keepTails,
      copied: await isCopied(store, image?.entry.epoch ?? incarnation.epoch - 1),
      copiedSince: (epoch) => isCopied(store, epoch),
      contents: (section) => (image === undefined ? undefined : contentsOf(image.contents, section)),
      locate,
      ready: new Set(),
      assertNewest: () => incarnation.assertNewest(),
      log,
    });
  }

  /** Verifies everything (invariant 1). @throws CheckpointError: why files cannot be put back */
  async plan(): Promise<void> {
    const { table, untracked } = this.#parts;
    this.#streams = untracked.declareStdio();
    const declared = [...table.declarations, ...this.#streams];
    await recoverPutBack(declared, this.#context);
    this.#plans = await this.#planAll(declared);
    const refusal = refusalOf(this.#plans);
    if (refusal !== undefined) throw refusal;
  }

  /** What `plan` would find; has no effect, so what an interrupted start left is not put in order first. */
  async preview(): Promise<FilePlan[]> {
    const { table, untracked } = this.#parts;
    return (await this.#planAll([...table.declarations, ...untracked.declareStdio()])).map(shownPlan);
  }

  async #planAll(declared: readonly FileDeclaration[]): Promise<PlannedFile[]> {
    const { table, untracked } = this.#parts;
    const plans = await planFiles([...table.records, ...untracked.records], declared, this.#context);
    return [...plans, ...(await untracked.planLibrary(declared, this.#context))];
  }

  /** Puts everything back and opens what is declared. */
  async apply(): Promise<void> {
    this.#hold = await putBack(this.#plans, this.#context);
    await this.#measureStreams();
    const { table, untracked } = this.#parts;
    await untracked.takeCensus([...table.declarations, ...this.#streams], this.#context);
    await table.start((declaration, record) => this.#open(declaration, record));
  }

  /** The program writes to its standard streams by itself; opening them here tells their baselines, no more. */
  async #measureStreams(): Promise<void> {
    for (const stream of this.#streams) {
      const record = this.#parts.untracked.records.find(({ name }) => name === stream.name);
      const { file } = await openTracked(stream, record, this.#context);
      await file.close();
    }
  }

  /** The start failed: everything is as it was before. */
  async undo(): Promise<void> {
    await this.#parts.table.abandon();
    await this.#hold?.undo();
    await quietly(() => withdrawCensus(this.#context)); // one that stays says the same
  }

  /** The start succeeded. */
  async done(): Promise<void> {
    await this.#hold?.done();
    this.#done = true;
    await this.#tidy();
  }

  /** One after the other: what is kept of one file must not be tidied away while it is written. */
  #open(declaration: FileDeclaration, record: TrackedFileRecord | undefined): Promise<OpenedFile> {
    const opened = this.#opening.then(async () => {
      const file = await openTracked(declaration, record, this.#context);
      if (this.#done && declaration.flags === 'w') await this.#tidy(); // it may have kept what it emptied
      return file;
    });
    this.#opening = opened.catch(() => {});
    return opened;
  }

  /** Only tidying: everything has succeeded without it. */
  async #tidy(): Promise<void> {
    const { store, log } = this.#parts;
    const { baselines, source, epoch, generation } = this.#context;
    try {
      const images = await store.refs();
      await baselines.clean([...images, { epoch, generation: generation() }], source); // the newest capture may not be committed yet
      await cleanCensuses(
        this.#context,
        images.map(({ epoch }) => epoch),
      );
    } catch (error) {
      log(`old baselines of files stay in the journal: ${messageOf(error)}`);
    }
  }
}

/** @param epoch the incarnation whose records of files count; 0 when there was none */
async function isCopied(store: Store, epoch: number): Promise<boolean> {
  return epoch > 0 && (await store.isCopiedSince(epoch));
}
