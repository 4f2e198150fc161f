import { operating } from './operating.js';
import { runArea } from './run-area.js';

runArea(operating, { store: 'embedded', nodes: ['n1', 'n2', 'n3', 'n4', 'n5', 'spare'] });
