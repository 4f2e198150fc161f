import { describeStore } from '../store-contract.js';
import { etcdHarness } from '../testing.js';

describeStore('EtcdStore', () => etcdHarness());
