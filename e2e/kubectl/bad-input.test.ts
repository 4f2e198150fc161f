import { badInput } from './bad-input.js';
import { runArea } from './run-area.js';

runArea(badInput);
