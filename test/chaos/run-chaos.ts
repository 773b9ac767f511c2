import { setTimeout as sleep } from "node:timers/promises";
import { type CordumClient, createClient } from "@cordum/sdk";
import { type BusProbe, openBusProbe } from "./bus-probe.ts";
import { checkJob, checkKeys, type JobEvidence, tellStory } from "./check.ts";
import { type Cluster, type ClusterOptions, startCluster } from "./cluster.ts";
import { readExecutionLog } from "./execution-log.ts";
import { type Fault, type FaultTarget, faults } from "./faults.ts";
import { durableSubjects, poisonBytes } from "./garbage.ts";
import { findUnended, readHistories } from "./history.ts";
import { type JobKind, jobKinds } from "./kinds.ts";
import { createLedger, type Ledger } from "./ledger.ts";
import { findLeftovers } from "./leftovers.ts";
import { startLoad } from "./load.ts";
import { createRandom, type Random } from "./random.ts";
import { formatReport } from "./report.ts";
import { collectRuns, countRuns, findRunProblems, findUnendedRuns } from "./run-evidence.ts";
import { runKinds, saveRunKinds } from "./run-kinds.ts";
import { startRunLoad } from "./run-load.ts";
import { startWatch, type Watch } from "./watch.ts";

export interface ChaosOptions {
  seed: number;
  /** How long load and faults last. */
  durationMs: number;
  jobsPerSecond: number;
  runsPerSecond: number;
  /** How long the slowest runs wait: with the rate this makes the number of runs at once. */
  slowRunSeconds: number;
  /** Faults under way at the same time. */
  lanes: number;
  /** Between two faults of a lane, at most. */
  maxPauseMs: number;
  maxOutageMs: number;
  longestJobMs: number;
  /** After the last fault, until all is in order again. */
  settleWithinMs: number;
  /** Names of faults to choose from. Default: all. */
  only?: readonly string[];
  cluster: ClusterOptions;
  /** Told what happens, one line each. */
  log: (line: string) => void;
}

export interface ChaosOutcome {
  /** What was found, each with its whole story; empty when every promise was kept. */
  problems: string[];
  report: string;
}

/** Megabytes of resident memory that no process needs for such a load. */
const maxRssMb = 600;
/** The slot of a run that was never created, because its gateway died in between, is given back after a minute. */
const slotsWithinMs = 80_000;
const runSlots = "{runs:default}:active";
/** Stories in one report; more of the same help nobody. */
const maxStories = 20;

/** Runs the platform under load and faults, then holds it to every promise. */
export async function runChaos(options: ChaosOptions): Promise<ChaosOutcome> {
  const random = createRandom(options.seed);
  const cluster = await startCluster(options.cluster);
  const { gatewayUrls, apiKey, servers } = cluster;
  const bus = await openBusProbe(servers.natsUrl, servers.redisUrl);
  const client = createClient({ gateway: gatewayUrls[0] ?? "", apiKey });
  try {
    const kinds = jobKinds(options.longestJobMs);
    const ledger = createLedger();
    const watch = startWatch(gatewayUrls, apiKey);
    const memory = sampleMemory(cluster, options.log);
    const { jobsPerSecond } = options;
    const kindsOfRuns = runKinds(options.slowRunSeconds);
    await saveRunKinds(client, kindsOfRuns);
    const atOnce = sampleRuns(bus);
    const complain = ledger.complain;
    const runLoad = startRunLoad({
      ...{ gatewayUrls, apiKey, complain, kinds: kindsOfRuns },
      runsPerSecond: options.runsPerSecond,
      random: random.fork(),
    });
    const load = startLoad({ gatewayUrls, apiKey, kinds, jobsPerSecond, random: random.fork(), ledger });

    const startedAt = Date.now();
    const target: FaultTarget = { cluster, bus, ledger, ...pickTimes(options) };
    const injected = await injectFaults(target, random.fork(), options);
    await Promise.all([load.stop(), runLoad.stop()]);
    const endedAt = Date.now();
    const wasPaused = new Set([...runLoad.accepted.values()].filter((run) => run.wasPaused).map(({ runId }) => runId));
    const problems = await settle(options, cluster, client, bus, wasPaused);
    const settleMs = Date.now() - endedAt;
    const poison = await checkPoison(client, bus, random, problems);
    await watch.stop();

    const jobs = await collect(client, cluster, ledger, watch, kinds);
    for (const job of findSlowest(jobs)) options.log(`slow: ${tellStory(job)}`);
    problems.push(...ledger.complaints, ...findProblems(jobs, ledger));
    const runs = await collectRuns(
      client,
      runLoad.accepted.values(),
      readExecutionLog(cluster.executionLog),
      kindsOfRuns,
    );
    problems.push(...findRunProblems(runs));
    problems.push(...cluster.crashes.map(({ name, reason, log }) => `${name} ${reason}; the end of its log:\n${log}`));
    for (const [name, mb] of memory.stop()) if (mb > maxRssMb) problems.push(`${name} took ${Math.round(mb)} MB`);
    const numbers = { durationMs: endedAt - startedAt, settleMs, faults: injected, maxRssMb: memory.stop(), poison };
    const shown = { seed: options.seed, runs: `${countRuns(runs)}; at most ${atOnce.stop()} at once`, ...numbers };
    return { problems, report: formatReport(jobs, shown) };
  } finally {
    client.close();
    await bus.close();
    await cluster.stop();
  }
}

