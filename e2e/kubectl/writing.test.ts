import { writing } from './writing.js';
import { runArea } from './run-area.js';

runArea(writing);
