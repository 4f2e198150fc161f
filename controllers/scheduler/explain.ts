// explain.ts: why a task fits nowhere, in words for the person who waits for it. Pure.
//
//   0/12 nodes fit: 9 lack cpu (largest free 1500m, needs 4), 3 have taint gpu; would fit if node m3 freed 500m cpu
//
// Each node is counted once, under the first thing that rules it out.

import { formatResource } from '../../api/quantity.js';
import { nodeProblem, type Constraints, type NodeInfo, type NodeProblem } from './filter.js';
import type { Demand } from './pick.js';
import { tasksId, type ResourceRequest } from './resources.js';
import type { Snapshot } from './snapshot.js';

const noNodes = 'no nodes are registered; start an agent on a machine: taskplane agent --kubeconfig FILE --node-name NAME';
/** Most causes that one message lists. */
const causesMax = 6;

/** Nodes that lack the same resources. */
interface Lack {
  ids: readonly number[];
  count: number;
  /** Most that one of the nodes has free of each. */
  largestFree: number[];
}

interface Survey {
  /** Text of what rules nodes out, to how many it does. */
  problems: Map<string, number>;
  lacks: Map<string, Lack>;
  /** The node that must free least, relative to its size, for the task to fit. */
  nearest: { slot: number; missing: number } | undefined;
  /** Whether a node that may take the task has any room problem at all. */
  allowed: number;
}

export function explain(demand: Demand, snapshot: Snapshot): string {
  if (snapshot.nodeCount === 0) return noNodes;
  const { constraints, request } = demand;
  if (constraints.pin !== undefined) return explainPin(constraints, request, snapshot);
  const survey = surveyOf(constraints, request, snapshot);
  const causes = [
    ...[...survey.lacks.values()].map((lack) => ({ count: lack.count, text: lackText(lack, request, snapshot) })),
    ...[...survey.problems].map(([text, count]) => ({ count, text: `${count} ${text}` })),
  ].toSorted((a, b) => b.count - a.count || (a.text < b.text ? -1 : 1));
  const listed = causes.slice(0, causesMax).map((cause) => cause.text);
  const rest = causes.slice(causesMax).reduce((sum, cause) => sum + cause.count, 0);
  if (rest > 0) listed.push(`${rest} for other reasons`);
  return `0/${snapshot.nodeCount} nodes fit: ${listed.join(', ')}${remedy(survey, request, snapshot)}`;
}

function surveyOf(constraints: Constraints, request: ResourceRequest, snapshot: Snapshot): Survey {
  const survey: Survey = { problems: new Map(), lacks: new Map(), nearest: undefined, allowed: 0 };
  for (let slot = 0; slot < snapshot.slotCount; slot++) {
    const node = snapshot.nodeAt(slot);
    if (!node) continue;
    const problem = nodeProblem(constraints, node);
    if (problem) count(survey.problems, problemText(problem));
    else countLack(survey, slot, request, snapshot);
  }
  return survey;
}

function count(counts: Map<string, number>, text: string): void {
  counts.set(text, (counts.get(text) ?? 0) + 1);
}

function problemText(problem: NodeProblem): string {
  switch (problem.kind) {
    case 'taint':
      return `have taint ${problem.text}`;
    case 'label':
      return `lack label ${problem.text}`;
    case 'cordoned':
      return 'are cordoned';
    case 'unreachable':
      return 'are unreachable';
    case 'not-ready':
      return 'are not ready';
    case 'pin':
      return 'are other nodes';
  }
}

function countLack(survey: Survey, slot: number, request: ResourceRequest, snapshot: Snapshot): void {
  survey.allowed++;
  const lacking: number[] = [];
  let missing = 0;
  request.ids.forEach((id, i) => {
    const short = request.amounts[i]! - snapshot.freeAt(slot, id);
    if (short <= 0) return;
    lacking.push(id);
    const allocatable = snapshot.allocatableAt(slot, id);
    missing += request.amounts[i]! <= allocatable ? short / allocatable : Infinity;
  });
  if (missing < (survey.nearest?.missing ?? Infinity)) survey.nearest = { slot, missing };
  // All fits: the node came, or its room was freed, since the task was looked at; it is about to be tried again.
  if (lacking.length === 0) return count(survey.problems, 'have room by now');
  const key = lacking.join(',');
  const lack = survey.lacks.get(key) ?? { ids: lacking, count: 0, largestFree: lacking.map(() => 0) };
  survey.lacks.set(key, lack);
  lack.count++;
  lack.ids.forEach((id, i) => (lack.largestFree[i] = Math.max(lack.largestFree[i]!, snapshot.freeAt(slot, id))));
}

