import { defineConfig } from "vitest/config";

const conditions = ["cordum-source", "module", "node", "development|production"];

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions, externalConditions: ["cordum-source", "node"] } },
  test: {
    include: ["{src,sdk/src,cli/src,scripts,bench}/**/*.test.ts", "test/**/*.test.ts"],
    maxWorkers: 2, // of two cores; the tests wait more than they compute
    testTimeout: 20_000,
    hookTimeout: 30_000,
    execArgv: ["--conditions=cordum-source"],
  },
});
