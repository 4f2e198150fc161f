// run-area.ts: the checks of an area as tests, one each for all kubectls, and their outcomes as a file for docs/kubectl.md.

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe } from '@jest/globals';
import { Kube } from './kube.js';
import { hasIt, type Area, type Check } from './check.js';
import { areaTitles } from './page.js';
import { outcomesFolder, type AreaOutcome, type CheckOutcome } from './outcome.js';
import { stockKubectls } from '../kubectls.js';
import { withCluster } from '../with-cluster.js';
import type { Cluster, ClusterOptions } from '../cluster.js';

/** kubectls that run one check at a time: they wait more than they work. */
const kubectlsAtOnce = 5;
const checkMsMax = 120_000;

/**
 * In a run of the whole suite each area goes through the oldest kubectl, the newest and one in between, in turn: what changed
 * between two versions of kubectl is found by these, and the time does not grow with what the machine happens to have.
 */
const everyKubectl = process.env['TASKPLANE_KUBECTLS'] !== 'some';

/** @param kubes oldest first */
function chosen(kubes: readonly Kube[], title: string): readonly Kube[] {
  if (everyKubectl || kubes.length <= 3) return kubes;
  const between = kubes.slice(1, -1);
  const turn = areaTitles.findIndex((known) => known === title);
  return [kubes[0]!, between[turn % between.length]!, kubes.at(-1)!];
}

/**
 * @param prepare runs once before the checks, for each kubectl
 */
export function runArea({ title, checks }: Area, options: ClusterOptions = { store: 'embedded' }, prepare?: (kube: Kube) => Promise<void>): void {
  describe(`kubectl: ${title}`, () => {
    const { cluster, story } = withCluster(options);
    const kubes: Kube[] = [];
    const outcomes: CheckOutcome[] = [];
    beforeAll(async () => {
      kubes.push(...chosen(await startAll(cluster()), title));
      for (const kube of kubes) await prepare?.(kube);
    }, checkMsMax);
    for (const check of checks) {
      story(`${check.verb} ${check.form}`, async () => {
        const { verb, form, differs } = check;
        const outcome: CheckOutcome = { verb, form, ...(differs === undefined ? {} : { differs }), passed: {} };
        outcomes.push(outcome);
        await runCheck(check, kubes, (options.nodes ?? []).map((short) => cluster().node(short)), outcome);
      }, checkMsMax);
    }
    afterAll(() => {
      // Half a run must not make a page.
      if (outcomes.length !== checks.length || !everyKubectl) return;
      const outcome: AreaOutcome = { title, kubectls: kubes.map((kube) => ({ title: kube.title, minor: kube.minor })), checks: outcomes };
      mkdirSync(outcomesFolder, { recursive: true });
      writeFileSync(join(outcomesFolder, `${title.toLowerCase().replaceAll(' ', '-')}.json`), `${JSON.stringify(outcome, undefined, 1)}\n`);
    });
  });
}

async function startAll(cluster: Cluster): Promise<Kube[]> {
  const kubes = await Promise.all(stockKubectls().map((kubectl) => Kube.start(cluster, kubectl)));
  return kubes.toSorted((a, b) => a.minor - b.minor || a.title.localeCompare(b.title));
}

/** @param nodes one for each kubectl that runs at a time, where the area has so many */
async function runCheck(check: Check, kubes: readonly Kube[], nodes: readonly string[], outcome: CheckOutcome): Promise<void> {
  const failures: string[] = [];
  const left = kubes.filter(({ minor }) => hasIt(check, minor)).values();
  // The workers share one iterator: each takes the next kubectl when it is done with its last.
  const work = async (place: number): Promise<void> => {
    for (const kube of left) {
      kube.node = nodes[place] ?? kube.node;
      try {
        await check.run(kube);
        outcome.passed[kube.title] = true;
      } catch (error) {
        outcome.passed[kube.title] = false;
        failures.push(`kubectl ${kube.title} (1.${kube.minor}): ${error instanceof Error ? error.message : String(error)}`);
        await kube.reopenNode();
      }
    }
  };
  await Promise.all(Array.from({ length: check.alone ? 1 : kubectlsAtOnce }, (_, place) => work(place)));
  if (failures.length > 0) throw new Error(failures.join('\n\n'));
}
