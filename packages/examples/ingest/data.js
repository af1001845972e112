/** Where the data set lies: reports of wildlife strikes, a header and 10,000 rows. */
import { fileURLToPath } from 'node:url';

export const DATA = fileURLToPath(new URL('../data/birdstrikes.csv', import.meta.resolve('vega-datasets')));
