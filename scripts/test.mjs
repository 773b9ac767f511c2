/**
 * `npm test`: sets up, then runs every check in turn, and ends with a table of what each took. All steps run even when
 * one fails. `npm test -- lint unit` runs only the steps whose names begin so.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join, relative } from "node:path";
import { main, node24, root, SetupError, setup } from "./setup.mjs";

const reports = mkdtempSync(join(tmpdir(), "cordum-test-report-"));

/** Name, and the commands that must all end with code 0. */
const steps = [
  ["format and lint", ["biome", "check", "."]],
  ["types", ["tsc", "--noEmit"]],
  ["dependency rules", ["node", "scripts/check-imports.ts"]],
  ["unused code", ["knip"]],
  [
    "protos",
    ["node", "scripts/collect-protos.ts"],
    ["buf", "lint"],
    ["buf", "format", "--diff", "--exit-code", "proto"],
  ],
  ["generated code is current", ["node", "scripts/check-generated.ts"]],
  ["build", ["node", "scripts/build.ts"]],
  ["unit and integration tests", vitest("unit", "--exclude", "test/{e2e,clients,chaos,package}/**")],
  ["end-to-end tests", vitest("e2e", "--no-file-parallelism", "test/e2e", "test/clients", "test/chaos")],
  ["packages", vitest("package", "test/package")],
];

await main(async () => {
  await setup({ servers: ["nats", "redis"] });
  const wanted = process.argv.slice(2);
  const chosen = steps.filter(([name]) => wanted.length === 0 || wanted.some((word) => name.startsWith(word)));
  if (chosen.length === 0) throw new SetupError(`no such step; there are: ${steps.map(([name]) => name).join(", ")}`);
  const results = chosen.map(([name, ...commands]) => runStep(name, commands));
  const { passed, failures } = readReports();
  rmSync(reports, { recursive: true, force: true });
  printSummary(results);
  for (const { test, message } of failures) console.log(`\nFAILED  ${test}\n${indent(message)}`);
  console.log(`\n${passed} passed, ${failures.length} failed`);
  return results.every(({ ok }) => ok) ? 0 : 1;
});

function vitest(name, ...args) {
  const report = ["--reporter=default", "--reporter=json", `--outputFile.json=${join(reports, `${name}.json`)}`];
  return ["vitest", "run", ...report, ...args];
}

function runStep(name, commands) {
  console.log(`\n=== ${name}`);
  const startMs = Date.now();
  const ok = commands.every(([command, ...args]) => {
    const { status, error } = spawnSync(command, args, { cwd: root, stdio: "inherit", env: testEnv() });
    if (error) console.error(error.message);
    return status === 0;
  });
  if (!ok) console.log(`=== ${name}: FAILED`);
  return { name, ok, seconds: (Date.now() - startMs) / 1000 };
}

/** Node 24 and the local tools first, servers found; nothing that points tests at a platform which happens to run here. */
function testEnv() {
  const { PATH, NATS_URL, REDIS_URL, CORDUM_API_KEY, CORDUM_API_KEYS, CORDUM_GATEWAY, ...env } = process.env;
  const folders = [dirname(node24()), join(root, "node_modules/.bin"), PATH ?? "", "/usr/sbin", "/usr/local/sbin"];
  return { ...env, PATH: folders.join(delimiter) };
}

/**
 * What vitest reported. The failures are told again at the very end, because logs are often read from there. A file that
 * could not be loaded counts as one failed test.
 */
function readReports() {
  const sum = { passed: 0, failures: [] };
  for (const file of ["unit.json", "e2e.json", "package.json"].map((name) => join(reports, name))) {
    if (!existsSync(file)) continue;
    const { numPassedTests, testResults } = JSON.parse(readFileSync(file, "utf8"));
    sum.passed += numPassedTests;
    sum.failures.push(...testResults.flatMap(failuresOf));
  }
  return sum;
}

function failuresOf({ name, status, message, assertionResults }) {
  const file = relative(root, name);
  const failed = assertionResults.filter((test) => test.status === "failed");
  if (status === "failed" && failed.length === 0) return [{ test: file, message }];
  return failed.map(({ fullName, failureMessages }) => {
    return { test: `${file} > ${fullName}`, message: failureMessages.join("\n") };
  });
}

/** The first lines of a message, which name what was expected and where; a whole snapshot would bury the others. */
function indent(message) {
  const lines = message.split("\n").filter((line) => !line.includes("node_modules"));
  return lines
    .slice(0, 15)
    .map((line) => `    ${line.slice(0, 300)}`)
    .join("\n");
}

function printSummary(results) {
  console.log("\n=== summary");
  for (const { name, ok, seconds } of results) {
    console.log(`${ok ? "ok    " : "FAILED"}  ${`${seconds.toFixed(1)} s`.padStart(8)}  ${name}`);
  }
  const failed = results.filter(({ ok }) => !ok).map(({ name }) => name);
  if (failed.length > 0) console.log(`failed: ${failed.join(", ")}`);
}
