// config.ts: client-node set up as its users do it.

import { KubeConfig } from '@kubernetes/client-node';
import type { Cluster } from '../cluster.js';

export function configOf(cluster: Cluster): KubeConfig {
  const config = new KubeConfig();
  config.loadFromFile(cluster.processes.adminKubeconfig);
  return config;
}

/** What client-node throws has a code, and a body that is text. @throws Error when the call succeeds */
export async function failureOf(call: Promise<unknown>): Promise<{ code: number; reason: string }> {
  try {
    await call;
  } catch (error) {
    const { code, body } = error as { code: number; body: string };
    return { code, reason: (JSON.parse(body) as { reason: string }).reason };
  }
  throw new Error('the call succeeded');
}
