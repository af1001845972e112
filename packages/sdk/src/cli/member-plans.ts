/** The plan of a restart for members, as text. */
import type { MemberPlan, RestartPlan } from '../images.js';
import { type Terminal, table } from './output.js';
import { printable } from './printable.js';

const COLUMNS = [{ title: 'MEMBER' }, { title: 'KIND' }, { title: 'PLAN' }, { title: 'PROGRAM' }] as const;

const OUTCOMES = {
  match: 'match',
  answered: 'answered for',
  new: 'begins anew',
  excluded: 'not started again',
  nested: 'to be declared by its parent',
  rescale: 'rescale: begins with what the hook gives',
  refused: 'refused: the program neither declares it nor answers for it',
  recorded: 'recorded',
} as const;

export function membersText({ members }: RestartPlan, { outColors: color }: Terminal): string {
  const rows = members.map((member) => {
    const refused = member.outcome === 'refused' && member.opaque !== undefined && member.entry !== undefined;
    const toHook = member.outcome === 'rescale' && member.entry === undefined;
    const plain = toHook ? 'rescale: its state goes to the hook' : OUTCOMES[member.outcome];
    const what = refused ? 'refused: its state is in the image, and the program declares it opaque' : plain;
    const opaque = member.opaque === undefined || refused ? '' : `, opaque (${member.opaque})`;
    const parent = member.parent === undefined ? '' : ` (${printable(member.parent)})`;
    const plan = { text: `${what}${parent}${opaque}${member.finished ? ', finished' : ''}` };
    return [
      { text: printable(member.name) },
      { text: member.kind },
      isRefusedMember(member) ? { ...plan, color: color.red } : plan,
      { text: printable(member.entry ?? '-') },
    ];
  });
  return rows.length === 0 ? '' : `\n${table(COLUMNS, rows, color.bold)}`;
}

export function isRefusedMember({ outcome }: MemberPlan): boolean {
  return outcome === 'refused';
}
