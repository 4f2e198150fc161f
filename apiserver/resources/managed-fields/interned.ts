// interned.ts
//
// The fields of new objects, found once for each shape. Thousands of tasks differ in their values only: the walk that tells their
// shape is a tenth of the work of building the set, and they then share one.

import type { SchemaNode } from '../../../api/schema.js';
import { canonical, type FieldSet } from './field-set.js';
import { elementOrNone, fieldSchema, structureOf } from './structure.js';

const shapesMax = 512;
const shapeLengthMax = 2048;

/** By schema; in each the last shapes, the oldest first. */
const known = new WeakMap<SchemaNode, Map<string, FieldSet>>();

/** `make()` in canonical order, or what it gave for another value of the same shape under this schema. */
export function internedFields(schema: SchemaNode, value: unknown, make: () => FieldSet): FieldSet {
  const shape = shapeOf(schema, value);
  if (shape.length > shapeLengthMax) return canonical(make());
  let shapes = known.get(schema);
  if (!shapes) known.set(schema, (shapes = new Map<string, FieldSet>()));
  let fields = shapes.get(shape);
  if (fields === undefined) {
    shapes.set(shape, (fields = canonical(make())));
    if (shapes.size > shapesMax) shapes.delete(shapes.keys().next().value!);
  }
  return fields;
}

/** A text that is the same for two values exactly if they have the same fields; the lengths keep names apart. */
function shapeOf(schema: SchemaNode | undefined, value: unknown): string {
  const structure = structureOf(schema, value);
  if (structure.type === 'mapping' && !structure.atomic) {
    let text = '{';
    for (const key in value as Record<string, unknown>) {
      const child = (value as Record<string, unknown>)[key];
      if (child === undefined) continue;
      text += `${key.length}:${key}`;
      if (typeof child === 'object') text += shapeOf(fieldSchema(structure, key), child);
    }
    return `${text}}`;
  }
  if (structure.type === 'list' && structure.relation !== 'atomic') {
    const items = value as unknown[];
    let text = '[';
    for (const item of items) {
      const element = elementOrNone(structure, item);
      if (element !== undefined) text += `${element.length}:${element}${shapeOf(structure.item, item)}`;
    }
    return `${text}]`;
  }
  return '';
}
