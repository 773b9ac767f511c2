import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { RunStatus } from "@cordum/proto/cordum/v1/run_pb.js";
import { ScheduleOutcome, ScheduleOverlap } from "@cordum/proto/cordum/v1/schedule_pb.js";
import { describe, expect, it } from "vitest";
import { type FakeServices, startFakeGateway } from "../../testing/fake-gateway.ts";
import { type CliRun, runCli } from "../../testing/run-cli.ts";

const calls: { name: string; request: unknown }[] = [];

/** Notes each request, and answers with what is given. */
function answering(answers: Record<string, object>): FakeServices {
  const schedules = Object.fromEntries(
    Object.entries(answers).map(([name, answer]) => [
      name,
      (request: unknown) => {
        calls.push({ name, request });
        if (answer instanceof Error) throw answer;
        return answer;
      },
    ]),
  );
  return { schedules };
}

async function run(argv: string[], answers: Record<string, object>): Promise<CliRun> {
  calls.length = 0;
  await using gateway = await startFakeGateway(answering(answers));
  return await runCli(["schedule", ...argv, "--gateway", gateway.url]);
}

const nightly = {
  id: "nightly",
  workflowId: "report",
  orgId: "acme",
  cron: "30 2 * * *",
  timeZone: "Europe/Berlin",
  input: { all: true },
  labels: { team: "ops" },
  overlap: ScheduleOverlap.SKIP,
  catchUpWindowSec: 60,
  revision: 2,
  nextAt: timestampFromMs(Date.parse("2026-03-29T01:00:00Z")),
  lastRunId: "run-1",
  lastStatus: RunStatus.SUCCEEDED,
  lastAt: timestampFromMs(Date.parse("2026-03-28T01:30:00Z")),
  updatedAt: timestampFromMs(0),
  updatedBy: "ada",
};

describe("schedule create", () => {
  it("sends what the flags say, and prints the schedule with its next time", async () => {
    const argv = ["create", "nightly", "--workflow", "report", "--cron", "30 2 * * *", "--time-zone", "Europe/Berlin"];
    const more = ["--input", '{"all":true}', "--label", "team=ops", "--overlap", "queue", "--max-queued", "3"];

    const { code, stdout } = await run([...argv, ...more, "--catch-up", "5m", "--jitter", "500ms", "--paused"], {
      createSchedule: { schedule: nightly },
    });

    expect(code).toBe(0);
    expect(stdout).toContain("next      2026-03-29T01:00:00.000Z");
    expect(stdout).toContain("cron      30 2 * * * (Europe/Berlin)");
    expect(calls).toMatchObject([
      {
        name: "createSchedule",
        request: {
          schedule: {
            id: "nightly",
            workflowId: "report",
            cron: "30 2 * * *",
            timeZone: "Europe/Berlin",
            input: { all: true },
            labels: { team: "ops" },
            overlap: ScheduleOverlap.QUEUE,
            maxQueued: 3,
            catchUpWindowSec: 300,
            jitterSec: 1,
            paused: true,
          },
        },
      },
    ]);
  });

  it("replaces with --replace, and leaves a pause as it is", async () => {
    const argv = ["create", "nightly", "--workflow", "report", "--cron", "0 3 * * *", "--replace"];

    await run(argv, { putSchedule: { schedule: nightly } });

    expect(calls).toMatchObject([{ name: "putSchedule", request: { id: "nightly", schedule: { cron: "0 3 * * *" } } }]);
    expect(calls).not.toMatchObject([{ request: { schedule: { paused: expect.any(Boolean) } } }]);
  });

  it("ends with 8 when there is one of that id, with 2 when the input is no object", async () => {
    const argv = ["create", "nightly", "--workflow", "report", "--cron", "0 3 * * *"];
    const exists = new ConnectError("schedule nightly exists already", Code.AlreadyExists);
    expect(await run(argv, { createSchedule: exists })).toMatchObject({
      code: 8,
      stderr: expect.stringContaining("exists already"),
    });
    expect((await run([...argv, "--input", "[1]"], {})).code).toBe(2);
  });
});

