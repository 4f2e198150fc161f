// index.ts
//
// Schemas that users bring with a CustomResourceDefinition: whether they are ones we can serve (structural), and all that
// a kind made of one needs. Pure: no clock, no I/O; nothing here throws on any JSON, be it schema or object.
//
//   checkStructural(openAPIV3Schema, fieldPath)   every reason why a schema is refused, rules (CEL) included
//   new StructuralSchema(openAPIV3Schema)         SchemaRules for KindDefinition.schema; for any JSON, refused or not
//     .ruleProblems(object, old?)                 x-kubernetes-validations: for KindDefinition.validate
//   columnsOf(additionalPrinterColumns)           KindDefinition.columns; Name and Age when there are none
//   columnProblems(columns, fieldPath)            why columns are refused
//   scaleOf(object, paths)                        autoscaling/v1 Scale of an object, or why there is none
//   withReplicas(object, paths, replicas)         a copy of the object, scaled
//   scaleProblems(scale, fieldPath)               why spec.versions[].subresources.scale is refused
//   selectableFieldsOf(selectableFields)          KindDefinition.selectableFields
//   selectableProblems(fields, schema, fieldPath) why they are refused
//   ../json-path.ts: parseJsonPath(text)          the dialect of kubectl, for columns and `-o jsonpath`
//
// A kind of a CustomResourceDefinition version is then:
//
//   const schema = new StructuralSchema(version.schema.openAPIV3Schema, { preserveUnknownFields: spec.preserveUnknownFields });
//   { …, schema, columns: columnsOf(version.additionalPrinterColumns), validate: (object, old) => schema.ruleProblems(object, old),
//     selectableFields: selectableFieldsOf(version.selectableFields) }
//
// Order on a write, as everywhere: unknownFields/prune, applyDefaults (drops a null that a default replaces), problems, and when
// there are none ruleProblems. Objects keep their nulls (SchemaRules.keepsNulls): decodeObject asks for that. The path of
// the object as a whole is `<nil>`, which Kubernetes prints too.
//
// https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#specifying-a-structural-schema

export { checkStructural } from './check.js';
export { columnProblems, columnsOf } from './columns.js';
export { replicasProblems, scaleOf, scaleProblems, withReplicas, type Scale, type ScalePaths } from './scale.js';
export { selectableFieldsOf, selectableProblems } from './selectable-fields.js';
export { StructuralSchema, type StructuralSchemaOptions } from './structural-schema.js';

