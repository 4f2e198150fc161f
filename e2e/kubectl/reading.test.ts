import { prepareReading, reading } from './reading.js';
import { runArea } from './run-area.js';

runArea(reading, { store: 'embedded' }, prepareReading);
