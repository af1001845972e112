/** What the codec is measured on. Pseudo-random, and the same in every run. */

export class Particle {
  /** @param {number} id */
  constructor(id) {
    this.id = id;
    this.position = { x: id * 0.37, y: id * 1.13 };
    this.mass = 1 + (id % 10) / 7;
    /** @type {Particle | null} */
    this.next = null;
    /** @type {Particle[]} */
    this.near = [];
  }
}

const RECORDS = 1_000_000;
const BRANCHES = 330_000;
const NODES = 200_000;

/** @param {string} set @returns {any} */
export function makeData(set) {
  if (set === 'records') {
    const records = new Map();
    for (let i = 0; i < RECORDS; i++)
      records.set(`key${i}`, { id: i, x: (i * 7919) / 3, y: i / 2, name: `n${i % 1000}`, alive: i % 3 === 0 });
    return records;
  }
  if (set === 'tree') {
    return Array.from({ length: BRANCHES }, (_, i) => ({
      id: i,
      kind: `kind${i % 7}`,
      at: [i, i / 3],
      tags: ['a', `tag${i % 100}`],
      parent: i % 2 === 0 ? null : { id: i >> 1, label: `label ${i}` },
      done: i % 5 === 0,
    }));
  }
  const nodes = Array.from({ length: NODES }, (_, id) => new Particle(id));
  for (const [i, node] of nodes.entries()) {
    node.next = nodes[(i + 1) % NODES] ?? null;
    for (const step of [7919, 31]) node.near.push(nodes[(i * step) % NODES] ?? node);
  }
  return nodes[0];
}
