/**
 * Where a walk is: steps linked from the innermost outwards, joined only when somebody asks.
 *
 * Invariant: a step costs the same however deep it lies.
 */
export interface Trail {
  readonly from: Trail | undefined;
  readonly step: string;
}

export function pathOf(trail: Trail): string {
  const steps: string[] = [];
  for (let at: Trail | undefined = trail; at !== undefined; at = at.from) steps.push(at.step);
  return steps.reverse().join('');
}
