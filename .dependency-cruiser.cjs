/** Imports point one way (ARCHITECTURE.md, "Which way imports point"). `test/imports` plants a violation of each rule. */
const S = '^packages/server/src';
const only = (name, from, { folders, libraries = false, except = [] }, comment) => ({
  name,
  severity: 'error',
  comment,
  from: { path: from, pathNot: ['\\.test\\.ts$', '\\.testing\\.ts$', ...except] },
  to: { pathNot: folders, ...(libraries ? { dependencyTypesNot: ['core', 'npm', 'npm-dev', 'npm-no-pkg'] } : {}) },
});
const CORE = '^packages/core/src';
const CLIENT = '^packages/client/src';
module.exports = {
  forbidden: [
    only('core-imports-nothing', CORE, { folders: [CORE] }, 'core is pure: no library, no Node, no I/O'),
    only('ports-import-core', `${S}/ports`, { folders: [CORE, `${S}/ports`] }, 'a port is types and contracts only'),
    only(
      'adapters-import-ports-and-core',
      `${S}/adapters`,
      { folders: [CORE, `${S}/(ports|adapters)`], libraries: true },
      'an adapter knows its port, not its user',
    ),
    only(
      'node-imports-ports-and-core',
      `${S}/node`,
      { folders: [CORE, `${S}/(ports|node)`] },
      'the simulator runs this code: no library, no Node',
    ),
    only(
      'front-ends-import-node',
      `${S}/(http|resp)`,
      { folders: [CORE, `${S}/(ports|node|http|resp)`], libraries: true },
      'parse -> command -> render',
    ),
    only(
      'config-imports-core',
      `${S}/config`,
      { folders: [CORE, `${S}/config`], libraries: true },
      'settings are data',
    ),
    only(
      'observability-imports-node',
      `${S}/observability`,
      { folders: [CORE, `${S}/(ports|node|observability)`], libraries: true },
      'watches, never steers',
    ),
    only(
      'cli-imports-client',
      `${S}/cli`,
      { folders: [CLIENT, `${CORE}/wire`, `${S}/(cli|config)`], libraries: true },
      'a command is a client of the server',
    ),
    only(
      'client-imports-wire',
      CLIENT,
      { folders: [CLIENT, `${CORE}/wire`], libraries: true },
      'the SDK must run anywhere',
    ),
    {
      name: 'everything-resolves',
      severity: 'error',
      comment: 'what the checker cannot find it cannot judge',
      from: {},
      to: { couldNotResolve: true, path: '^[@.a-z]' },
    },
    {
      name: 'no-cycles',
      severity: 'error',
      comment: 'a cycle hides which way the import points',
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    {
      name: 'adapters-are-chosen-in-main',
      severity: 'error',
      from: { path: '^packages/', pathNot: [`${S}/(adapters|main)`, '\\.test\\.ts$', '\\.testing\\.ts$'] },
      to: { path: `${S}/adapters` },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'node', 'default'],
      extensions: ['.ts', '.js', '.json'],
    },
  },
};
