// parse.ts: YAML or JSON text into documents that remember where each of their fields stands.
//
// kubectl reads YAML 1.1 (`yes` is true, 0777 is octal) but without its times and base-60 numbers, so that 12:30 and
// 2026-01-31 stay strings; so do we.

import { isMap, isScalar, isSeq, LineCounter, parseAllDocuments, type Document, type Node as YamlNode } from 'yaml';

/** Something wrong at a line of a file. */
export interface Problem {
  source: string;
  /** From 1. */
  line: number;
  message: string;
}

export interface ManifestDocument {
  /** File, URL or `STDIN`. */
  source: string;
  value: unknown;
  /** Line of the field, or of the nearest thing around it when it is missing; from 1. */
  lineOf(fieldPath: string): number;
}

const unwantedTags = ['timestamp', 'binary', 'omap', 'pairs', 'set'];

export function parseManifest(source: string, text: string): { documents: ManifestDocument[]; problems: Problem[] } {
  const lineCounter = new LineCounter();
  const parsed = parseAllDocuments(text, {
    version: '1.1',
    lineCounter,
    prettyErrors: false,
    customTags: (tags) =>
      tags.filter((tag) => typeof tag === 'string' || !(('format' in tag && tag.format === 'TIME') || unwantedTags.some((name) => tag.tag === `tag:yaml.org,2002:${name}`))),
  });
  const documents: ManifestDocument[] = [];
  const problems: Problem[] = [];
  const lineAt = (offset: number): number => Math.max(1, lineCounter.linePos(offset).line);
  for (const document of parsed as Document.Parsed[]) {
    for (const error of document.errors) problems.push({ source, line: lineAt(error.pos[0]), message: yamlMessage(error.code, error.message) });
    const root = document.contents as YamlNode | null;
    if (document.errors.length > 0 || root === null || (isScalar(root) && root.value === null)) continue;
    let value: unknown;
    try {
      value = document.toJS({ maxAliasCount: 1000 });
    } catch (error) {
      problems.push({ source, line: lineAt(root.range?.[0] ?? 0), message: (error as Error).message });
      continue;
    }
    documents.push({ source, value, lineOf: (fieldPath) => lineAt(offsetOf(root, splitFieldPath(fieldPath))) });
  }
  return { documents, problems };
}

/** One item of a List, as if it stood alone. */
export function itemOf(list: ManifestDocument, index: number): ManifestDocument {
  const items = (list.value as { items: unknown[] }).items;
  return { source: list.source, value: items[index], lineOf: (fieldPath) => list.lineOf(fieldPath ? `items[${index}].${fieldPath}` : `items[${index}]`) };
}

function yamlMessage(code: string, message: string): string {
  return code === 'DUPLICATE_KEY' ? 'the key stands twice in one mapping; keep one of them' : `cannot be read as YAML: ${message}`;
}

/** `spec.env[0].name` -> spec, env, 0, name; what is in brackets may be any key. */
export function splitFieldPath(path: string): string[] {
  return [...path.matchAll(/\[([^\]]*)\]|([^.[]+)/g)].map((match) => match[1] ?? match[2]!);
}

/** Offset of the field's key (or list item), or of the deepest part of the path that is there. */
function offsetOf(root: YamlNode, path: readonly string[]): number {
  let node: unknown = root;
  let offset = root.range?.[0] ?? 0;
  for (const part of path) {
    if (isMap(node)) {
      const pair = node.items.find((item) => isScalar(item.key) && String(item.key.value) === part);
      if (!pair) break;
      offset = (pair.key as YamlNode).range?.[0] ?? offset;
      node = pair.value;
    } else if (isSeq(node)) {
      const item = node.items[Number(part)] as YamlNode | undefined;
      if (!item) break;
      offset = item.range?.[0] ?? offset;
      node = item;
    } else break;
  }
  return offset;
}
