/** Curves of a run as an SVG picture, both axes by powers of ten. */

/** @import { Row } from './lines.mjs' */

/** @type {Record<string, { title: string, x: string }>} */
const TITLES = {
  'growth-size': { title: 'One array, all of it changed', x: 'size of the state, MiB' },
  'growth-providers': { title: '64 MiB of state in so many providers, all of it changed', x: 'providers' },
  'growth-workers': { title: 'Worker threads', x: 'worker threads' },
  'growth-processes': { title: 'Forked processes', x: 'forked processes' },
  'growth-changes': { title: 'Freeze of 256 MiB', x: 'pages changed at random, %' },
};
const COLOURS = ['#0b6e99', '#b3541e', '#4f7a28', '#7d3c98', '#555555'];
const WIDTH = 720;
const HEIGHT = 420;
const LEFT = 64;
const RIGHT = 200;
const TOP = 44;
const BOTTOM = 52;

/** @param {Row[]} rows @returns {Map<string, string>} pictures by name */
export function pictures(rows) {
  /** @type {Map<string, Map<string, [number, number][]>>} */
  const found = new Map();
  for (const { point, median } of rows) {
    if (point === undefined || !Number.isFinite(median)) continue;
    const curves = found.get(point.picture) ?? new Map();
    found.set(point.picture, curves.set(point.curve, [...(curves.get(point.curve) ?? []), [point.x, Math.max(median, 0.01)]]));
  }
  return new Map([...found].map(([name, curves]) => [name, draw(TITLES[name] ?? { title: name, x: '' }, curves)]));
}

/** @param {number[]} values @param {number} from @param {number} to */
function scale(values, from, to) {
  const low = Math.floor(Math.log10(Math.min(...values)));
  const high = Math.max(low + 1, Math.ceil(Math.log10(Math.max(...values))));
  const ticks = Array.from({ length: high - low + 1 }, (_, step) => 10 ** (low + step));
  /** @param {number} value */
  const place = (value) => from + ((Math.log10(value) - low) / (high - low)) * (to - from);
  return { ticks, place };
}

/** @param {{ title: string, x: string }} texts @param {Map<string, [number, number][]>} curves */
function draw(texts, curves) {
  const points = [...curves.values()].flat();
  const across = scale(
    points.map(([x]) => x),
    LEFT,
    WIDTH - RIGHT,
  );
  const up = scale(
    points.map(([, y]) => y),
    HEIGHT - BOTTOM,
    TOP,
  );
  const lines = across.ticks.map((tick) => {
    const x = across.place(tick).toFixed(1);
    return `<path d="M${x} ${TOP}V${HEIGHT - BOTTOM}" stroke="#ddd"/>${text(Number(x), HEIGHT - BOTTOM + 18, label(tick), 'middle')}`;
  });
  const levels = up.ticks.map((tick) => {
    const y = up.place(tick).toFixed(1);
    return `<path d="M${LEFT} ${y}H${WIDTH - RIGHT}" stroke="#ddd"/>${text(LEFT - 8, Number(y) + 4, label(tick), 'end')}`;
  });
  const drawn = [...curves].map(([name, list], index) => {
    const colour = COLOURS[index % COLOURS.length] ?? '#000';
    const sorted = [...list].sort(([a], [b]) => a - b).map(([x, y]) => `${across.place(x).toFixed(1)} ${up.place(y).toFixed(1)}`);
    const dots = sorted.map((at) => `<circle cx="${at.split(' ')[0]}" cy="${at.split(' ')[1]}" r="3" fill="${colour}"/>`).join('');
    const path = `<path d="M${sorted.join('L')}" fill="none" stroke="${colour}" stroke-width="2"/>`;
    const key = `<path d="M${WIDTH - RIGHT + 12} ${TOP + 20 * index}h18" stroke="${colour}" stroke-width="2"/>`;
    return `${path}${dots}${key}${text(WIDTH - RIGHT + 36, TOP + 20 * index + 4, name, 'start')}`;
  });
  const frame = [text(LEFT, 22, texts.title, 'start', 15), text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 12, texts.x, 'middle')];
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="12">`,
    `<title>${texts.title}</title>`,
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="#fff"/>`,
    ...frame,
    ...lines,
    ...levels,
    ...drawn,
    '</svg>\n',
  ].join('\n');
}

/** @param {number} x @param {number} y @param {string} words @param {'start' | 'middle' | 'end'} anchor @param {number} [size] */
function text(x, y, words, anchor, size = 12) {
  return `<text x="${x}" y="${y}" text-anchor="${anchor}" font-size="${size}">${words}</text>`;
}

/** @param {number} value */
function label(value) {
  return value >= 1 ? String(Math.round(value)) : String(Number(value.toPrecision(1)));
}