function pickTimes({ cluster, maxOutageMs }: ChaosOptions) {
  return { leaseMs: cluster.leaseMs, maxOutageMs };
}

/** Every fault once, in any order, and from then on whatever comes. @returns how often each was injected */
async function injectFaults(target: FaultTarget, random: Random, options: ChaosOptions): Promise<Map<string, number>> {
  const endsAt = Date.now() + options.durationMs;
  const counts = new Map<string, number>();
  const allowed = faults.filter(({ name }) => options.only?.includes(name) ?? true);
  const first = random.shuffle(allowed);
  const weighted = allowed.flatMap((fault) => Array<Fault>(fault.weight).fill(fault));
  const inject = async () => {
    while (Date.now() < endsAt) {
      await sleep(random.integer(0, options.maxPauseMs));
      const fault = first.pop() ?? random.pick(weighted);
      counts.set(fault.name, (counts.get(fault.name) ?? 0) + 1);
      options.log(fault.name);
      await fault.apply(target, random.fork());
    }
  };
  await Promise.all(Array.from({ length: options.lanes }, inject));
  return counts;
}

/** Waits until every process is well, every job has ended and nothing is owed. @returns what never came in order */
async function settle(
  { settleWithinMs, log }: ChaosOptions,
  cluster: Cluster,
  client: CordumClient,
  bus: BusProbe,
  wasPaused: ReadonlySet<string>,
): Promise<string[]> {
  log("settling");
  const giveUpAt = Date.now() + settleWithinMs;
  const slotsGiveUpAt = Date.now() + Math.max(settleWithinMs, slotsWithinMs);
  const late = await cluster.untilReady(settleWithinMs).then(
    () => [],
    (error: Error) => [error.message],
  );
  for (;;) {
    const openRuns = await findUnendedRuns(client).catch((error) => [String(error)]);
    // A gateway that was frozen may have made a pause, long after it was repeated elsewhere and the run was resumed.
    const pausedLate = openRuns.filter((id) => wasPaused.has(id));
    await Promise.allSettled(pausedLate.map((id) => client.runs.resumeRun({ id })));
    const openJobs = await findUnended(client).catch((error) => [String(error)]);
    const unended = [...openRuns.map((id) => `run ${id}`), ...openJobs.map((id) => `job ${id}`)];
    const leftovers = unended.length > 0 ? [] : await findLeftovers(bus);
    if (unended.length === 0 && leftovers.length === 0) return late;
    const areOnlySlots = unended.length === 0 && leftovers.every((text) => text.startsWith(runSlots));
    if (Date.now() > (areOnlySlots ? slotsGiveUpAt : giveUpAt))
      return [...late, ...unended.map((name) => `${name} did not end in time`), ...leftovers];
    await sleep(200);
  }
}

