// index.ts: the cases about how fast tasks get to their nodes, and through their lives.

import type { BenchCase } from '../../bench-case.js';
import { basicCases } from './basic.js';
import { nodeSelector, taints, unschedulable } from './constrained.js';
import { historyCases } from './history.js';
import { lifecycleCases } from './lifecycle.js';
import { mixedChurn } from './mixed-churn.js';

export const schedulingCases: readonly BenchCase[] = [...basicCases, nodeSelector, taints, unschedulable, mixedChurn, ...historyCases, ...lifecycleCases];
