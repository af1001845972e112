/**
 * What the program tells while it runs: messages to the demo when the demo started it, lines for a person otherwise.
 */
import pc from 'picocolors';
import { STEPS_PER_YEAR } from './system.js';
import { theoryTable } from './tables.js';

/** @import { CheckpointResult, StartResult } from '@ckpt/sdk' */
/** @import { System } from './system.js' */

/**
 * @typedef {{ kind: 'started', year: number, restarted: boolean, finished: boolean, image: string | undefined, capturedAt: number | undefined }} Started
 * @typedef {{ kind: 'committed', image: string, freezeMs: number }} Committed
 * @typedef {{ kind: 'progress', year: number }} Progress
 * @typedef {{ kind: 'ended', digest: string, arcSeconds: number[], output: string }} Ended
 * @typedef {Started | Committed | Progress | Ended} Message
 */

/**
 * How an image is called: by its name, or by its number in the run.
 * @param {CheckpointResult['image'] | undefined} image
 */
function title(image) {
  return image && (image.name ?? `image ${image.generation}`);
}

/**
 * @param {System} system
 * @param {(message: Message) => void} send
 */
function reporter(system, send) {
  const year = () => 2000 + system.step / STEPS_PER_YEAR;
  return {
    /** @param {StartResult} start */
    started({ restarted, finished, image }) {
      send({ kind: 'started', year: year(), restarted, finished, image: title(image), capturedAt: image?.createdAt });
    },
    /** @param {CheckpointResult} result */
    committed({ image, times }) {
      send({ kind: 'committed', image: title(image) ?? image.id, freezeMs: times.freezeMs });
    },
    progress() {
      send({ kind: 'progress', year: year() });
    },
    /**
     * @param {string} digest
     * @param {number[]} arcSeconds
     * @param {string} output
     */
    ended(digest, arcSeconds, output) {
      send({ kind: 'ended', digest, arcSeconds, output });
    },
  };
}

/** @param {Message} message */
function tellPerson(message) {
  switch (message.kind) {
    case 'started':
      if (message.finished) console.log('Already finished; the end again:');
      else if (message.restarted) console.log(`Going on in ${message.year.toFixed(2)} from ${message.image}`);
      else console.log(`Starting in ${message.year.toFixed(2)}`);
      break;
    case 'progress':
      if (message.year % 10 === 0) console.log(pc.dim(`  ${message.year}`));
      break;
    case 'ended':
      console.log(`\n${theoryTable(message.arcSeconds).join('\n')}\n\nstate       ${message.digest}\ntrajectory  ${message.output}`);
      break;
  }
}

/**
 * @param {System} system
 */
export function createReporter(system) {
  return reporter(system, process.send === undefined ? tellPerson : (message) => void process.send?.(message));
}
