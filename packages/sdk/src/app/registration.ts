/**
 * Registering providers: arguments checked, sections claimed and brought to the program's version, values handed out.
 *
 * Invariants
 * 1. What is refused is not registered; what a section could not be brought to stays refused (state/registry.ts).
 * 2. The initial object is checked like a restored one, so that no image is written that cannot be started from.
 */
import { CheckpointError, inPhase, isCheckpointError } from '../base/errors.js';
import type { Clock } from '../base/ports.js';
import type { ClassOptions, ClassRegistry } from '../codec/classes.js';
import { assertEncodable } from '../codec/codec.js';
import type { Collection, CollectionKey } from '../state/collection.js';
import { openCollection } from '../state/open-collection.js';
import { type ProvideOptions, type StateOptions, WASM_KIND } from '../state/provider.js';
import { SeededRandom } from '../state/random.js';
import type { ProviderRegistry } from '../state/registry.js';
import { assertMilliseconds, RunTimer } from '../state/run-timer.js';
import { assertFits } from '../state/versions.js';
import { WasmInstance, type WasmMemory, type WasmOptions, type WasmSection, wasmProvider } from '../state/wasm.js';
import { assertClassOptions, assertInitial, assertProvideOptions, assertStateArguments } from './arguments.js';

export class Registration {
  readonly #registry: ProviderRegistry;
  readonly #classes: ClassRegistry;
  readonly #clock: Clock;
  /** Which provider has a WebAssembly memory. */
  readonly #memories = new Map<WasmMemory, string>();
  readonly #timers: RunTimer[] = [];

  constructor(registry: ProviderRegistry, classes: ClassRegistry, clock: Clock) {
    this.#clock = clock;
    this.#classes = classes;
    this.#registry = registry;
  }

  registerClass<T extends object>(name: string, maker: abstract new (...args: never[]) => T, options: ClassOptions<T>): void {
    assertClassOptions(name, options);
    this.#classes.add(name, maker, options);
  }

  state<T extends object>(name: string, init: () => T, options: StateOptions): T {
    assertStateArguments(name, init, options);
    this.#classes.close(`state() ('${name}')`);
    let value: T;
    const provider = { version: 1, ...options, name, kind: 'state', capture: (): T => value } as const;
    const claim = this.#registry.add(provider);
    if (claim !== undefined) {
      // Written by a provider of this name, kind and version, or migrated to it: it has the shape that init makes.
      value = claim.value as T;
      return value;
    }
    try {
      value = init();
      assertInitial(name, value);
      assertFits(provider, value, 'register');
      assertEncodable(name, value, this.#classes, options.onUnsupported === 'drop');
    } catch (error) {
      this.#registry.drop(name);
      throw isCheckpointError(error) ? inPhase(error, 'register') : error;
    }
    return value;
  }

  provide<T>(name: string, options: ProvideOptions<T>): void {
    assertProvideOptions(name, options);
    this.#classes.close(`provide() ('${name}')`);
    const { restore } = options;
    // What restore is given is what capture of the same provider and version returned, or was migrated to that.
    this.#registry.add({ version: 1, ...options, name, kind: 'provide', restore: (value) => restore(value as T) });
  }

  wasm(name: string, memory: WasmMemory, options: WasmOptions): void {
    const instance = new WasmInstance(name, memory, options);
    const other = this.#memories.get(memory);
    if (other !== undefined && other !== name) throw memoryTwice(name, other);
    const claim = this.#registry.add({ name, kind: WASM_KIND, version: 1, ...wasmProvider(instance) });
    try {
      if (claim !== undefined) instance.check(claim.value as WasmSection); // a section of this kind holds nothing else
    } catch (error) {
      this.#registry.drop(name);
      throw error;
    }
    this.#memories.set(memory, name);
  }

  collection<K extends CollectionKey, V>(name: string): Collection<K, V> {
    this.#classes.close(`collection() ('${name}')`);
    return openCollection(name, this.#registry, this.#classes) as Collection<K, V>; // as with state(): what was written under this name
  }

  timer(name: string, ms: number, handler: () => void): RunTimer {
    assertMilliseconds(`timer('${name}', ms, handler)`, ms);
    if (typeof handler !== 'function') throw new TypeError(`timer('${name}', ms, handler): expected a function, got ${typeof handler}`);
    const timer = new RunTimer(name, ms, handler, this.#clock);
    const claim = this.#registry.add({ name, kind: 'timer', version: 1, capture: () => timer.capture() });
    if (claim !== undefined) timer.restore(claim.value);
    this.#timers.push(timer);
    return timer;
  }

  /** Timers count from now on. */
  begin(): void {
    for (const timer of this.#timers) timer.begin();
  }

  /** Timers do not fire any more. */
  end(): void {
    for (const timer of this.#timers) timer.end();
  }

  random(name: string, seed: number | string): SeededRandom {
    const random = new SeededRandom(seed);
    const claim = this.#registry.add({ name, kind: 'random', version: 1, capture: () => random.captureState() });
    if (claim !== undefined) random.restoreState(claim.value);
    return random;
  }
}

/** Each would restore it, one over the other. */
function memoryTwice(name: string, other: string): CheckpointError {
  return new CheckpointError(
    'ERR_CKPT_EXISTS',
    `wasm('${name}'): this memory is registered by wasm('${other}') already; register it once, with all globals that belong to it`,
    { provider: name, phase: 'register' },
  );
}
