// health.ts: /livez, /readyz and /healthz, each a list of named checks. https://kubernetes.io/docs/reference/using-api/health-checks/

import type { ServerReply } from './message.js';

export interface HealthCheck {
  name: string;
  /** Resolves when all is well. @throws Error saying what is not */
  check(): Promise<void>;
}

/** @param checks in the order of the report. @param excluded names that the caller does not care about */
export async function healthReply(path: string, checks: readonly HealthCheck[], options: { verbose: boolean; excluded: readonly string[] }): Promise<ServerReply> {
  const results = await Promise.all(
    checks.map(async ({ name, check }) => {
      if (options.excluded.includes(name)) return { name, line: `[+]${name} excluded: ok`, failed: false };
      try {
        await check();
        return { name, line: `[+]${name} ok`, failed: false };
      } catch (error) {
        return { name, line: `[-]${name} failed: ${error instanceof Error ? error.message : String(error)}`, failed: true };
      }
    }),
  );
  const failed = results.some((result) => result.failed);
  const headers = { 'content-type': 'text/plain; charset=utf-8', 'cache-control': 'no-cache, private', 'x-content-type-options': 'nosniff' };
  if (!failed && !options.verbose) return { status: 200, headers, body: 'ok' };
  const lines = [...results.map((result) => result.line), `${path} check ${failed ? 'failed' : 'passed'}`, ''];
  return { status: failed ? 503 : 200, headers, body: lines.join('\n') };
}
