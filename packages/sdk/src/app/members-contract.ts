/** What the members of a program are made of. */
import type { Clock } from '../base/ports.js';
import type { ClassRegistry } from '../codec/classes.js';
import type { ImageContents } from '../image/contract.js';
import type { ChannelHooks } from '../members/channel-hooks.js';
import type { MemberSetParts, OnMemberError } from '../members/set-contract.js';
import type { Unclaimed } from '../state/provider-plan.js';
import type { RestoredSection } from '../state/registry.js';

export interface MembersParts {
  readonly clock: Clock;
  readonly classes: ClassRegistry;
  readonly onMemberError: OnMemberError;
  readonly handlerTimeoutMs: number;
  readonly allowUnclaimed: Unclaimed;
  readonly incarnation: number;
  readonly contents: ImageContents | undefined;
  readonly sections: ReadonlyMap<string, RestoredSection>;
  readonly hooks: ChannelHooks;
  readonly signals: readonly string[];
  readonly set: Pick<MemberSetParts, 'advanced' | 'asked' | 'failed' | 'forked' | 'launched' | 'log' | 'nested'>;
  readonly blame: (why: string) => Promise<void>;
}
