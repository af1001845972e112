/**
 * What a start would do, as data: for people, and for a tool that asks the program itself.
 *
 * Invariants
 * 1. A plan is made without any effect on the store, on files or on the program's state.
 */
import type { ImageInfo } from '../checkpoint/request.js';
import type { FilePlan } from '../files/contract.js';
import type { OpaquePolicy } from '../members/protocol.js';
import type { ProviderPlan } from '../state/provider-plan.js';
import type { PassedOver } from './select.js';

/** Set for a program: start() writes its plan there and ends the program. '1' is standard output. */
export const PLAN_VARIABLE = 'CKPT_PLAN';

/** What a start would do with a member. */
export interface MemberPlan {
  readonly name: string;
  readonly kind: 'worker' | 'process';
  /**
   * `match`: recorded and declared. `answered`: recorded, and onMember says where its program lies. `new`: declared, and begins
   * anew. `excluded`: an opaque child that is not started again. `refused`: recorded, and nobody answers for it, or the program
   * declares it opaque. `nested`: the member that had declared it is there, and is to declare it again. `rescale`: the members
   * differ, and the program has a rescale hook, which start() asks; `entry` is there for those of the new set. `recorded`: the
   * program did not say.
   */
  readonly outcome: 'match' | 'answered' | 'new' | 'excluded' | 'nested' | 'rescale' | 'refused' | 'recorded';
  /** It had called finish() before the image was taken. */
  readonly finished: boolean;
  /** Where its program lies; what the image recorded, where the program did not say. */
  readonly entry?: string;
  /** Set for an opaque child, one that does not join. */
  readonly opaque?: OpaquePolicy;
  /** The member that had declared it. */
  readonly parent?: string;
}

export interface StartPlan {
  /** The image that the start would continue from; undefined for a fresh start. */
  readonly image: ImageInfo | undefined;
  /** Newer images of the lineage that it would not take, and why. */
  readonly passedOver: readonly PassedOver[];
  readonly providers: readonly ProviderPlan[];
  readonly members: readonly MemberPlan[];
  /** What would be done to each tracked file. */
  readonly files: readonly FilePlan[];
  /** True when start() would refuse, for a provider, a section, a member or a file. */
  readonly refused: boolean;
  /**
   * False when a registration was refused, which is where a program that is only asked for its plan ends: later providers are
   * not told, and files are not looked at.
   */
  readonly complete: boolean;
}

/** Whether a start with these plans is refused. */
export function isRefused({ providers, members, files }: Pick<StartPlan, 'providers' | 'members' | 'files'>): boolean {
  const provider = providers.some(({ outcome, handling }) => outcome === 'refused' || handling === 'refuse');
  const member = members.some(({ outcome }) => outcome === 'refused');
  return provider || member || files.some(({ refused }) => refused !== undefined);
}
