/**
 * What a program and its members register alike, before start(): state in all its forms, and handlers.
 *
 * Invariants
 * 1. After start() nothing is registered any more: ERR_CKPT_PHASE.
 * 2. Timers count from start() on, and not after the end.
 */
import type { Clock } from '../base/ports.js';
import type { Handler, Handlers } from '../checkpoint/handlers.js';
import type { ClassOptions, ClassRegistry } from '../codec/classes.js';
import type { Collection, CollectionKey } from '../state/collection.js';
import type { ProvideOptions, StateOptions } from '../state/provider.js';
import type { SeededRandom } from '../state/random.js';
import type { ProviderRegistry } from '../state/registry.js';
import type { RunTimer } from '../state/run-timer.js';
import type { WasmMemory, WasmOptions } from '../state/wasm.js';
import { Registration } from './registration.js';

interface RegisteringParts {
  readonly registry: ProviderRegistry;
  readonly classes: ClassRegistry;
  readonly handlers: Handlers;
  /** @throws CheckpointError ERR_CKPT_PHASE after start() */
  assertRegistering(call: string): void;
}

export abstract class Registering {
  readonly #parts: RegisteringParts;
  readonly #registration: Registration;

  /** @internal */
  protected constructor(parts: RegisteringParts, clock: Clock) {
    this.#parts = parts;
    this.#registration = new Registration(parts.registry, parts.classes, clock);
  }

  /** @internal */
  protected begun(): void {
    this.#registration.begin();
  }

  /** @internal */
  protected ended(): void {
    this.#registration.end();
  }

  /**
   * Registers a class, so that its instances can be part of the state: they come back with the prototype of the class, the
   * constructor does not run. Without `encode` and `decode` their own properties are carried; with them, what `encode` returns.
   * @param name what images call the class
   * @throws TypeError for a bad argument, a name or class that is registered already, a class with private fields and no
   *   `encode`, or after the first state() or provide()
   */
  registerClass<T extends object>(name: string, maker: abstract new (...args: never[]) => T, options: ClassOptions<T> = {}): void {
    this.#parts.assertRegistering(`registerClass('${name}')`);
    this.#registration.registerClass(name, maker, options);
  }

  /**
   * Registers an object as state and returns it: the one of the image, or what `init` makes. It is captured by
   * reference from then on, so change it in place.
   * @throws TypeError for a primitive; CheckpointError ERR_CKPT_EXISTS, ERR_CKPT_PHASE, ERR_CKPT_SCHEMA, ERR_CKPT_UNSUPPORTED_VALUE
   */
  state<T extends object>(name: string, init: () => T, options: StateOptions = {}): T {
    this.#parts.assertRegistering(`state('${name}')`);
    return this.#registration.state(name, init, options);
  }

  /** Registers a capture function and a restore function. @throws CheckpointError ERR_CKPT_EXISTS, _PHASE, _SCHEMA */
  provide<T>(name: string, options: ProvideOptions<T>): void {
    this.#parts.assertRegistering(`provide('${name}')`);
    this.#registration.provide(name, options);
  }

  /** A seedable generator whose place in its sequence is part of every image. */
  random(name: string, seed: number | string): SeededRandom {
    this.#parts.assertRegistering(`random('${name}')`);
    return this.#registration.random(name, seed);
  }

  /**
   * Runs `handler` once, `ms` milliseconds of run time after start(): what is left of it is part of every image, and it stands
   * while the program is down. It does not keep the program alive.
   * @throws TypeError; CheckpointError ERR_CKPT_EXISTS, _PHASE, _SCHEMA
   */
  timer(name: string, ms: number, handler: () => void): RunTimer {
    this.#parts.assertRegistering(`timer('${name}')`);
    return this.#registration.timer(name, ms, handler);
  }

  /**
   * Registers the memory of a WebAssembly instance, and exported mutable globals. start() puts them into the program's new
   * instance, before the atRestart handlers: register right after it is made.
   * @throws TypeError for an immutable global; CheckpointError ERR_CKPT_EXISTS, ERR_CKPT_PHASE, ERR_CKPT_SCHEMA
   */
  wasm(name: string, memory: WasmMemory, options: WasmOptions = {}): void {
    this.#parts.assertRegistering(`wasm('${name}')`);
    this.#registration.wasm(name, memory, options);
  }

  /**
   * A Map whose checkpoint costs what changed. Values count as they are at the checkpoint after `set`; what is changed in
   * place has to be set again, or told with `touch(key)`.
   * @throws CheckpointError ERR_CKPT_EXISTS, ERR_CKPT_PHASE, ERR_CKPT_SCHEMA
   */
  collection<K extends CollectionKey, V>(name: string): Collection<K, V> {
    this.#parts.assertRegistering(`collection('${name}')`);
    return this.#registration.collection(name);
  }

  /** Runs before each capture, newest registration first. */
  atCheckpoint(handler: Handler): void {
    this.#parts.assertRegistering('atCheckpoint()');
    this.#parts.handlers.add('atCheckpoint', handler);
  }

  /** Runs when the same process goes on, also after a failed checkpoint; oldest registration first. */
  atResume(handler: Handler): void {
    this.#parts.assertRegistering('atResume()');
    this.#parts.handlers.add('atResume', handler);
  }

  /** Runs in a new process once its state is restored; oldest registration first. */
  atRestart(handler: Handler): void {
    this.#parts.assertRegistering('atRestart()');
    this.#parts.handlers.add('atRestart', handler);
  }
}