/** What nobody can read must be found among the dead letters. @returns how many there are */
async function checkPoison(client: CordumClient, bus: BusProbe, random: Random, problems: string[]): Promise<number> {
  const count = async () => {
    let found = 0;
    for (let cursor = ""; ; ) {
      const page = await client.dlq.listDlqEntries({ reasonCode: "poison", pageSize: 500, cursor });
      found += page.items.length;
      cursor = page.nextCursor;
      if (cursor === "") return found;
    }
  };
  const before = await count();
  const sent = 10;
  for (let n = 0; n < sent; n++) {
    await bus.store({ subject: random.pick(durableSubjects), bytes: poisonBytes(random), headers: {} });
  }
  const giveUpAt = Date.now() + 15_000;
  let now = await count();
  for (; now < before + sent && Date.now() < giveUpAt; now = await count()) await sleep(50);
  if (now !== before + sent) problems.push(`${now - before} of ${sent} poison packets are among the dead letters`);
  return now;
}

async function collect(
  client: CordumClient,
  cluster: Cluster,
  ledger: Ledger,
  watch: Watch,
  kinds: Record<string, JobKind>,
): Promise<JobEvidence[]> {
  const histories = await readHistories(client, ledger.accepted.keys());
  const executions = Map.groupBy(readExecutionLog(cluster.executionLog), ({ jobId }) => jobId);
  return [...ledger.accepted.values()].map((accepted) => {
    const { jobId } = accepted;
    return {
      accepted,
      kind: kinds[accepted.kind] as JobKind,
      cancel: ledger.cancels.get(jobId),
      history: histories.get(jobId),
      executions: executions.get(jobId) ?? [],
      watched: watch.seen.get(jobId) ?? [],
    };
  });
}

/** Where time was lost, in a run that is otherwise in order. */
function findSlowest(jobs: readonly JobEvidence[]): JobEvidence[] {
  const durationOf = ({ history }: JobEvidence) => (history ? history.updatedAtUs - history.createdAtUs : 0);
  return jobs.toSorted((a, b) => durationOf(b) - durationOf(a)).slice(0, 3);
}

function findProblems(jobs: readonly JobEvidence[], ledger: Ledger): string[] {
  const evidence = new Map(jobs.map((job) => [job.accepted.jobId, job]));
  const histories = new Map(jobs.flatMap(({ accepted, history }) => (history ? [[accepted.jobId, history]] : [])));
  const violations = [...jobs.flatMap(checkJob), ...checkKeys(ledger, histories)];
  const told = violations.slice(0, maxStories).map(({ jobId, rule, detail }) => {
    const job = evidence.get(jobId);
    return `broken: ${rule} (${detail})\n${job ? tellStory(job) : jobId}`;
  });
  return violations.length > maxStories ? [...told, `and ${violations.length - maxStories} more`] : told;
}

/** The most runs that were under way at once: each holds a slot. */
function sampleRuns(bus: BusProbe) {
  let highest = 0;
  const timer = setInterval(() => {
    const count = bus.redis(["ZCARD", runSlots]);
    count.then((found) => {
      const runs = Number(found); // no number while Redis loads its data
      if (runs > highest) highest = runs;
    }, ignoreOutage);
  }, 1_000);
  timer.unref();
  return {
    stop() {
      clearInterval(timer);
      return highest;
    },
  };
}

/** Redis is away now and then, by design. */
function ignoreOutage(): void {}

function sampleMemory({ members }: Cluster, log: (line: string) => void) {
  const highest = new Map<string, number>();
  const timer = setInterval(() => {
    for (const { kind, child } of members) {
      const mb = child()?.rssMb() ?? 0;
      const before = highest.get(kind) ?? 0;
      if (mb <= before) continue;
      highest.set(kind, mb);
      if (Math.floor(mb / 100) > Math.floor(before / 100)) log(`${kind} has ${Math.round(mb)} MB`); // which fault was it
    }
  }, 1_000);
  timer.unref();
  return {
    stop() {
      clearInterval(timer);
      return highest;
    },
  };
}
