// cases.ts: the table of cases.

import type { BenchCase } from './bench-case.js';
import { apiBulkCreate, apiCreate } from './cases/api-create.js';
import { apiGet } from './cases/api-get.js';
import { apiList } from './cases/api-list.js';
import { apiPatch } from './cases/api-patch.js';
import { coldStartDev, coldStartFull } from './cases/cold-start.js';
import { failoverDefault, failoverFast } from './cases/failover.js';
import { agents1000, agents10000 } from './cases/idle-agents.js';
import { memoryFinished, memoryIdle, memoryNodes, memoryQueued } from './cases/memory.js';
import { schedulingCases } from './cases/scheduling/index.js';
import { realAgainstHollow } from './cases/real-against-hollow.js';
import { loadedLatency, submitToRunning } from './cases/submit-to-running.js';
import { truePerSecond1, truePerSecond4 } from './cases/true-per-second.js';
import { watchFanout100, watchFanout1000, watchFanout5000 } from './cases/watch-fanout.js';

export const cases: readonly BenchCase[] = [submitToRunning, loadedLatency, truePerSecond1, truePerSecond4, realAgainstHollow, ...schedulingCases, apiCreate, apiBulkCreate, apiGet, apiList, apiPatch, watchFanout100, watchFanout1000, watchFanout5000, failoverDefault, failoverFast, agents1000, agents10000, memoryIdle, memoryNodes, memoryQueued, memoryFinished, coldStartDev, coldStartFull];
