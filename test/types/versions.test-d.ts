/** What a program may write about versions of its state, and what its compiler must refuse. Never run. */
import { type Checkpointer, openCheckpointer, type StandardSchema } from '@ckpt/sdk';
import { assertImageLoads, type ImageRegistration } from '@ckpt/sdk/testing';

/** The interface as https://standardschema.dev states it. */
interface StandardSchemaV1<Input, Output> {
  readonly '~standard': {
    readonly version: 1;
    readonly vendor: string;
    readonly validate: (value: unknown) => Result<Output> | Promise<Result<Output>>;
    readonly types?: { readonly input: Input; readonly output: Output } | undefined;
  };
}
type Result<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | {
      readonly issues: readonly {
        readonly message: string;
        readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
      }[];
    };
declare const library: StandardSchemaV1<{ at: number[] }, { at: number[] }>;

function registrations(ckpt: Checkpointer): void {
  ckpt.state('sim', () => ({ at: [0, 0] }), {
    version: 3,
    migrate: { 1: (old: { x: number }) => ({ at: [old.x] }), 2: (old) => old },
    schema: library,
    validateAtCapture: true,
    was: ['simulation'],
  });
  let rng = 1;
  ckpt.provide('rng', {
    capture: () => rng,
    restore: (value) => {
      rng = value;
    },
    version: 2,
    migrate: { 1: Number },
    was: ['seed'],
  });
  const bare: StandardSchema = { '~standard': { validate: (value) => ({ value }) } };
  ckpt.state('bare', () => ({}), { schema: bare });
  // @ts-expect-error a step is a function
  ckpt.state('s', () => ({}), { version: 2, migrate: { 1: 'x' } });
  // @ts-expect-error no schema
  ckpt.state('s', () => ({}), { schema: {} });
  // @ts-expect-error a list of names
  ckpt.state('s', () => ({}), { was: 'old' });
  // @ts-expect-error steps are numbered
  ckpt.state('s', () => ({}), { migrate: { first: (old: unknown) => old } });
}

async function opening(): Promise<void> {
  const ckpt = await openCheckpointer({ allowUnclaimed: 'carry' });
  await openCheckpointer({ allowUnclaimed: false });
  // @ts-expect-error one of three
  await openCheckpointer({ allowUnclaimed: true });
  const { providers, refused } = await ckpt.planRestart();
  const [first] = providers;
  const outcome: 'match' | 'migrate' | 'default' | 'unclaimed' | 'refused' | 'recorded' | undefined = first?.outcome;
  const { carried, dropped }: { carried: readonly string[]; dropped: readonly string[] } = await ckpt.start();
  const register = (one: ImageRegistration): void => void one.state('sim', () => ({}));
  register(ckpt);
  const { values } = await assertImageLoads('golden.ckpt', register, { allowUnclaimed: 'drop' });
  void [outcome, refused, carried, dropped, values];
}
void [registrations, opening];
