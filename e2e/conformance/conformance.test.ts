// What clients rely on, checked from outside on the real server, with each store: in the spirit of the conformance tests of
// Kubernetes' own API machinery. One cluster serves all; each test has namespaces of its own.

import { afterAll, beforeAll, describe } from '@jest/globals';
import { stores } from '../cluster.js';
import { ConformanceCluster } from './cluster.js';
import { customResources } from './custom-resources.js';
import { deletions } from './deletions.js';
import { discovery } from './discovery.js';
import { lists } from './lists.js';
import { refusals } from './refusals.js';
import { reviews } from './reviews.js';
import { watches } from './watches.js';
import { writes } from './writes.js';

const startMsMax = 60_000;

describe.each(stores)('on %s', (store) => {
  let started: ConformanceCluster | undefined;
  const cluster = (): ConformanceCluster => {
    if (!started) throw new Error('the cluster did not start; see the failure of beforeAll');
    return started;
  };
  beforeAll(async () => void (started = await ConformanceCluster.start(store)), startMsMax);
  afterAll(async () => started?.close(), startMsMax);

  describe('a list', () => lists(cluster));
  describe('a watch', () => watches(cluster));
  describe('a write', () => writes(cluster));
  describe('a deletion', () => deletions(cluster));
  describe('a refusal', () => refusals(cluster));
  describe('discovery', () => discovery(cluster));
  describe('a kind of one\'s own', () => customResources(cluster));
  describe('a review', () => reviews(cluster));
});
