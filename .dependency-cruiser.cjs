// The arrows between folders, checked by `npm run layers`: lib < api < {apiserver, client} < {controllers, agent, cli, bench, e2e}.
const folders = {
  lib: [],
  api: ['lib'],
  apiserver: ['api', 'lib'],
  client: ['api', 'lib'],
  controllers: ['client', 'api', 'lib'],
  agent: ['client', 'api', 'lib'],
  cli: ['client', 'api', 'lib'],
  bench: ['client', 'api', 'lib'],
  e2e: ['client', 'api', 'lib'],
};
const inProcess = '^apiserver/in-process\\.ts$';
module.exports = {
  forbidden: [
    { name: 'no-cycles', severity: 'error', from: {}, to: { circular: true } },
    ...Object.entries(folders).map(([folder, allowed]) => ({
      name: `layer-${folder}`,
      severity: 'error',
      comment: `${folder}/ may import only ${[folder, ...allowed].join(', ')} of ours`,
      from: { path: `^${folder}/`, pathNot: '\\.test\\.ts$|^cli/(main|dev|serve)|^bench/(stored-tasks|bare-supervisor|hollow-tasks|machine)\\.ts$' },
      to: { path: `^(${Object.keys(folders).join('|')})/`, pathNot: `^(${[folder, ...allowed].join('|')})/` },
    })),
    {
      name: 'tests-reach-the-handler-in-process-only',
      severity: 'error',
      from: { path: '^(client|controllers|agent|cli)/.*\\.test\\.ts$' },
      to: { path: '^apiserver/', pathNot: inProcess },
    },
    { name: 'no-unlisted-packages', severity: 'error', from: {}, to: { dependencyTypes: ['npm-no-pkg', 'npm-unknown'] } },
  ],
  options: { tsConfig: { fileName: 'tsconfig.json' }, tsPreCompilationDeps: true, doNotFollow: { path: 'node_modules' } },
};
