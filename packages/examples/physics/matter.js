/**
 * Two dimensions, with matter-js: a chain, a stack and a seesaw. Its world is a cyclic graph of plain objects, so nothing has to be
 * registered but the state itself.
 *
 *   node matter.js FOLDER
 *
 * Killed at any moment and started again it ends with the same bits. Writes FOLDER/result.txt at the end.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { openCheckpointer } from '@ckpt/sdk';
import Matter from 'matter-js';

const STEPS = 3000;
const folder = process.argv[2] ?? 'out';
mkdirSync(folder, { recursive: true });
const ckpt = await openCheckpointer({ dir: join(folder, 'ckpt'), every: process.env.CKPT_PHYSICS_EVERY ?? '1s', app: { name: 'matter' } });

const sim = ckpt.state('sim', () => ({ step: 0, engine: seesaw() }));
const { restarted } = await ckpt.start();
console.log(restarted ? `going on from step ${sim.step}` : 'beginning');

while (sim.step < STEPS) {
  Matter.Engine.update(sim.engine, 1000 / 60);
  sim.step++;
  await ckpt.safepoint();
}
writeFileSync(join(folder, 'result.txt'), result());
await ckpt.finish();

function seesaw() {
  const { Bodies, Body, Composite, Composites, Constraint, Engine } = Matter;
  const engine = Engine.create();
  const stack = Composites.stack(120, 20, 6, 6, 2, 2, (/** @type {number} */ x, /** @type {number} */ y) =>
    Bodies.polygon(x, y, 4 + ((x + y) % 3), 14),
  );
  const board = Bodies.rectangle(300, 420, 320, 16);
  const chain = Composites.chain(
    Composites.stack(500, 60, 8, 1, 8, 0, (/** @type {number} */ x, /** @type {number} */ y) => Bodies.circle(x, y, 9)),
    0.4,
    0,
    -0.4,
    0,
    {
      stiffness: 0.9,
      length: 2,
    },
  );
  Composite.add(engine.world, [
    stack,
    board,
    chain,
    Bodies.rectangle(300, 610, 900, 40, { isStatic: true }),
    Constraint.create({ bodyA: board, pointB: { x: 300, y: 420 }, stiffness: 1, length: 0 }),
  ]);
  Body.setAngularVelocity(board, 0.05);
  return engine;
}

/** Every position, angle and velocity, to the last bit. */
function result() {
  const lines = Matter.Composite.allBodies(sim.engine.world).map(({ id, position, angle, velocity, angularVelocity }) => {
    const numbers = [position.x, position.y, angle, velocity.x, velocity.y, angularVelocity];
    return `${id} ${Buffer.from(new Float64Array(numbers).buffer).toString('hex')}`;
  });
  return `${lines.join('\n')}\n`;
}
