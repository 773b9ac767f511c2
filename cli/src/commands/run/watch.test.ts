import { stripVTControlCharacters } from "node:util";
import { RunStatus, StepStatus } from "@cordum/proto/cordum/v1/run_pb.js";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { startFakeGateway } from "../../testing/fake-gateway.ts";
import { runCli } from "../../testing/run-cli.ts";
import { at, ended, passes, succeeded, waitingForPeople } from "../../testing/run-fixtures.ts";

/** What makes a stream a terminal, as far as the commands look. */
const terminal = { isTTY: true, columns: 80, rows: 24 };
const before = Object.fromEntries(
  Object.keys(terminal).map((name) => [name, Object.getOwnPropertyDescriptor(process.stdout, name)]),
);

beforeEach(() => {
  for (const [name, value] of Object.entries(terminal)) {
    Object.defineProperty(process.stdout, name, { value, configurable: true, writable: true });
  }
});
afterEach(() => {
  for (const [name, property] of Object.entries(before)) {
    if (property) Object.defineProperty(process.stdout, name, property);
    else Reflect.deleteProperty(process.stdout, name);
  }
});

describe("run watch, on a terminal", () => {
  it("draws the steps over and over, with what the run waits for below them", async () => {
    const review = { type: "approval", ...ended(StepStatus.SUCCEEDED, 0, 700) };
    const runs = passes(waitingForPeople, { ...succeeded, steps: { review }, updatedAt: at(1_500) });
    await using gateway = await startFakeGateway({ runs: runs ?? {} });

    const { code, stderr, stdout } = await runCli(["run", "watch", "r1", "--gateway", gateway.url]);

    const frames = stdout.split("\r").map((frame) => stripVTControlCharacters(frame).trim().split("\n"));
    expect(frames.at(-2)).toEqual([
      "run       r1",
      "status    waiting",
      "workflow  finance.refund",
      "",
      "○ review  waiting  approval",
      "",
      "step review waits for approval: cordumctl run approve r1 review",
    ]);
    expect(frames.at(-1)).toEqual([
      "run       r1",
      "status    succeeded",
      "workflow  finance.refund",
      "took      1.5s",
      "",
      "✓ review  succeeded  approval, 700ms",
    ]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  });

  it("draws what the run has come to when it ends badly", async () => {
    const runs = passes({ status: RunStatus.TIMED_OUT, error: { code: "timed_out", message: "it took too long" } });
    await using gateway = await startFakeGateway({ runs: runs ?? {} });

    const { code, stdout } = await runCli(["run", "watch", "r1", "--gateway", gateway.url]);

    expect(code).toBe(6);
    expect(stdout).toContain("error     timed_out: it took too long");
  });
});
