// failure.ts: what the user reads when a command cannot do what it was asked, and the exit code that goes with it.

import { ApiError } from '../api/errors.js';
import { TransportError } from '../api/transport.js';

/** Printed as it is after `error: `; for what the user can put right. */
export class CliError extends Error {
  override readonly name = 'CliError';
  constructor(message: string, readonly exitCode = 1, options?: ErrorOptions) {
    super(message, options);
  }
}

/** One or more lines for standard error, without the final newline, in the words of kubectl. */
export function failureText(error: unknown, server?: string): string {
  if (error instanceof CliError) return `error: ${error.message}`;
  if (error instanceof ApiError) {
    if (error.reason === 'Unauthorized') return 'error: You must be logged in to the server (Unauthorized): its certificate authority did not sign your credentials; use the kubeconfig that this server wrote';
    if (error.reason === 'Invalid') return invalidText(error);
    return `Error from server (${error.reason}): ${error.message}`;
  }
  if (error instanceof TransportError) return transportText(error, server);
  return `error: ${error instanceof Error ? error.message : String(error)}`;
}

/** kubectl's form: one line for one problem, a list for several. */
function invalidText(error: ApiError): string {
  const causes = error.details?.causes ?? [];
  const match = /^(\S+ ".*?") is invalid: /s.exec(error.message);
  if (!match || causes.length < 2) return `The ${error.message}`;
  return [`The ${match[1]} is invalid: `, ...causes.map((cause) => `* ${cause.field}: ${cause.message}`)].join('\n');
}

function transportText(error: TransportError, server: string | undefined): string {
  const text = `${error.message} ${error.cause instanceof Error ? `${(error.cause as NodeJS.ErrnoException).code ?? ''} ${error.cause.message}` : ''}`;
  const where = server ? `the server ${server.replace(/^https?:\/\//, '')}` : 'the server';
  if (/ECONNREFUSED/.test(text)) {
    return `The connection to ${where} was refused - is it running? Start one with \`npm start\` (or \`bin/taskplane dev\`), or point KUBECONFIG at another.`;
  }
  if (/ENOTFOUND|EAI_AGAIN/.test(text)) return `Unable to connect to ${where}: its name is not known here; check \`server:\` in the kubeconfig.`;
  if (/self[- ]signed|unable to verify|certificate/i.test(text)) {
    return `Unable to connect to ${where}: its certificate is not signed by the authority in the kubeconfig (${error.message}); use the kubeconfig that this server wrote.`;
  }
  return `Unable to connect to ${where}: ${error.message}`;
}
