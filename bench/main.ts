import { compare, renderComparison, type SystemName } from "./compare.ts";
import { describeEnvironment } from "./environment.ts";
import { type BenchName, type BenchOptions, parseOptions, usage } from "./options.ts";
import { type Report, writeResults } from "./report.ts";
import { renderChecks } from "./threshold.ts";

const exitCodes = { reached: 0, failed: 1, missed: 2, usage: 64 };

// Loaded on demand: a benchmark runs although the code that another one measures does not load.
const others = {
  history: async (options: BenchOptions, log: Log) => [
    await (await import("./history.ts")).measureHistory(options, log),
  ],
  memory: async (options: BenchOptions) => [await (await import("./memory.ts")).measureMemory(options)],
  policy: async () => [await (await import("./policy.ts")).measurePolicy()],
  workflow: async (options: BenchOptions, log: Log) =>
    (await import("./workflow/workflow.ts")).measureWorkflow(options, log),
};
type OtherName = keyof typeof others;
type Log = (line: string) => void;

const args = process.argv.slice(2);
// Processes that a killed harness leaves behind would spoil the next measurement: exit, and take them along.
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(130));

if (args.includes("--help") || args.includes("-h")) {
  process.stdout.write(usage);
} else {
  process.exitCode = await main(args);
}

async function main(given: string[]): Promise<number> {
  let parsed: ReturnType<typeof parseOptions>;
  try {
    parsed = parseOptions(given);
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : error}\n\n${usage}`);
    return exitCodes.usage;
  }
  try {
    return await run(parsed.names, parsed.options);
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.stack : error}\n`);
    return exitCodes.failed;
  }
}

async function run(names: readonly BenchName[], options: BenchOptions): Promise<number> {
  const environment = describeEnvironment(new Date());
  const log: Log = (line) => process.stderr.write(`${line}\n`);
  const reports: Report[] = [];
  const systems = systemsOf(names);
  if (systems.length > 0) {
    const comparison = await compare(systems, options, log);
    const { samples, checks } = comparison;
    reports.push({ name: systems.join("-"), text: renderComparison(comparison, options), data: samples, checks });
  }
  for (const name of names) if (name in others) reports.push(...(await others[name as OtherName](options, log)));

  const checks = reports.flatMap((report) => report.checks);
  const { json, path } = await writeResults(environment, options, reports);
  const tables = [...reports.map((report) => report.text), ...(checks.length > 0 ? [renderChecks(checks)] : [])];
  process.stdout.write(options.json ? json : `\n${tables.join("\n")}\n${path}\n`);
  return checks.some((check) => check.reached === false) ? exitCodes.missed : exitCodes.reached;
}

/** The systems to measure in turns. Peers mean nothing alone: what they are compared with comes along. */
function systemsOf(names: readonly BenchName[]): SystemName[] {
  const systems: SystemName[] = ["floor", "jobs", "peers"];
  return systems.filter((name) => names.includes(name) || (name === "jobs" && names.includes("peers")));
}
