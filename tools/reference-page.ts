// reference-page.ts: the reference of a kind, written from its schema, so that it cannot tell anything else than the server does.

import { apiVersionOf, type KindDefinition } from '../api/kind.js';
import type { SchemaNode } from '../api/schema.js';

/** Markdown: one table for each of the parts named, a row per field, nested fields by their path. */
export function referencePage(kind: KindDefinition, parts: readonly ('spec' | 'status')[]): string {
  const lines = [
    `# ${kind.kind}`,
    '',
    kind.description,
    '',
    `\`apiVersion: ${apiVersionOf(kind)}\`, \`kind: ${kind.kind}\`; on the command line \`${[kind.plural, kind.singular, ...kind.shortNames].join('`, `')}\`.`,
    '',
    'This page is written by `npm run docs` from the schema that the server checks manifests with.',
    '',
  ];
  for (const part of parts) {
    const root = kind.schema.root.properties?.[part];
    if (!root) continue;
    lines.push(`## ${part}`, '', root.description ?? '', '', '| field | type | default | what it is |', '| --- | --- | --- | --- |');
    lines.push(...rows(root, part), '');
  }
  return lines.join('\n');
}

function rows(node: SchemaNode, path: string): string[] {
  const required = new Set(node.required ?? []);
  return Object.entries(node.properties ?? {}).flatMap(([name, child]) => {
    const field = `${path}.${name}`;
    const fallback = child.default === undefined ? (required.has(name) ? 'required' : '') : `\`${JSON.stringify(child.default)}\``;
    const row = `| \`${field}\` | ${typeName(child)} | ${fallback} | ${cell(child.description ?? '')} |`;
    const nested = child.items ? rows(child.items, `${field}[]`) : rows(child, field);
    return [row, ...nested];
  });
}

function typeName(node: SchemaNode): string {
  if (node['x-kubernetes-int-or-string']) return 'string or number';
  if (node.enum) return node.enum.map((value) => `\`${value === '' ? '""' : String(value)}\``).join(' \\| ');
  if (node.anyOf) return node.anyOf.map(typeName).join(' or ');
  if (node.type === 'array') return `list of ${node.items ? typeName(node.items) : 'anything'}`;
  if (node.type === 'object' && !node.properties) return 'map';
  if (node.format === 'date-time') return 'time';
  return node.type ?? 'anything';
}

/** Pipes would end the cell. */
function cell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('\n', ' ');
}
