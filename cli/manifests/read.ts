// read.ts: the text behind `-f`: a file, a folder (its .yaml, .yml and .json files, in the order of their names), a
// URL, or `-` for standard input.

import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { CliError } from '../failure.js';
import type { Io } from '../io.js';
import type { ApiClient } from '../../client/api-client.js';
import { customKinds } from '../server-kinds.js';
import { checkDocuments, definedKinds, mayBeCustom, problemLines, type Manifest } from './check.js';
import { parseManifest, type ManifestDocument, type Problem } from './parse.js';

const urlTimeoutMs = 30_000;

/**
 * All objects behind the sources.
 * @param options.client asked for the kinds that users have defined, where a document may be of one
 * @throws CliError naming a source that cannot be read, or listing every problem of every document
 */
export async function readManifests(sources: readonly string[], options: { recursive?: boolean; io: Io; client?: ApiClient }): Promise<Manifest[]> {
  const documents: ManifestDocument[] = [];
  const problems: Problem[] = [];
  for (const source of sources) {
    for (const { name, text } of await textsOf(source, options)) {
      const parsed = parseManifest(name, text);
      documents.push(...parsed.documents);
      problems.push(...parsed.problems);
    }
  }
  const custom = documents.some(mayBeCustom) ? [...definedKinds(documents), ...(options.client ? await customKinds(options.client) : [])] : [];
  const checked = checkDocuments(documents, custom);
  problems.push(...checked.problems);
  if (problems.length > 0) {
    const count = problems.length === 1 ? '1 problem' : `${problems.length} problems`;
    throw new CliError([`${count} found; nothing was sent to the server:`, ...problemLines(problems)].join('\n'));
  }
  if (checked.manifests.length === 0) throw new CliError(`no objects found in ${sources.join(', ')}`);
  return checked.manifests;
}

async function textsOf(source: string, { recursive, io }: { recursive?: boolean; io: Io }): Promise<{ name: string; text: string }[]> {
  if (source === '-') return [{ name: 'STDIN', text: await readAll(io.stdin) }];
  if (/^https?:\/\//.test(source)) return [{ name: source, text: await fetchText(source) }];
  const files = await filesOf(source, recursive ?? false);
  return Promise.all(files.map(async (name) => ({ name, text: await readFile(name, 'utf8') })));
}

async function filesOf(path: string, recursive: boolean): Promise<string[]> {
  const found = await stat(path).catch((error: NodeJS.ErrnoException) => {
    throw new CliError(error.code === 'ENOENT' ? `the path "${path}" does not exist` : `cannot read "${path}": ${error.message}`);
  });
  if (!found.isDirectory()) return [path];
  const files: string[] = [];
  const entries = await readdir(path, { withFileTypes: true });
  for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const inner = join(path, entry.name);
    if (entry.isDirectory()) files.push(...(recursive ? await filesOf(inner, true) : []));
    else if (/\.(ya?ml|json)$/.test(entry.name)) files.push(inner);
  }
  return files;
}

async function readAll(stream: AsyncIterable<Buffer | string>): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks).toString('utf8');
}

async function fetchText(url: string): Promise<string> {
  const failed = (why: string): never => {
    throw new CliError(`unable to read URL "${url}", ${why}`);
  };
  const reply = await fetch(url, { signal: AbortSignal.timeout(urlTimeoutMs) }).catch((error: Error) => failed(error.cause instanceof Error ? error.cause.message : error.message));
  return reply.ok ? reply.text() : failed(`server reported ${reply.status} ${reply.statusText}`);
}
