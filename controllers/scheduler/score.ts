// score.ts
//
// How loaded a node is; the least loaded one is chosen. Pure.
//
// Per resource (cpu, memory) the load is the larger of what tasks have asked for and what is really in use, as a share
// of allocatable. What is in use is measured seconds ago, so the requests of tasks placed since are added to it: a
// burst does not pile up on a node that only looks idle. The node's load is halfway between the mean over the
// resources and the largest: the scarcest one counts most, and the other one still decides between equals.

import { tolerates, type Constraints, type NodeInfo } from './filter.js';

/** Every taint PreferNoSchedule that is not tolerated makes a node look this much more loaded: as if it were full. */
export const softTaintPenalty = 1;

/**
 * All in thousandths of the same unit.
 * @param requested what tasks have asked for, in all
 * @param measured what was in use when last measured; 0 when unknown
 * @param recent what tasks placed since then have asked for
 */
export function shareOf(requested: number, measured: number, recent: number, allocatable: number): number {
  if (allocatable <= 0) return 1;
  const used = measured + recent;
  return (requested > used ? requested : used) / allocatable;
}

export function loadOf(cpuShare: number, memoryShare: number): number {
  const mean = (cpuShare + memoryShare) / 2;
  return (mean + (cpuShare > memoryShare ? cpuShare : memoryShare)) / 2;
}

export function penaltyOf(constraints: Constraints, node: NodeInfo): number {
  let penalty = 0;
  for (const taint of node.softTaints) if (!tolerates(constraints.tolerations, taint)) penalty += softTaintPenalty;
  return penalty;
}
