import { describe, expect, it } from "vitest";
import { hasLabels, placementLabels } from "./placement.ts";

describe("placementLabels()", () => {
  it("37: keeps the labels that a worker must have, and none that steers something else", () => {
    const steering = [
      "preferred_worker_id",
      "preferred_pool",
      "approval_granted",
      "approval_note",
      "secrets_present",
      "workflow_id",
      "run_id",
      "step_id",
      "node_id",
      "worker_id",
      "cordum.anything",
      "retry",
      "retry_of_job",
      "dlq_entry",
      "remediation_of",
      "remediation_id",
      "dry_run",
      "mcp.server",
      "mcp_tool",
      "mcpAction",
    ];
    const labels = { ...Object.fromEntries(steering.map((name) => [name, "x"])), region: "eu", mcphost: "m" };

    expect(placementLabels(labels)).toEqual({ region: "eu", mcphost: "m" });
  });
});

describe("hasLabels()", () => {
  it("needs every label with its value; a worker without labels fits only jobs without", () => {
    expect(hasLabels({ region: "eu", disk: "ssd" }, { region: "eu" })).toBe(true);
    expect(hasLabels({ region: "us" }, { region: "eu" })).toBe(false);
    expect(hasLabels({}, { region: "eu" })).toBe(false);
    expect(hasLabels({}, {})).toBe(true);
  });
});