/** `9 lack cpu (largest free 1500m, needs 4)`, `2 lack cpu (largest free 1, needs 4) and memory (largest free 1Gi, needs 2Gi)`. */
function lackText(lack: Lack, request: ResourceRequest, snapshot: Snapshot): string {
  const parts = lack.ids.map((id, i) => {
    if (id === tasksId) return 'room for one more task';
    const name = snapshot.resources.nameOf(id);
    return `${name} (largest free ${formatResource(name, lack.largestFree[i]!)}, needs ${formatResource(name, amountOf(request, id))})`;
  });
  return `${lack.count} lack ${list(parts)}`;
}

function remedy(survey: Survey, request: ResourceRequest, snapshot: Snapshot): string {
  if (survey.nearest && survey.nearest.missing > 0) return `; would fit if node ${snapshot.nameAt(survey.nearest.slot)} freed ${freedText(survey.nearest.slot, request, snapshot)}`;
  if (survey.allowed > 0 && !survey.nearest) return '; no node that it may run on is large enough';
  return '';
}

/** What the node must free: `500m cpu and 1Gi memory`. */
function freedText(slot: number, request: ResourceRequest, snapshot: Snapshot): string {
  const parts: string[] = [];
  request.ids.forEach((id, i) => {
    const short = request.amounts[i]! - snapshot.freeAt(slot, id);
    if (short <= 0) return;
    const name = snapshot.resources.nameOf(id);
    parts.push(id === tasksId ? `${short / 1000} of its tasks` : `${formatResource(name, short)} ${name}`);
  });
  return list(parts);
}

function explainPin(constraints: Constraints, request: ResourceRequest, snapshot: Snapshot): string {
  const pin = constraints.pin!;
  const slot = snapshot.slotOf(pin);
  const node: NodeInfo | undefined = slot === undefined ? undefined : snapshot.nodeAt(slot);
  if (slot === undefined || !node) return `spec.nodeName pins the task to node ${pin}, which is not registered`;
  const problem = nodeProblem(constraints, node);
  if (problem) return `spec.nodeName pins the task to node ${pin}, which ${singular(problemText(problem))}`;
  const lacks: string[] = [];
  request.ids.forEach((id, i) => {
    const free = snapshot.freeAt(slot, id);
    if (free >= request.amounts[i]!) return;
    const name = snapshot.resources.nameOf(id);
    const needs = formatResource(name, request.amounts[i]!);
    if (id === tasksId) lacks.push('room for one more task');
    else if (snapshot.allocatableAt(slot, id) < request.amounts[i]!) lacks.push(`${name} (has ${formatResource(name, snapshot.allocatableAt(slot, id))} in all, needs ${needs})`);
    else lacks.push(`${name} (free ${formatResource(name, Math.max(0, free))}, needs ${needs})`);
  });
  if (lacks.length === 0) return `spec.nodeName pins the task to node ${pin}, which has room by now`;
  return `spec.nodeName pins the task to node ${pin}, which lacks ${list(lacks)}`;
}

function singular(text: string): string {
  return text.replace(/^have /, 'has ').replace(/^are /, 'is ').replace(/^lack /, 'lacks ');
}

function amountOf(request: ResourceRequest, id: number): number {
  return request.amounts[request.ids.indexOf(id)] ?? 0;
}

/** `a`, `a and b`, `a, b and c`. */
function list(parts: readonly string[]): string {
  if (parts.length < 2) return parts.join('');
  return `${parts.slice(0, -1).join(', ')} and ${parts.at(-1)!}`;
}
