import { describe, expect, it } from "vitest";
import { parsePools } from "./parse-config.ts";
import { eligiblePools } from "./pools.ts";

const config = parsePools(
  `
topics:
  job.one: p1
  job.many: [p1, p2, p3]
pools:
  p1: {requires: [gpu, " Linux "]}
  p2: {requires: [gpu]}
`,
  "pools.yaml",
);

function pools(
  topic: string,
  { requires = [], preferredPool = "" }: { requires?: string[]; preferredPool?: string } = {},
) {
  const eligible = eligiblePools(config, { topic, requires, preferredPool });
  return eligible.kind === "pools" ? eligible.pools : eligible.message;
}

describe("eligiblePools()", () => {
  it("gives the topic's pools in the order of the file", () => {
    expect(pools("job.one")).toEqual(["p1"]);
    expect(pools("job.many")).toEqual(["p1", "p2", "p3"]);
  });

  it("39: gives those that offer all that is required, whatever case and blanks", () => {
    expect(pools("job.many", { requires: ["GPU", "linux"] })).toEqual(["p1"]);
    expect(pools("job.many", { requires: [" gpu", "", " "] })).toEqual(["p1", "p2"]);
  });

  it("says why there is none", () => {
    expect(pools("job.none")).toBe("no pool serves topic job.none");
    expect(pools("job.one", { preferredPool: "p2" })).toBe("preferred_pool p2 does not serve topic job.one");
    expect(pools("job.many", { requires: ["tpu"] })).toBe("no pool of topic job.many offers tpu");
    expect(pools("job.many", { requires: ["linux"], preferredPool: "p2" })).toContain("offers linux");
  });

  it("38: gives the preferred pool alone", () => {
    expect(pools("job.many", { preferredPool: "p2" })).toEqual(["p2"]);
  });
});
