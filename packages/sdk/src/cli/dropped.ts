/** What an image lacks of a section, because its provider asked to leave it out, as text. */
import type { SectionDetails } from '../images.js';
import { printable } from './printable.js';

export function droppedText(name: string, { count, first }: NonNullable<SectionDetails['dropped']>): string {
  const places = first.map(({ path, what }) => `\n  ${printable(path, 300)} (${printable(what)})`).join('');
  const more = count > first.length ? `\n  and ${count - first.length} more` : '';
  return `left out of ${printable(name)}, because it cannot be carried:${places}${more}\n`;
}
