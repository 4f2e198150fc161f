// defined-kinds.ts
//
// The kinds that one CustomResourceDefinition makes, as the server serves them. Objects are stored in the storage version;
// between versions only apiVersion changes, and each version keeps the fields that its schema knows. What was stored under an
// older schema or version is read as the present ones have it.

import { dequal } from 'dequal';
import { isTerminating, namesOf, servedVersionsOf, type CustomResourceDefinition, type DefinitionVersion } from '../../api/custom-resource-definition.js';
import { genericKind } from '../../api/generic-kind.js';
import { apiVersionOf, type KindDefinition } from '../../api/kind.js';
import type { KubeObject } from '../../api/meta.js';
import { columnsOf } from '../../api/structural/columns.js';
import { selectableFieldsOf } from '../../api/structural/selectable-fields.js';
import { StructuralSchema } from '../../api/structural/structural-schema.js';
import { copyOf } from '../resources/admission.js';

/** What serving a definition depends on: nothing else of it leads to other kinds. */
export function sameServing(a: CustomResourceDefinition, b: CustomResourceDefinition): boolean {
  return dequal(a.spec, b.spec) && dequal(a.status?.acceptedNames, b.status?.acceptedNames) && servedVersionsOf(a).length === servedVersionsOf(b).length;
}

/** The served kinds of a definition that is established. */
export class DefinedKinds {
  readonly kinds: readonly KindDefinition[];
  /** As it is stored now; the kinds stay those of the first one as long as sameServing holds. */
  #definition: CustomResourceDefinition;

  constructor(definition: CustomResourceDefinition) {
    this.#definition = definition;
    this.kinds = this.#make(definition);
  }

  get definition(): CustomResourceDefinition {
    return this.#definition;
  }

  /** @returns whether clients can see a difference */
  update(definition: CustomResourceDefinition): boolean {
    const before = isTerminating(this.#definition);
    this.#definition = definition;
    return isTerminating(definition) !== before;
  }

  #make(definition: CustomResourceDefinition): KindDefinition[] {
    const { group, versions } = definition.spec;
    const schemas = new Map(versions.map(({ name, schema }) => [apiVersionOf({ group, version: name }), new StructuralSchema(schema?.openAPIV3Schema ?? {})]));
    const bare = new Map(versions.map((version) => [version, this.#kindOf(definition, version, schemas.get(apiVersionOf({ group, version: version.name }))!)]));
    const storage = bare.get(versions.find((version) => version.storage) ?? versions[0]!)!;
    for (const kind of bare.values()) kind.storedAs = viewOf(kind, storage, schemas);
    return servedVersionsOf(definition).map((version) => bare.get(version)!);
  }

  #kindOf(definition: CustomResourceDefinition, version: DefinitionVersion, schema: StructuralSchema): KindDefinition {
    const { group, scope } = definition.spec;
    const { plural, singular, kind, listKind, shortNames, categories } = namesOf(definition);
    const names = { group, version: version.name, kind, plural, namespaced: scope === 'Namespaced', ...(singular ? { singular } : {}), ...(shortNames ? { shortNames } : {}), ...(categories ? { categories } : {}) };
    const closed = (): string | undefined => (isTerminating(this.#definition) ? 'create not allowed while custom resource definition is terminating' : undefined);
    const { subresources, deprecated, deprecationWarning } = version;
    return {
      ...genericKind({ ...names, statusSubresource: subresources?.status !== undefined }),
      ...(listKind ? { listKind } : {}),
      description: schema.root.description ?? '',
      schema,
      allowUnconditionalUpdate: false,
      columns: columnsOf(version.additionalPrinterColumns),
      validate: (object, old) => schema.ruleProblems(object, old),
      selectableFields: selectableFieldsOf(version.selectableFields),
      ...(subresources?.scale ? { scale: subresources.scale } : {}),
      ...(deprecated ? { deprecationWarning: deprecationWarning ?? `${group}/${version.name} ${kind} is deprecated` } : {}),
      get closed() {
        return closed();
      },
    };
  }
}

type Schemas = ReadonlyMap<string, StructuralSchema>;

function viewOf(kind: KindDefinition, storage: KindDefinition, schemas: Schemas): KindDefinition['storedAs'] {
  const apiVersion = apiVersionOf(kind);
  const storedVersion = apiVersionOf(storage);
  const own = schemas.get(apiVersion)!;
  return {
    kind: storage,
    isStale: (stored) => stored.apiVersion !== storedVersion,
    toStored(object) {
      if (kind === storage) return object;
      const stored: KubeObject = { ...copyOf(object), apiVersion: storedVersion };
      schemas.get(storedVersion)!.prune(stored);
      return stored;
    },
    fromStored(stored) {
      const object = copyOf(stored);
      const written = schemas.get(stored.apiVersion);
      written?.prune(object);
      written?.applyDefaults(object);
      object.apiVersion = apiVersion;
      if (written !== own) own.prune(object);
      // Whoever gets the stored object itself need not write its text anew.
      return dequal(object, stored) ? stored : object;
    },
  };
}
