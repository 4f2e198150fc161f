import { describeStore } from './store-contract.js';
import { cached, embeddedHarness } from './testing.js';

describeStore('WatchCache over EmbeddedStore', () => embeddedHarness(cached));