describe("schedule list and get", () => {
  it("lists schedules with their next times", async () => {
    const { stdout } = await run(["list", "--workflow", "report"], {
      listSchedules: { items: [nightly, { ...nightly, id: "off", paused: true }] },
    });

    const [titles, first, second] = stdout.split("\n");
    expect(titles).toMatch(/^SCHEDULE +WORKFLOW +CRON +ZONE +NEXT +LAST +STATUS$/);
    expect(first).toMatch(/^nightly .*2026-03-29T01:00:00.000Z +2026-03-28T01:30:00.000Z +succeeded$/);
    expect(second).toMatch(/^off .* paused /);
    expect(calls).toMatchObject([{ request: { workflowId: "report" } }]);
  });

  it("shows a schedule with what became of its times", async () => {
    const items = [
      {
        scheduledAt: nightly.lastAt,
        outcome: ScheduleOutcome.SKIPPED,
        reason: "overlap",
        message: "run r is still under way",
      },
      { scheduledAt: timestampFromMs(0), outcome: ScheduleOutcome.STARTED, runId: "run-1", triggered: true },
    ];
    const answers = { getSchedule: { schedule: nightly }, listScheduleTimes: { items } };

    const { stdout } = await run(["get", "nightly"], answers);
    const json = await run(["get", "nightly", "--json"], answers);

    expect(stdout).toContain("last run  run-1 succeeded");
    expect(stdout).toContain("2026-03-28T01:30:00.000Z  skipped             -      overlap: run r is still under way");
    expect(stdout).toContain("1970-01-01T00:00:00.000Z  started, triggered  run-1  -");
    expect(JSON.parse(json.stdout)).toMatchObject({
      id: "nightly",
      times: [{ reason: "overlap" }, { run_id: "run-1" }],
    });
  });
});

describe("schedule pause, resume, trigger, delete", () => {
  it("name the schedule", async () => {
    const answers = {
      pauseSchedule: { schedule: { ...nightly, paused: true } },
      resumeSchedule: { schedule: nightly },
      triggerSchedule: { runId: "run-2" },
      deleteSchedule: {},
    };
    expect((await run(["pause", "nightly"], answers)).stdout).toContain("next      paused");
    expect((await run(["resume", "nightly"], answers)).stdout).toContain("next      2026");
    const triggered = await run(["trigger", "nightly", "--idempotency-key", "k"], answers);
    expect(triggered.stdout).toBe("run-2\n");
    expect(calls).toMatchObject([{ request: { id: "nightly", idempotencyKey: "k" } }]);
    expect((await run(["delete", "nightly", "--yes"], answers)).code).toBe(0);
    expect(calls).toMatchObject([{ name: "deleteSchedule", request: { id: "nightly" } }]);
    expect((await run(["delete", "nightly"], answers)).code).toBe(2);
  });
});

describe("schedule preview", () => {
  const answers = { previewSchedule: { times: [timestampFromMs(Date.parse("2026-03-29T01:00:00Z"))] } };

  it("prints times in UTC and as the zone's clocks show them", async () => {
    const argv = ["preview", "--cron", "30 2 * * *", "--time-zone", "Europe/Berlin", "--count", "1"];
    expect((await run(argv, answers)).stdout).toBe("2026-03-29T01:00:00.000Z  2026-03-29 03:00:00 GMT+2\n");
    expect(calls).toMatchObject([{ request: { cron: "30 2 * * *", timeZone: "Europe/Berlin", count: 1 } }]);
  });

  it("takes a schedule or an expression, and zones that exist", async () => {
    expect((await run(["preview"], answers)).code).toBe(2);
    expect((await run(["preview", "nightly", "--cron", "* * * * *"], answers)).code).toBe(2);
    expect((await run(["preview", "nightly", "--time-zone", "Mars/X"], answers)).stderr).toContain("no time zone");
    expect((await run(["preview", "nightly"], answers)).code).toBe(0);
  });
});
