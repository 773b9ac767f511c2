import { setTimeout as sleep } from "node:timers/promises";
import type { BusProbe } from "./bus-probe.ts";
import type { Cluster } from "./cluster.ts";
import { poisonBytes, randomGarbage } from "./garbage.ts";
import type { Ledger } from "./ledger.ts";
import type { Member } from "./member.ts";
import type { Random } from "./random.ts";

/** What a fault works on. */
export interface FaultTarget {
  cluster: Cluster;
  bus: BusProbe;
  ledger: Ledger;
  leaseMs: number;
  /** Longest outage of a server, ms. */
  maxOutageMs: number;
}

/** One kind of harm. It is repaired again when the promise resolves. */
export interface Fault {
  name: string;
  weight: number;
  apply(target: FaultTarget, random: Random): Promise<unknown>;
}

type Kind = Member["kind"];

const readyWithinMs = 60_000;

/** Takes a free member of the kind and does something to it. Nothing when all are taken. */
async function withMember(
  { cluster }: FaultTarget,
  random: Random,
  kinds: readonly Kind[],
  harm: (member: Member) => Promise<void>,
): Promise<void> {
  const member = random.shuffle(cluster.members).find(({ kind, claim }) => kinds.includes(kind) && claim());
  if (!member) return;
  try {
    await harm(member);
  } finally {
    member.release();
  }
}

function kill(...kinds: Kind[]): Fault["apply"] {
  return (target, random) =>
    withMember(target, random, kinds, async (member) => {
      await member.child()?.kill();
      await sleep(random.pick([0, 0, random.integer(0, target.maxOutageMs)]));
      await startAgain(member);
    });
}

function stop(...kinds: Kind[]): Fault["apply"] {
  return (target, random) =>
    withMember(target, random, kinds, async (member) => {
      await member.child()?.stop();
      await startAgain(member);
    });
}

/** A process that is killed while it starts has not seen much; one that is asked to stop then may not listen yet. */
async function startAgain(member: Member): Promise<void> {
  await member.start();
  const giveUpAt = Date.now() + readyWithinMs;
  do await sleep(1_500);
  while ((await member.problem()) && Date.now() < giveUpAt);
}

function freeze(...kinds: Kind[]): Fault["apply"] {
  return (target, random) =>
    withMember(target, random, kinds, async (member) => {
      member.child()?.freeze();
      await sleep(target.leaseMs + random.integer(500, 2_500));
      member.child()?.thaw();
    });
}

/** Lets one fault after the other at a server: two cannot restart it at once. */
function createTurns() {
  let last: Promise<unknown> = Promise.resolve();
  return (apply: () => Promise<void>) => {
    last = last.then(apply);
    return last;
  };
}

const turns = { nats: createTurns(), redis: createTurns() };

function outage(
  server: keyof typeof turns,
  end: (target: FaultTarget) => Promise<void>,
  begin: (target: FaultTarget) => Promise<void>,
): Fault["apply"] {
  return (target, random) =>
    turns[server](async () => {
      await end(target);
      await sleep(random.pick([0, random.integer(0, target.maxOutageMs)]));
      await begin(target);
    });
}

const stay = async () => undefined;

export const faults: readonly Fault[] = [
  { name: "kill gateway", weight: 2, apply: kill("gateway") },
  { name: "kill scheduler", weight: 3, apply: kill("scheduler") },
  { name: "kill engine", weight: 3, apply: kill("workflow-engine") },
  { name: "stop engine", weight: 1, apply: stop("workflow-engine") },
  { name: "freeze engine", weight: 1, apply: freeze("workflow-engine") },
  { name: "kill worker", weight: 3, apply: kill("worker", "plain-worker") },
  { name: "stop gateway", weight: 1, apply: stop("gateway") },
  { name: "stop scheduler", weight: 1, apply: stop("scheduler") },
  { name: "stop worker", weight: 2, apply: stop("worker") },
  { name: "freeze worker", weight: 3, apply: freeze("worker") },
  { name: "freeze scheduler", weight: 1, apply: freeze("scheduler") },
  { name: "freeze gateway", weight: 1, apply: freeze("gateway") },
  {
    name: "restart NATS",
    weight: 1,
    apply: outage("nats", stay, ({ cluster }) => cluster.servers.restartNats()),
  },
  {
    name: "crash NATS",
    weight: 2,
    apply: outage(
      "nats",
      ({ cluster }) => cluster.servers.killNats(),
      ({ cluster }) => cluster.servers.restartNats(),
    ),
  },
  {
    name: "lose NATS data",
    weight: 2,
    apply: outage(
      "nats",
      ({ cluster }) => cluster.servers.killNats(),
      ({ cluster }) => cluster.servers.restartNats({ wipe: true }),
    ),
  },
  { name: "delete streams", weight: 1, apply: ({ bus }) => bus.deleteStreams() },
  {
    name: "restart Redis",
    weight: 2,
    apply: outage("redis", stay, ({ cluster }) => cluster.servers.restartRedis()),
  },
  {
    name: "crash Redis",
    weight: 2,
    apply: outage("redis", crashRedis, ({ cluster }) => cluster.servers.restartRedis()),
  },
  { name: "flush scripts", weight: 1, apply: ({ bus }) => bus.redis(["SCRIPT", "FLUSH"]) },
  { name: "cut Redis clients", weight: 1, apply: ({ bus }) => bus.redis(["CLIENT", "KILL", "TYPE", "normal"]) },
  { name: "garbage", weight: 3, apply: sendGarbage },
  { name: "oversized packets", weight: 1, apply: ({ bus }) => bus.sendOversized() },
  { name: "forged results", weight: 2, apply: forgeResults },
  { name: "cancels on the bus", weight: 2, apply: cancelOnBus },
];

/**
 * With `everysec` Redis may answer before it writes. What we ask here is whether the platform bears a crash of a Redis
 * that keeps its promises, so from now on each write is on disk before its answer.
 */
async function crashRedis({ cluster, bus }: FaultTarget): Promise<void> {
  await bus.redis(["CONFIG", "SET", "appendfsync", "always"]);
  await sleep(200);
  await cluster.servers.killRedis();
}

async function sendGarbage({ bus }: FaultTarget, random: Random): Promise<void> {
  for (let count = random.integer(20, 60); count > 0; count--) {
    bus.send(randomGarbage(random));
    if (random.chance(0.3)) bus.send({ subject: "sys.job.submit", bytes: poisonBytes(random), headers: {} });
  }
  await bus.flush();
}

/** Results about real jobs, from a worker that does not have them or about an attempt that was not made yet. */
async function forgeResults({ bus, ledger }: FaultTarget, random: Random): Promise<void> {
  for (const { jobId, kind } of ledger.recent(100)) {
    if (kind !== "plain") bus.sendResult({ jobId, workerId: "intruder", attempt: random.integer(7_000, 8_000) });
  }
  await bus.flush();
}

async function cancelOnBus({ bus, ledger }: FaultTarget, random: Random): Promise<void> {
  for (const { jobId } of random.shuffle(ledger.recent(100)).slice(0, 5)) {
    ledger.cancelAsked(jobId);
    bus.sendCancel(jobId);
  }
  await bus.flush();
}
