/** @type {import('jest').Config} */
export default {
  testEnvironment: 'node',
  roots: ['lib', 'api', 'apiserver', 'client', 'controllers', 'agent', 'cli', 'bench', 'e2e', 'tools'].map((d) => `<rootDir>/${d}`),
  testMatch: ['**/*.test.ts'],
  extensionsToTreatAsEsm: ['.ts'],
  moduleNameMapper: { '^(\\.{1,2}/.*)\\.js$': '$1' },
  transform: { '^.+\\.ts$': ['ts-jest', { useESM: true, diagnostics: false, tsconfig: 'tsconfig.json' }] },
  cacheDirectory: '<rootDir>/.cache/jest',
  testTimeout: 20_000,
};
