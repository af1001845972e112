/** The plan of a restart for providers and sections, as text. */
import type { ProviderPlan, RestartPlan } from '../images.js';
import { droppedText } from './dropped.js';
import { type Terminal, table } from './output.js';
import { printable } from './printable.js';

const COLUMNS = [{ title: 'PROVIDER' }, { title: 'KIND' }, { title: 'PLAN' }] as const;

export function providersText({ providers, asked, askedProblem }: RestartPlan, { outColors: color }: Terminal): string {
  const rows = providers.map((provider) => {
    const plan = { text: planText(provider) };
    return [
      { text: printable(provider.name) },
      { text: printable(provider.kind) },
      isRefused(provider) ? { ...plan, color: color.red } : plan,
    ];
  });
  const reasons = providers.flatMap(({ reason }) =>
    reason === undefined ? [] : [`\n${printable(reason.message, 2_000)} [${reason.code}]\n`],
  );
  const dropped = providers.flatMap(({ name, dropped: one }) => (one === undefined ? [] : [`\n${droppedText(name, one)}`])).join('');
  const said = askedProblem === undefined ? '' : `\n${askedText(asked)}: ${printable(askedProblem, 2_000)}\n`;
  return `${rows.length === 0 ? '' : `\n${table(COLUMNS, rows, color.bold)}`}${dropped}${reasons.join('')}${said}`;
}

export function isRefused({ outcome, handling }: ProviderPlan): boolean {
  return outcome === 'refused' || handling === 'refuse';
}

function askedText(asked: RestartPlan['asked']): string {
  return asked === 'no answer' ? 'the program was asked for its plan and gave none' : 'the program answered only in part';
}

const HANDLING = { refuse: 'unclaimed, refused', carry: 'unclaimed, carried on', drop: 'unclaimed, left out' } as const;

function planText({ outcome, from, to, section, handling, parts }: ProviderPlan): string {
  const renamed = section === undefined ? '' : `, recorded as ${printable(section)}`;
  const alone = parts === undefined ? '' : `, no longer shares objects with ${parts.map((part) => printable(part)).join(', ')}`;
  const what = {
    match: 'match',
    migrate: `migrate ${from}→${to}`,
    default: 'default',
    unclaimed: HANDLING[handling ?? 'refuse'],
    refused: `refused${from === undefined ? '' : `, ${from} recorded, ${to} expected`}`,
    recorded: `recorded, version ${from}`,
  }[outcome];
  return `${what}${renamed}${alone}`;
}
