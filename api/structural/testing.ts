// testing.ts: schemas of the kind that people bring, for tests.

/** From the Kubernetes documentation, with most of what it shows of schemas. */
export const cronTab = {
  type: 'object',
  properties: {
    spec: {
      type: 'object',
      properties: {
        cronSpec: { type: 'string', pattern: '^(\\d+|\\*)(/\\d+)?(\\s+(\\d+|\\*)(/\\d+)?){4}$', default: '5 0 * * *' },
        image: { type: 'string' },
        replicas: { type: 'integer', minimum: 1, maximum: 10, default: 1 },
        color: { type: 'string', enum: ['red', 'blue'] },
        suspend: { type: 'boolean', nullable: true },
        port: { 'x-kubernetes-int-or-string': true },
        since: { type: 'string', format: 'date-time' },
        labels: { type: 'object', additionalProperties: { type: 'string' } },
        steps: {
          type: 'array',
          maxItems: 5,
          'x-kubernetes-list-type': 'map',
          'x-kubernetes-list-map-keys': ['name'],
          items: { type: 'object', required: ['name'], properties: { name: { type: 'string', minLength: 1 }, weight: { type: 'number', default: 0.5 } } },
        },
        tags: { type: 'array', 'x-kubernetes-list-type': 'set', items: { type: 'string' } },
        json: { 'x-kubernetes-preserve-unknown-fields': true },
        template: { type: 'object', 'x-kubernetes-embedded-resource': true, 'x-kubernetes-preserve-unknown-fields': true },
      },
      required: ['image'],
      'x-kubernetes-validations': [{ rule: "!has(self.color) || self.color != 'red' || self.replicas < 5", message: 'red ones are at most four', fieldPath: '.replicas' }],
    },
    status: { type: 'object', properties: { replicas: { type: 'integer' }, labelSelector: { type: 'string' }, conditions: { type: 'array', items: { type: 'object', properties: { type: { type: 'string' }, status: { type: 'string' } } } } } },
  },
};

const selector = {
  type: 'object',
  'x-kubernetes-map-type': 'atomic',
  required: ['key'],
  properties: { key: { description: 'The key of the entry.', type: 'string' }, name: { type: 'string' } },
};

/** The shape of a certificate manager's main kind. */
export const certificate = {
  description: 'A Certificate resource should be created to ensure an up to date and signed X.509 certificate is stored in a Kubernetes Secret.',
  type: 'object',
  properties: {
    apiVersion: { description: 'APIVersion defines the versioned schema.', type: 'string' },
    kind: { type: 'string' },
    metadata: { type: 'object' },
    spec: {
      type: 'object',
      required: ['issuerRef', 'secretName'],
      properties: {
        commonName: { type: 'string' },
        dnsNames: { type: 'array', items: { type: 'string' } },
        duration: { type: 'string' },
        isCA: { type: 'boolean' },
        issuerRef: { type: 'object', required: ['name'], properties: { group: { type: 'string' }, kind: { type: 'string' }, name: { type: 'string' } } },
        keystores: {
          type: 'object',
          properties: { jks: { type: 'object', required: ['create'], properties: { alias: { type: 'string' }, create: { type: 'boolean' }, passwordSecretRef: selector } } },
        },
        privateKey: {
          type: 'object',
          properties: { algorithm: { type: 'string', enum: ['RSA', 'ECDSA', 'Ed25519'] }, rotationPolicy: { type: 'string', enum: ['Never', 'Always'], default: 'Always' }, size: { type: 'integer' } },
        },
        revisionHistoryLimit: { type: 'integer', format: 'int32' },
        secretName: { type: 'string' },
        usages: { type: 'array', items: { type: 'string', enum: ['signing', 'digital signature', 'server auth', 'client auth'] } },
      },
    },
    status: {
      type: 'object',
      properties: {
        conditions: {
          type: 'array',
          'x-kubernetes-list-type': 'map',
          'x-kubernetes-list-map-keys': ['type'],
          items: {
            type: 'object',
            required: ['status', 'type'],
            properties: { lastTransitionTime: { type: 'string', format: 'date-time' }, message: { type: 'string' }, observedGeneration: { type: 'integer', format: 'int64' }, reason: { type: 'string' }, status: { type: 'string', enum: ['True', 'False', 'Unknown'] }, type: { type: 'string' } },
          },
        },
        notAfter: { type: 'string', format: 'date-time' },
        revision: { type: 'integer' },
      },
    },
  },
};

/** The shape of an HTTP route: choices, unions told by rules, lists of lists. */
export const route = {
  type: 'object',
  required: ['spec'],
  properties: {
    spec: {
      type: 'object',
      properties: {
        hostnames: {
          type: 'array',
          maxItems: 16,
          items: { type: 'string', minLength: 1, maxLength: 253, pattern: '^(\\*\\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$' },
        },
        rules: {
          type: 'array',
          maxItems: 16,
          default: [{ matches: [{ path: { type: 'PathPrefix', value: '/' } }] }],
          items: {
            type: 'object',
            properties: {
              matches: {
                type: 'array',
                maxItems: 8,
                default: [{ path: { type: 'PathPrefix', value: '/' } }],
                items: {
                  type: 'object',
                  properties: {
                    path: {
                      type: 'object',
                      default: { type: 'PathPrefix', value: '/' },
                      properties: { type: { type: 'string', enum: ['Exact', 'PathPrefix', 'RegularExpression'], default: 'PathPrefix' }, value: { type: 'string', maxLength: 1024, default: '/' } },
                      'x-kubernetes-validations': [
                        { message: "value must be an absolute path and start with '/' when type one of ['Exact', 'PathPrefix']", rule: "(self.type in ['Exact','PathPrefix']) ? self.value.startsWith('/') : true" },
                        { message: "must not contain '//' when type one of ['Exact', 'PathPrefix']", rule: "(self.type in ['Exact','PathPrefix']) ? !self.value.contains('//') : true" },
                      ],
                    },
                  },
                },
              },
              filters: {
                type: 'array',
                items: {
                  type: 'object',
                  required: ['type'],
                  properties: { type: { type: 'string' }, requestRedirect: { type: 'object', properties: { scheme: { type: 'string' }, port: { type: 'integer', minimum: 1, maximum: 65535 } } } },
                  'x-kubernetes-validations': [
                    { message: 'filter.requestRedirect must be nil if the filter.type is not RequestRedirect', rule: "!(has(self.requestRedirect) && self.type != 'RequestRedirect')" },
                    { message: 'filter.requestRedirect must be specified for RequestRedirect filter.type', rule: "!(!has(self.requestRedirect) && self.type == 'RequestRedirect')" },
                  ],
                },
                'x-kubernetes-validations': [{ message: 'RequestRedirect filter cannot be repeated', rule: "self.filter(f, f.type == 'RequestRedirect').size() <= 1" }],
              },
            },
          },
        },
        backend: {
          type: 'object',
          properties: { service: { type: 'object', properties: { name: { type: 'string' } } }, resource: { type: 'object', properties: { kind: { type: 'string' } } } },
          oneOf: [{ required: ['service'] }, { required: ['resource'] }],
        },
        weight: { anyOf: [{ type: 'integer' }, { type: 'string' }], 'x-kubernetes-int-or-string': true, pattern: '^[0-9]+%?$' },
      },
    },
  },
};
