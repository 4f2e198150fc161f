import { describe, expect, it } from '@jest/globals';
import { copyOf } from './json.js';
import { StructuralSchema } from './structural-schema.js';
import { cronTab, route } from './testing.js';

const thing = (spec: unknown, more: Record<string, unknown> = {}): Record<string, unknown> => ({ apiVersion: 'example.com/v1', kind: 'CronTab', metadata: { name: 'a' }, spec, ...more });
const spec = (node: unknown): StructuralSchema => new StructuralSchema({ type: 'object', properties: { spec: node } });
const say = (schema: StructuralSchema, object: unknown): string[] => schema.problems(object).map(({ field, message }) => `${field}: ${message}`);
const text = { type: 'string' };

describe('StructuralSchema', () => {
  const crons = new StructuralSchema(cronTab);

  it('takes an object that is as its schema says', () => {
    const object = thing({
      cronSpec: '*/5 * * * *', image: 'x', replicas: 3, color: 'red', suspend: null, port: 'http', since: '2026-01-31T12:00:00Z',
      labels: { a: 'b' }, steps: [{ name: 'a' }, { name: 'b', weight: 1 }], tags: ['a', 'b'], json: { any: [1, null] }, template: { apiVersion: 'v1', kind: 'Pod', spec: {} },
    });
    expect(say(crons, object)).toEqual([]);
    expect(crons.unknownFields(object)).toEqual([]);
    expect(crons.ruleProblems(object)).toEqual([]);
  });

  it.each<[string, unknown, string[]]>([
    ['a number above its maximum', { image: 'x', replicas: 11 }, ['spec.replicas: Invalid value: 11: spec.replicas in body should be less than or equal to 10']],
    ['a number below its minimum', { image: 'x', replicas: 0 }, ['spec.replicas: Invalid value: 0: spec.replicas in body should be greater than or equal to 1']],
    ['a text for a number', { image: 'x', replicas: 'two' }, ['spec.replicas: Invalid value: "string": spec.replicas in body must be of type integer: "string"']],
    ['a part for a whole', { image: 'x', replicas: 1.5 }, ['spec.replicas: Invalid value: "number": spec.replicas in body must be of type integer: "number"']],
    ['a text that is not among the choices', { image: 'x', color: 'green' }, ['spec.color: Unsupported value: "green": supported values: "red", "blue"']],
    ['a text of another pattern', { image: 'x', cronSpec: '* *' }, [String.raw`spec.cronSpec: Invalid value: "* *": spec.cronSpec in body should match '^(\d+|\*)(/\d+)?(\s+(\d+|\*)(/\d+)?){4}$'`]],
    ['a time that is none', { image: 'x', since: '2026-02-30T00:00:00Z' }, ['spec.since: Invalid value: "2026-02-30T00:00:00Z": spec.since in body must be of type date-time: "2026-02-30T00:00:00Z"']],
    ['a missing field', {}, ['spec.image: Required value']],
    ['null where null may not be', { image: null }, ['spec.image: Invalid value: "null": spec.image in body must be of type string: "null"']],
    ['neither int nor string', { image: 'x', port: true }, ['spec.port: Invalid value: "boolean": spec.port in body must be of type integer,string: "boolean"']],
    ['a mapping for a list', { image: 'x', tags: {} }, ['spec.tags: Invalid value: "object": spec.tags in body must be of type array: "object"']],
    ['a wrong value of any key', { image: 'x', labels: { a: 1 } }, ['spec.labels.a: Invalid value: "integer": spec.labels.a in body must be of type string: "integer"']],
    ['too many items', { image: 'x', steps: ['a', 'b', 'c', 'd', 'e', 'f'].map((name) => ({ name })) }, ['spec.steps: Too many: 6: must have at most 5 items']],
    ['an empty name in a list', { image: 'x', steps: [{ name: '' }] }, ['spec.steps[0].name: Invalid value: "": spec.steps[0].name in body should be at least 1 chars long']],
    ['a key twice', { image: 'x', steps: [{ name: 'a' }, { name: 'b' }, { name: 'a', weight: 2 }] }, ['spec.steps[2]: Duplicate value: {"name":"a"}']],
    ['an item of a set twice', { image: 'x', tags: ['a', 'b', 'a', 'a'] }, ['spec.tags[2]: Duplicate value: "a"']],
    ['an embedded object without a kind', { image: 'x', template: { apiVersion: 'v1', metadata: { labels: 1 } } }, ['spec.template.kind: Required value', 'spec.template.metadata.labels: Invalid value: 1: must be a mapping']],
    ['everything at once', { replicas: 99, color: 1 }, [
      'spec.image: Required value',
      'spec.replicas: Invalid value: 99: spec.replicas in body should be less than or equal to 10',
      'spec.color: Invalid value: "integer": spec.color in body must be of type string: "integer"',
    ]],
  ])('refuses %s', (_, given, expected) => {
    expect(say(crons, thing(given))).toEqual(expected);
  });

  it('says of choices which were missed', () => {
    const backend = new StructuralSchema(route);
    expect(say(backend, thing({ backend: {} }))).toEqual(['<nil>: Invalid value: "": "spec.backend" must validate one and only one schema (oneOf). Found none valid', 'spec.backend.service: Required value']);
    expect(say(backend, thing({ backend: { service: {}, resource: {} } }))).toEqual(['<nil>: Invalid value: "": "spec.backend" must validate one and only one schema (oneOf). Found 2 valid alternatives']);
    expect(say(backend, thing({ weight: '5%' }))).toEqual([]);
    expect(say(backend, thing({ weight: 5 }))).toEqual([]);
    expect(say(backend, thing({ weight: 'x' }))).toEqual(["spec.weight: Invalid value: \"x\": spec.weight in body should match '^[0-9]+%?$'"]);
    const choices = spec({ ...text, anyOf: [{ minLength: 5 }, { pattern: '^a' }], not: { enum: ['abc'] }, allOf: [{ maxLength: 6 }] });
    expect(say(choices, thing('xyz'))).toEqual(['<nil>: Invalid value: "": "spec" must validate at least one schema (anyOf)', 'spec: Invalid value: "xyz": spec in body should be at least 5 chars long']);
    expect(say(choices, thing('abc'))).toEqual(['<nil>: Invalid value: "": "spec" must not validate the schema (not)']);
    expect(say(choices, thing('abcdefg'))).toEqual(['spec: Too long: may not be more than 6 bytes', '<nil>: Invalid value: "": "spec" must validate all the schemas (allOf). None validated']);
  });

  it.each<[string, unknown, unknown, boolean]>([
    ['exclusive maximum', { type: 'integer', maximum: 3, exclusiveMaximum: true }, 3, false],
    ['exclusive minimum', { type: 'integer', minimum: 3, exclusiveMinimum: true }, 4, true],
    ['multiple of a part', { type: 'number', multipleOf: 0.1 }, 0.3, true],
    ['multiple of a whole', { type: 'integer', multipleOf: 3 }, 1_000_000_001, false],
    ['characters, not bytes', { type: 'string', maxLength: 2 }, '😀é', true],
    ['fewer properties', { type: 'object', maxProperties: 1, additionalProperties: text }, { a: '', b: '' }, false],
    ['more properties', { type: 'object', minProperties: 1, additionalProperties: text }, {}, false],
    ['an integer for a number', { type: 'number' }, 3, true],
    ['an integer beyond 64 bits', { type: 'integer' }, 1e30, false],
    ['an enum of numbers', { type: 'integer', enum: [1, 2] }, 3, false],
    ['a nullable enum', { type: 'string', nullable: true, enum: ['a'] }, null, true],
    ['an unknown format', { type: 'string', format: 'moon-phase' }, 'x', true],
    ['a format on a number', { type: 'integer', format: 'int32' }, 2 ** 40, true],
    ['a pattern that would take for ever elsewhere', { type: 'string', pattern: '^(a+)+$' }, `${'a'.repeat(50_000)}!`, false],
  ])('looks at %s', (_, node, value, valid) => {
    expect(say(spec(node), thing(value)).length === 0).toBe(valid);
  });

  it.each<[string, string[], string[]]>([
    ['date', ['2026-02-28', '2024-02-29'], ['2026-02-29', '26-01-01', '']],
    ['date-time', ['2026-01-31T12:00:00Z', '2026-01-31T12:00:00.123+02:00'], ['2026-01-31', '2026-01-31T25:00:00Z']],
    ['ipv4', ['10.0.0.1'], ['10.0.0.256', '::1']],
    ['ipv6', ['::1', 'fe80::1'], ['10.0.0.1', ':::']],
    ['cidr', ['10.0.0.0/8', '::/0'], ['10.0.0.0', '10.0.0.0/33', '10.0.0.0/08']],
    ['email', ['a@b.org', 'A B <a.b+c@d>'], ['a', '@b', 'a@', 'a@@b']],
    ['hostname', ['a', 'a.example.com', 'a-b.c1.org'], ['-a', 'a..b', 'a_b', `${'a'.repeat(64)}.org`]],
    ['uri', ['https://a.org/b?c', '/a/b', 'urn:x:y'], ['', 'a b', 'a/b']],
    ['uuid', ['6ba7b810-9dad-11d1-80b4-00c04fd430c8', '6BA7B8109DAD11D180B400C04FD430C8'], ['6ba7b810', '']],
    ['uuid4', ['9b2b7c1e-5a3d-4c8e-9f0a-1b2c3d4e5f60'], ['9b2b7c1e-5a3d-1c8e-9f0a-1b2c3d4e5f60']],
    ['byte', ['aGk=', ''], ['a', 'a-b=']],
    ['password', ['anything'], []],
    ['duration', ['1h30m', '-1.5s', '22 ns', '1d', '0'], ['', '1', '1 year', 'h']],
    ['mac', ['01:23:45:67:89:ab', '01-23-45-67-89-ab', '0123.4567.89ab'], ['01:23:45:67:89', '01:23-45:67:89:ab']],
    ['quantity', ['1.5Gi', '500m'], ['1.5GG', 'x']],
    ['isbn10', ['0321751043'], ['0321751044']],
    ['isbn13', ['978-0321751041'], ['978-0321751042']],
    ['creditcard', ['4111 1111 1111 1111'], ['4111 1111 1111 1112']],
    ['hexcolor', ['#FFFFFF', 'fff'], ['#FFFF']],
    ['k8s-short-name', ['a-b'], ['A', '-a', 'a'.repeat(64)]],
  ])('knows the format %s', (format, good, bad) => {
    const schema = spec({ type: 'string', format });
    expect(good.filter((value) => say(schema, thing(value)).length > 0)).toEqual([]);
    expect(bad.filter((value) => say(schema, thing(value)).length === 0)).toEqual([]);
  });

  it('looks at the metadata that every object has, and at what the schema asks of the name', () => {
    const schema = new StructuralSchema({ type: 'object', properties: { metadata: { type: 'object', properties: { name: { type: 'string', maxLength: 3 } } } } });
    expect(say(schema, { ...thing({}), metadata: { name: 'long', labels: [] } })).toEqual([
      'metadata.labels: Invalid value: []: must be a mapping',
      'metadata.name: Too long: may not be more than 3 bytes',
    ]);
  });

  describe('unknown fields', () => {
    const object = (): Record<string, unknown> =>
      thing({ image: 'x', imge: 'y', steps: [{ name: 'a', wait: 1 }], labels: { any: 'key' }, json: { kept: { too: 1 } }, template: { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'a', nmae: 'b' }, spec: {} } }, { extra: 1, metadata: { name: 'a', lables: {} } });

    it('are named, and go', () => {
      expect(crons.unknownFields(object()).sort()).toEqual(['extra', 'metadata.lables', 'spec.imge', 'spec.steps[0].wait', 'spec.template.metadata.nmae']);
      const pruned = object();
      crons.prune(pruned);
      expect(pruned).toEqual(thing({ image: 'x', steps: [{ name: 'a' }], labels: { any: 'key' }, json: { kept: { too: 1 } }, template: { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'a' }, spec: {} } }));
      expect(crons.unknownFields(pruned)).toEqual([]);
    });

    it('stay where the schema keeps them, but not below fields that it names', () => {
      const schema = spec({ type: 'object', 'x-kubernetes-preserve-unknown-fields': true, properties: { known: { type: 'object', properties: { a: text } } } });
      const object = thing({ other: { b: 1 }, known: { a: 'x', b: 1 } });
      schema.prune(object);
      expect(object['spec']).toEqual({ other: { b: 1 }, known: { a: 'x' } });
      const all = new StructuralSchema({ type: 'object' }, { preserveUnknownFields: true });
      expect(all.unknownFields(thing({ a: 1 }))).toEqual([]);
    });

    it('go from values of any key that have no schema', () => {
      const object = thing({ a: { b: 1 }, c: 2 });
      spec({ type: 'object', additionalProperties: true }).prune(object);
      expect(object['spec']).toEqual({ a: {}, c: 2 });
    });
  });

  describe('defaults and nulls', () => {
    it('fills in what is absent where its owner is there', () => {
      const object = thing({ image: 'x', steps: [{ name: 'a' }] });
      crons.applyDefaults(object);
      expect(object['spec']).toEqual({ image: 'x', steps: [{ name: 'a', weight: 0.5 }], cronSpec: '5 0 * * *', replicas: 1 });
      const none = thing(undefined);
      crons.applyDefaults(none);
      expect(none['spec']).toBeUndefined();
    });

    it('fills in defaults of defaults', () => {
      const object = thing({ rules: [{ matches: [{}] }, {}] });
      new StructuralSchema(route).applyDefaults(object);
      const path = { type: 'PathPrefix', value: '/' };
      expect(object['spec']).toEqual({ rules: [{ matches: [{ path }] }, { matches: [{ path }] }] });
    });

    it('keeps null where it may be, else lets a default or nothing take its place', () => {
      const schema = spec({
        type: 'object',
        properties: { a: { ...text, nullable: true, default: 'd' }, b: { ...text, default: 'd' }, c: text, list: { type: 'array', items: { ...text, default: 'i' } }, any: { type: 'object', additionalProperties: text }, open: { 'x-kubernetes-preserve-unknown-fields': true } },
      });
      const object = thing({ a: null, b: null, c: null, list: [null, 'x'], any: { k: null }, open: { z: null } });
      schema.applyDefaults(object);
      expect(object['spec']).toEqual({ a: null, b: 'd', list: ['i', 'x'], any: {}, open: { z: null } });
      expect(say(schema, object)).toEqual([]);
    });

    it('gives each object its own copy', () => {
      const schema = spec({ type: 'object', properties: { a: { type: 'object', properties: { b: text }, default: { b: 'x' } } } });
      const [one, two] = [thing({}), thing({})];
      schema.applyDefaults(one);
      (one['spec'] as { a: { b: string } }).a.b = 'changed';
      schema.applyDefaults(two);
      expect(two['spec']).toEqual({ a: { b: 'x' } });
    });

    it('does not fill the memory', () => {
      const schema = spec({ type: 'array', items: { type: 'object', properties: { a: { ...text, default: 'x'.repeat(1_000_000) } } } });
      const object = thing(Array.from({ length: 100_000 }, () => ({})));
      schema.applyDefaults(object);
      expect((object['spec'] as object[]).filter((item) => 'a' in item).length).toBe(8);
    });
  });

  describe('a change of an object that is not valid any more', () => {
    const schema = spec({ type: 'object', required: ['must'], properties: { must: text, a: { type: 'integer', maximum: 3 }, b: { type: 'object', required: ['c'], properties: { c: text, 'd.e': { type: 'integer', maximum: 3 } } }, list: { type: 'array', items: { type: 'integer', maximum: 3 } }, any: { type: 'object', additionalProperties: { type: 'integer', maximum: 3 } } } });
    const old = thing({ a: 5, b: { 'd.e': 5 }, list: [5, 6], any: { 'x.y': 5 } });
    const changed = (given: Record<string, unknown>, more: Record<string, unknown> = {}): string[] => schema.problems({ ...thing({ ...(old['spec'] as object), ...given }), ...more }, old).map(({ field }) => field);

    it('passes when it is of something else', () => {
      expect(schema.problems(old).map(({ field }) => field)).toEqual(['spec.must', 'spec.a', 'spec.b.c', 'spec.b.d.e', 'spec.list[0]', 'spec.list[1]', 'spec.any.x.y']);
      expect(changed({}, { status: {} })).toEqual([]);
    });

    it('tells what is wrong with what it changes', () => {
      expect(changed({ must: 'x', a: 6 })).toEqual(['spec.a']);
      expect(changed({ must: 'x', b: { 'd.e': 6 } })).toEqual(['spec.b.c', 'spec.b.d.e']);
      expect(changed({ must: 'x', b: { 'd.e': 5, c: 'x' } })).toEqual([]);
      expect(changed({ must: 'x', list: [5, 6, 1] })).toEqual(['spec.list[0]', 'spec.list[1]']);
      expect(changed({ must: 'x', any: { 'x.y': 5, z: 9 } })).toEqual(['spec.any.z']);
      expect(changed({ a: 2 })).toEqual(['spec.must']);
    });
  });

  it('stops at a value that would take minutes', () => {
    const choice = { anyOf: Array.from({ length: 20_000 }, () => ({ items: { enum: ['x'] } })) };
    const schema = spec({ type: 'array', items: text, ...choice });
    expect(say(schema, thing([...Array.from({ length: 20_000 }, () => 'x'), 'y'])).join()).toContain('takes longer than 1000 ms');
  });

  it.each<[string, object, unknown]>([
    ['fields that must be there', { type: 'array', items: { type: 'object', not: { required: Array.from({ length: 30_000 }, (_, at) => `f${at}`) } } }, Array.from({ length: 30_000 }, () => ({}))],
    ['choices of lists that hold nothing twice', { type: 'array', items: text, anyOf: Array.from({ length: 10_000 }, (_, at) => ({ uniqueItems: true, maxItems: at })) }, Array.from({ length: 30_000 }, (_, at) => `text ${at}`)],
    ['choices of long texts', { type: 'string', anyOf: Array.from({ length: 10_000 }, (_, at) => ({ maxLength: at })) }, 'a'.repeat(1_000_000)],
    ['choices of many keys', { type: 'object', anyOf: Array.from({ length: 10_000 }, (_, at) => ({ maxProperties: at })), 'x-kubernetes-preserve-unknown-fields': true }, Object.fromEntries(Array.from({ length: 50_000 }, (_, at) => [`k${at}`, at]))],
  ])('stops at %s that would take minutes', (_, node, value) => {
    const found = say(spec(node), thing(value)).join();
    expect(found === '' || found.includes('takes longer than 1000 ms')).toBe(true);
  }, 20_000);

  it('knows a choice among very many at once', () => {
    const choices = Array.from({ length: 30_000 }, (_, at) => `choice ${at}`);
    const schema = spec({ type: 'array', items: { type: 'string', enum: choices } });
    expect(say(schema, thing(choices))).toEqual([]);
    expect(say(schema, thing(['choice 3', 'choice x']))[0]).toContain('spec[1]: Unsupported value: "choice x"');
  }, 20_000);

  it('fills in the defaults of many mappings under a schema of many fields', () => {
    const schema = spec({ type: 'array', items: { type: 'object', properties: { a: { type: 'string', default: 'x' }, ...Object.fromEntries(Array.from({ length: 20_000 }, (_, at) => [`f${at}`, text])) } } });
    const object = thing(Array.from({ length: 20_000 }, () => ({})));
    schema.applyDefaults(object);
    expect((object['spec'] as unknown[]).at(-1)).toEqual({ a: 'x' });
  }, 20_000);

  it('stops at patterns that would take minutes', () => {
    const schema = spec({ type: 'array', items: { type: 'string', pattern: '^([ab]*a[ab]{100})+$' } });
    let seed = 12_345;
    const next = (): string => ((seed = (seed * 1_103_515_245 + 12_345) & 0x7fff_ffff) >> 16) & 1 ? 'a' : 'b';
    const random = Array.from({ length: 20_000 }, next).join('');
    expect(say(schema, thing(Array.from({ length: 2_000 }, () => random))).join()).toContain('takes longer than 1000 ms');
    expect(say(schema, thing(['ab', `a${'b'.repeat(100)}`]))).toEqual([`spec[0]: Invalid value: "ab": spec[0] in body should match '^([ab]*a[ab]{100})+$'`]);
    const long = spec({ type: 'string', pattern: '^-----BEGIN [A-Z ]+-----' });
    expect(say(long, thing(`-----BEGIN CERTIFICATE-----${'A'.repeat(500_000)}`))).toEqual([]);
  });

  it('changes no schema that it is given', () => {
    const before = copyOf(cronTab);
    const schema = new StructuralSchema(cronTab);
    const object = thing({ image: 'x' });
    schema.applyDefaults(object);
    schema.prune(object);
    schema.problems(object);
    schema.ruleProblems(object, object);
    void schema.root;
    void schema.openApiV2();
    expect(cronTab).toEqual(before);
  });
});
