import { describe, expect, it } from "vitest";
import type { WorkerInfo } from "../workers/index.ts";
import { createFleet, load, room, score } from "./fleet.ts";

function worker(id: string, over: Partial<WorkerInfo> = {}): WorkerInfo {
  return {
    id,
    pool: "p",
    region: "",
    type: "",
    cpuLoad: 0,
    gpuUtilization: 0,
    activeJobs: 0,
    maxParallelJobs: 4,
    capabilities: [],
    labels: {},
    isLeased: true,
    isDraining: false,
    lastSeenMs: 0,
    ...over,
  };
}

const anywhere = { pools: ["p"], labels: {} };

function fleetOf(...workers: WorkerInfo[]) {
  const fleet = createFleet();
  for (const one of workers) fleet.heard(one);
  return fleet;
}

function chosen(fleet: ReturnType<typeof createFleet>, query = anywhere): string {
  const choice = fleet.choose(query);
  return choice.kind === "worker" ? choice.member.info.id : choice.kind;
}

describe("choose()", () => {
  it("35: takes the least loaded: jobs first, then processors", () => {
    const fleet = fleetOf(
      worker("w1", { activeJobs: 2, cpuLoad: 50 }),
      worker("w2", { activeJobs: 1, cpuLoad: 10 }),
      worker("w3", { pool: "other" }),
    );

    expect(chosen(fleet)).toBe("w2");
  });

  it("takes turns between equals", () => {
    const fleet = fleetOf(worker("w1"), worker("w2"));

    expect(new Set([chosen(fleet), chosen(fleet)])).toEqual(new Set(["w1", "w2"]));
  });

  it("counts what it has asked and what was accepted since the last heartbeat", () => {
    const fleet = fleetOf(worker("w1"), worker("w2", { activeJobs: 1 }));
    const first = fleet.get("w1");
    if (first) first.asked = 1;
    if (first) fleet.accepted(first, "a");

    expect(first && load(first)).toBe(2);
    expect(chosen(fleet)).toBe("w2");
  });

  it("says unknown, no_workers or pool_overloaded when there is nobody to ask", () => {
    const full = worker("w1", { activeJobs: 4 });

    expect(fleetOf().choose(anywhere)).toEqual({ kind: "unknown" });
    expect(fleetOf(full).choose(anywhere)).toEqual({ kind: "wait", reason: "pool_overloaded" });
    expect(fleetOf(full).choose({ pools: ["p"], labels: { zone: "eu" } })).toEqual({
      kind: "wait",
      reason: "no_workers",
    });
  });

  it("38: takes the preferred worker however loaded, unless it is full, elsewhere or without the labels", () => {
    const preferring = { ...anywhere, preferredWorker: "w1" };

    expect(chosen(fleetOf(worker("w1", { activeJobs: 3 }), worker("w2")), preferring)).toBe("w1");
    expect(chosen(fleetOf(worker("w1", { activeJobs: 4 }), worker("w2")), preferring)).toBe("w2");
    expect(chosen(fleetOf(worker("w1", { pool: "q" }), worker("w2")), preferring)).toBe("w2");
    const inEurope = { ...preferring, labels: { zone: "eu" } };
    expect(chosen(fleetOf(worker("w1"), worker("w2", { labels: { zone: "eu" } })), inEurope)).toBe("w2");
  });
});

describe("room()", () => {
  it.each([
    ["a full one", { maxParallelJobs: 1, activeJobs: 1 }, 0],
    ["one with its last slot free", { maxParallelJobs: 10, activeJobs: 9 }, 1],
    ["one with one of four slots free", { maxParallelJobs: 4, activeJobs: 3, cpuLoad: 10 }, 1],
    ["a busy processor", { maxParallelJobs: 0, cpuLoad: 90 }, 0],
    ["a busy GPU", { gpuUtilization: 90 }, 0],
    ["one that drains", { isDraining: true }, 0],
    ["one without a stated limit", { maxParallelJobs: 0, activeJobs: 500 }, 64],
  ])("36: of %s", (_, over, expected) => {
    expect(room(createFleet().heard(worker("w1", over)))).toBe(expected);
  });

  it("of a suspect is none until its next heartbeat", () => {
    const fleet = createFleet();
    const member = fleet.heard(worker("w1"));
    member.isSuspect = true;

    expect(room(member)).toBe(0);
    expect(room(fleet.heard(worker("w1")))).toBe(4);
  });
});

describe("what is known of a worker", () => {
  it("a job that ended makes room at once, before the next heartbeat", () => {
    const fleet = createFleet();
    const member = fleet.heard(worker("w1", { maxParallelJobs: 1 }));
    fleet.accepted(member, "a");
    expect(room(member)).toBe(0);

    expect(fleet.ended("a")).toBe(member);

    expect(room(member)).toBe(1);
    expect(fleet.ended("a")).toBeUndefined();
  });

  it("jobs of others, which its heartbeat tells of, count too", () => {
    const fleet = createFleet();
    const member = fleet.heard(worker("w1"));
    fleet.accepted(member, "a");

    fleet.heard(worker("w1", { activeJobs: 3 }));

    expect(load(member)).toBe(3);
    fleet.ended("a");
    expect(load(member)).toBe(2);
  });

  it("jobs whose end another replica saw are forgotten at the next heartbeat", () => {
    const fleet = createFleet();
    const member = fleet.heard(worker("w1", { maxParallelJobs: 0 }));
    for (let n = 0; n < 100; n++) fleet.accepted(member, `job-${n}`);

    fleet.heard(worker("w1", { activeJobs: 2 }));

    expect(member.ours.size).toBe(2);
    expect(fleet.has("job-0")).toBe(false);
    expect(fleet.has("job-99")).toBe(true);
  });

  it("a worker that moves to another pool, or is lost, is not asked in the old one", () => {
    const fleet = fleetOf(worker("w1"), worker("w2"));
    fleet.heard(worker("w1", { pool: "q" }));
    fleet.lost("w2");

    expect(fleet.choose(anywhere)).toEqual({ kind: "unknown" });
    expect(chosen(fleet, { pools: ["q"], labels: {} })).toBe("w1");
    expect(fleet.hasMembers("p")).toBe(false);
  });

  it("scores by jobs and load", () => {
    expect(score(createFleet().heard(worker("w1", { activeJobs: 2, cpuLoad: 50, gpuUtilization: 25 })))).toBe(2.75);
  });
});
