/** Imports point one way (ARCHITECTURE.md, "Which way imports point"). `test/imports` plants a violation of each rule. */
const S = '^packages/server/src';
const only = (name, from, allowed, comment) => ({
  name,
  severity: 'error',
  comment,
  from: { path: from, pathNot: '\\.test\\.ts$' },
  to: { pathNot: allowed },
});
const LIBRARIES = '(^node:|node_modules)';
module.exports = {
  forbidden: [
    only('core-imports-nothing', '^packages/core/src', ['^packages/core/src'], 'core is pure: no library, no Node, no I/O'),
    only('ports-import-core', `${S}/ports`, ['^packages/core/src', `${S}/ports`], 'a port is types and contracts only'),
    only('adapters-import-ports-and-core', `${S}/adapters`, ['^packages/core/src', `${S}/(ports|adapters)`, LIBRARIES], 'an adapter knows its port, not its user'),
    only('node-imports-ports-and-core', `${S}/node`, ['^packages/core/src', `${S}/(ports|node)`], 'the simulator runs this code: no library, no Node'),
    only('front-ends-import-node', `${S}/(http|resp)`, ['^packages/core/src', `${S}/(ports|node|http|resp)`, LIBRARIES], 'parse -> command -> render'),
    only('config-imports-core', `${S}/config`, ['^packages/core/src', `${S}/config`, LIBRARIES], 'settings are data'),
    only('observability-imports-node', `${S}/observability`, ['^packages/core/src', `${S}/(ports|node|observability)`, LIBRARIES], 'watches, never steers'),
    only('cli-imports-client', `${S}/cli`, ['^packages/client/src', `${S}/(cli|config)`, LIBRARIES], 'a command is a client of the server'),
    only('client-imports-wire', '^packages/client/src', ['^packages/client/src', '^packages/core/src/wire', LIBRARIES], 'the SDK must run anywhere'),
    {
      name: 'no-cycles',
      severity: 'error',
      comment: 'a cycle hides which way the import points',
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    { name: 'adapters-are-chosen-in-main', severity: 'error', from: { path: '^packages/', pathNot: [`${S}/(adapters|main|compose)`, '\\.test\\.ts$'] }, to: { path: `${S}/adapters` } },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'default'], extensions: ['.ts', '.js', '.json'] },
  },
};
