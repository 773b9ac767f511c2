#!/usr/bin/env -S node --conditions=cordum-source
// Runs the command line from source, without a build: node --conditions=cordum-source cli/bin/dev.js job list
const { main } = await import("../src/main.ts");
process.exitCode = await main(process.argv.slice(2), { fromSource: true });
await new Promise((resolve) => process.stdout.write("", resolve));
process.exit();
