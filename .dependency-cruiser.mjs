/**
 * Who may import whom: services sit on domains, domains on the shared parts, those on gen. Run by
 * `node scripts/check-imports.ts`, which shows the sources to dependency-cruiser as JavaScript.
 */
const shared = "^src/(rpc|bus|redis|telemetry|settings|errors)(/|[.]js$)";
const top = "^src/(services/|main[.]js$)";

export default {
  forbidden: [
    {
      name: "no-cycles",
      severity: "error",
      comment: "Two files that import each other cannot be understood, or tested, one at a time.",
      from: {},
      to: { circular: true },
    },
    {
      name: "packages-only-downward",
      severity: "error",
      comment: "src never imports the SDK or the CLI.",
      from: { path: "^src/" },
      to: { path: "^(sdk|cli|web|test|bench|scripts|examples)/" },
    },
    {
      name: "sdk-stands-alone",
      severity: "error",
      comment: "The SDK knows the generated code, and nothing else of this repository.",
      from: { path: "^sdk/src/" },
      to: { path: "^(src|cli|web|test|bench|scripts|examples)/" },
    },
    {
      name: "cli-uses-the-sdk",
      severity: "error",
      comment: "The CLI reaches the platform through the SDK.",
      from: { path: "^cli/src/" },
      to: { path: "^(src|web|test|bench|scripts|examples)/" },
    },
    {
      name: "shared-parts-know-no-domain",
      severity: "error",
      comment: "rpc, bus, redis, telemetry, settings and errors serve every domain and know none.",
      from: { path: shared },
      to: { path: "^src/", pathNot: shared },
    },
    {
      name: "only-main-imports-services",
      severity: "error",
      comment: "Services wire everything together, so nothing below may import them.",
      from: { path: "^src/", pathNot: top },
      to: { path: top },
    },
    {
      name: "domains-by-their-face",
      severity: "error",
      comment: "Another folder's index.ts is its public face; import that, or add a name to it.",
      from: { path: "^src/([^/]+)/" },
      to: { path: "^src/[^/]+/", pathNot: ["^src/$1/", "^src/[^/]+/index[.]js$"] },
    },
    {
      name: "main-by-their-face",
      severity: "error",
      comment: "The same for files directly in src; settings.ts is the face of settings/.",
      from: { path: "^src/[^/]+[.]js$", pathNot: "[.]test[.]js$" },
      to: { path: "^src/[^/]+/", pathNot: ["^src/[^/]+/index[.]js$", "^src/settings/", "^src/services/"] },
    },
    {
      name: "settings-by-their-face",
      severity: "error",
      comment: "settings.ts is the face of settings/.",
      from: { path: "^src/", pathNot: "^src/settings" },
      to: { path: "^src/settings/" },
    },
    {
      name: "no-tests-in-products",
      severity: "error",
      comment: "Tests import code, never the other way round.",
      from: { pathNot: "[.]test[.]js$" },
      to: { path: "[.]test[.]js$" },
    },
  ],
  options: {
    doNotFollow: { path: "node_modules" },
    enhancedResolveOptions: { extensions: [".js", ".json"] },
  },
};
