import { describeStore } from './store-contract.js';
import { cached, etcdHarness } from './testing.js';

describeStore('WatchCache over EtcdStore', () => etcdHarness(cached));
