// `npm run chaos -- --minutes 10 --seed 1`: the long run. Exit codes: 0 every promise was kept; 1 something was found.
import { parseArgs } from "node:util";
import { type ChaosOptions, runChaos } from "./run-chaos.ts";

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "10" },
    seed: { type: "string", default: String(Date.now() % 1_000_000) },
    rate: { type: "string", default: "30" },
    runs: { type: "string", default: "20" },
    only: { type: "string", multiple: true },
    verbose: { type: "boolean", default: false },
  },
});

const startedAt = Date.now();
const options: ChaosOptions = {
  seed: Number(values.seed),
  durationMs: Number(values.minutes) * 60_000,
  jobsPerSecond: Number(values.rate),
  runsPerSecond: Number(values.runs),
  slowRunSeconds: 60,
  lanes: 2,
  maxPauseMs: 4_000,
  maxOutageMs: 10_000,
  longestJobMs: 25_000,
  settleWithinMs: 180_000,
  ...(values.only && { only: values.only }),
  // A lease must outlast two heartbeats of a worker, 5 s apart, for jobs that are longer than it.
  cluster: {
    gateways: 2,
    schedulers: 2,
    engines: 2,
    workers: 3,
    plainWorkers: 1,
    leaseMs: 12_000,
    plainTimeoutSeconds: 20,
  },
  log: (line) => {
    if (values.verbose) console.error(`${((Date.now() - startedAt) / 1000).toFixed(1).padStart(7)} s  ${line}`);
  },
};

console.error(`chaos: seed ${options.seed}, ${values.minutes} minutes`);
const { problems, report } = await runChaos(options);
for (const problem of problems) console.error(`${problem}\n`);
console.log(report);
console.log(problems.length === 0 ? "every promise was kept" : `${problems.length} problems, see above`);
process.exit(problems.length === 0 ? 0 : 1);
