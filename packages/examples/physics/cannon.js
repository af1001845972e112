/**
 * A pile of boxes and balls that falls and comes to rest, computed by cannon-es: a cyclic graph of instances of some thirty classes.
 *
 *   node cannon.js FOLDER
 *
 * Killed at any moment and started again it ends with the same bits. Writes FOLDER/result.txt at the end.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { openCheckpointer } from '@ckpt/sdk';
import * as CANNON from 'cannon-es';

const STEPS = 900;
const folder = process.argv[2] ?? 'out';
mkdirSync(folder, { recursive: true });
const ckpt = await openCheckpointer({ dir: join(folder, 'ckpt'), every: process.env.CKPT_PHYSICS_EVERY ?? '1s', app: { name: 'cannon' } });

// What the library exports, and the classes of helpers that it keeps to itself. One of them holds a class, a function: it is
// written as the vectors that it keeps, and made anew.
const { bodyOverlapKeeper, contactMaterialTable } = new CANNON.World();
const { Vec3Pool, ...exported } = CANNON;
for (const value of [...Object.values(exported), bodyOverlapKeeper.constructor, contactMaterialTable.constructor]) {
  if (typeof value === 'function') ckpt.registerClass(value.name, /** @type {new () => object} */ (value));
}
ckpt.registerClass('Vec3Pool', Vec3Pool, {
  encode: (pool) => pool.objects,
  decode: (objects) => Object.assign(new Vec3Pool(), { objects }),
});
const sim = ckpt.state('sim', () => ({ step: 0, world: pile() }));
const { restarted } = await ckpt.start();
console.log(restarted ? `going on from step ${sim.step}` : 'beginning');

while (sim.step < STEPS) {
  sim.world.step(1 / 60);
  sim.step++;
  await ckpt.safepoint();
}
writeFileSync(join(folder, 'result.txt'), result());
await ckpt.finish();

function pile() {
  const world = new CANNON.World({ gravity: new CANNON.Vec3(0, -9.82, 0), allowSleep: true });
  const ground = new CANNON.Body({ mass: 0, shape: new CANNON.Plane() });
  ground.quaternion.setFromEuler(-Math.PI / 2, 0, 0);
  world.addBody(ground);
  /** @type {CANNON.Body | undefined} */
  let last;
  for (let i = 0; i < 40; i++) {
    const shape = i % 2 === 0 ? new CANNON.Box(new CANNON.Vec3(0.5, 0.4, 0.6)) : new CANNON.Sphere(0.5);
    const body = new CANNON.Body({ mass: 1 + i / 10, shape, position: new CANNON.Vec3(Math.sin(i) * 1.5, 2 + i * 1.1, Math.cos(i) * 1.5) });
    body.angularVelocity.set(i % 3, i % 5, i % 7);
    world.addBody(body);
    if (last !== undefined && i % 8 === 0) world.addConstraint(new CANNON.DistanceConstraint(last, body, 2));
    last = body;
  }
  return world;
}

/** Every position, orientation and velocity, to the last bit. */
function result() {
  const lines = sim.world.bodies.map(({ position, quaternion, velocity, angularVelocity, sleepState }) => {
    const numbers = [position, quaternion, velocity, angularVelocity].flatMap((vector) => vector.toArray());
    return `${sleepState} ${Buffer.from(new Float64Array(numbers).buffer).toString('hex')}`;
  });
  return `${lines.join('\n')}\n`;
}
