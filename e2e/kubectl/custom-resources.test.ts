import { customResources, prepareCustomResources } from './custom-resources.js';
import { runArea } from './run-area.js';

runArea(customResources, { store: 'embedded' }, prepareCustomResources);
