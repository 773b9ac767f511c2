#!/usr/bin/env node
import { enableCompileCache } from "node:module";

enableCompileCache?.(); // halves the time to start

const { main } = await import("../dist/main.js");
process.exitCode = await main(process.argv.slice(2));
await new Promise((resolve) => process.stdout.write("", resolve));
process.exit();
