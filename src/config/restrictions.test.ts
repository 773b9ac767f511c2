import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { compose, toJobConfig } from "./compose.ts";
import { covers } from "./covers.ts";
import type { JsonMap } from "./json.ts";
import { nothing } from "./restrictions.ts";
import { scopes } from "./scopes.ts";

function safetyOf(...layers: JsonMap[]): unknown {
  return compose(layers.map((data, at) => ({ scope: scopes[at] ?? "step", revision: 1, data }))).data.safety;
}

const mcp = (lists: JsonMap) => ({ safety: { mcp: lists } });

describe("restrictions of the effective configuration", () => {
  it("42: denials of all scopes add up, also when a narrower one sets another key of safety", () => {
    const safety = safetyOf(
      { safety: { denied_topics: ["job.a"] } },
      { safety: { pii_action: "mask" } },
      { safety: { denied_topics: ["job.b", "job.a"] } },
    );

    expect(safety).toEqual({ denied_topics: ["job.a", "job.b"], pii_action: "mask" });
  });

  it.each<[string, JsonMap]>([
    ["an empty list", { safety: { denied_topics: [], mcp: { deny_tools: [] } } }],
    ["null for the list", { safety: { denied_topics: null, mcp: { deny_tools: null } } }],
    ["null for mcp", { safety: { denied_topics: null, mcp: null } }],
    ["null for safety", { safety: null }],
  ])("a narrower scope cannot remove a denial by %s", (_, narrow) => {
    const wide = { safety: { denied_topics: ["job.a"], mcp: { deny_tools: ["rm"] } } };

    expect(safetyOf(wide, narrow)).toMatchObject({ denied_topics: ["job.a"], mcp: { deny_tools: ["rm"] } });
  });

  it("an allow list only shrinks: what remains is allowed by every scope that has one", () => {
    const wide = { safety: { allowed_topics: ["job.mail.*", "job.print"] } };

    expect(safetyOf(wide, { safety: { allowed_topics: ["job.*"] } })).toEqual({
      allowed_topics: ["job.mail.*", "job.print"],
    });
    expect(safetyOf(wide, { safety: { allowed_topics: ["job.mail.read"] } })).toEqual({
      allowed_topics: ["job.mail.read"],
    });
    expect(safetyOf(wide, { safety: { allowed_topics: [] } })).toEqual(wide.safety);
    expect(safetyOf({}, wide)).toEqual(wide.safety);
  });

  it("allow lists that share nothing allow nothing, which an empty list would not say", () => {
    const safety = safetyOf({ safety: { allowed_topics: ["job.a"] } }, { safety: { allowed_topics: ["job.b"] } });

    expect(safety).toEqual({ allowed_topics: [nothing] });
    expect(safetyOf(mcp({ allow_tools: ["a"] }), mcp({ allow_tools: ["b"] }))).toEqual({
      mcp: { allow_tools: [nothing] },
    });
  });

  it("MCP lists: denials add up, allow lists intersect, whatever the case of letters", () => {
    const safety = safetyOf(
      mcp({ allow_servers: ["Git", "mail"], deny_tools: ["rm"] }),
      mcp({ allow_servers: ["git", "db"], deny_tools: ["drop"] }),
    );

    expect(safety).toEqual({ mcp: { allow_servers: ["Git", "git"], deny_tools: ["rm", "drop"] } });
  });

  it("what is wrongly typed stays, so that policy refuses and no narrower scope repairs it", () => {
    expect(safetyOf({ safety: { denied_topics: "job.a" } }, { safety: { denied_topics: [] } })).toEqual({
      denied_topics: "job.a",
    });
    expect(safetyOf({ safety: "strict" }, { safety: {} })).toBe("strict");
    expect(safetyOf({ safety: { mcp: ["x"] } }, mcp({ deny_tools: ["a"] }))).toEqual({ mcp: ["x"] });
  });

  it.each<[string, JsonMap]>([
    ["another list", { data: { safety: { denied_topics: ["job.b"] } } }],
    ["null", { data: { safety: null } }],
    ["null for data", { data: null }],
    ["a safety of its own", { safety: { denied_topics: [] } }],
  ])("data.safety is protected as safety is: a narrower scope cannot undo it by %s", (_, narrow) => {
    const wide = { data: { safety: { denied_topics: ["job.a"], mcp: { deny_tools: ["rm"] } } } };

    expect(safetyOf(wide, narrow)).toMatchObject({
      denied_topics: expect.arrayContaining(["job.a"]),
      mcp: { deny_tools: ["rm"] },
    });
  });

  it("data.safety restricts where a wider scope has safety", () => {
    const narrow = { data: { safety: { allowed_topics: ["job.a"] } } };

    expect(safetyOf({ safety: { allowed_topics: ["job.*"] } }, narrow)).toEqual({ allowed_topics: ["job.a"] });
  });

  it("says nothing where no scope does", () => {
    expect(compose([{ scope: "system", revision: 1, data: { budget: { usd: 1 } } }]).data).toEqual({
      budget: { usd: 1 },
    });
  });
});

const pattern = fc
  .array(fc.constantFrom("a", "b", "*", ".", "/"), { maxLength: 5 })
  .map((parts) => `job.${parts.join("")}`);
const list = fc.option(fc.array(pattern, { maxLength: 3 }), { nil: undefined });
const layer = fc
  .record({ denied_topics: list, allowed_topics: list })
  .map((lists) => Object.fromEntries(Object.entries(lists).filter(([, value]) => value !== undefined)));
const topic = fc.array(fc.constantFrom("a", "b", ".", "/"), { maxLength: 5 }).map((parts) => `job.${parts.join("")}`);

function matches(glob: string, text: string): boolean {
  const source = glob.split("*").map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  return new RegExp(`^${source.join("[^/]*")}$`).test(text);
}

/** What one safety object says about a topic. */
function isAllowed(
  { denied_topics: denied = [], allowed_topics: allowed = [] }: Record<string, string[]>,
  text: string,
) {
  if (denied.some((glob) => matches(glob, text))) return false;
  return allowed.length === 0 || allowed.some((glob) => matches(glob, text));
}

describe("for any documents and topics", () => {
  it("what one scope denies is denied by the whole, and what the whole allows is allowed by each scope", () => {
    fc.assert(
      fc.property(fc.array(layer, { maxLength: 5 }), topic, (layers, text) => {
        const merged = (safetyOf(...layers.map((safety) => ({ safety: safety as JsonMap }))) ?? {}) as Record<
          string,
          string[]
        >;
        const each = layers.every((safety) => isAllowed(safety as Record<string, string[]>, text));
        if (isAllowed(merged, text)) expect(each).toBe(true);
        for (const { denied_topics: denied = [] } of layers as Record<string, string[]>[]) {
          expect(merged.denied_topics ?? []).toEqual(expect.arrayContaining(denied));
        }
      }),
      { numRuns: 20_000 },
    );
  });

  it("the order of the scopes changes nothing about what is allowed", () => {
    fc.assert(
      fc.property(layer, layer, layer, topic, (a, b, c, text) => {
        const verdict = (...layers: object[]) =>
          isAllowed(
            (safetyOf(...layers.map((safety) => ({ safety: safety as JsonMap }))) ?? {}) as Record<string, string[]>,
            text,
          );
        expect(verdict(a, b, c)).toBe(verdict(c, a, b));
      }),
      { numRuns: 5_000 },
    );
  });

  it("covers() is never true for a topic that only the narrower pattern matches", () => {
    fc.assert(
      fc.property(pattern, pattern, topic, (wide, narrow, text) => {
        if (covers(wide, narrow) && matches(narrow, text)) expect(matches(wide, text)).toBe(true);
      }),
      { numRuns: 50_000 },
    );
  });
});

describe("compose()", () => {
  it("98: the version has five parts, 0 where there is no document", () => {
    const { version } = compose([
      { scope: "team", revision: 1, data: {} },
      { scope: "system", revision: 1, data: {} },
    ]);

    expect(version).toBe("system:1|org:0|team:1|workflow:0|step:0");
  });

  it("narrower scopes win, whatever order the documents come in", () => {
    const layers = scopes.map((scope, at) => ({ scope, revision: at + 1, data: { who: scope, [scope]: true } }));

    const { data, version } = compose(layers.toReversed());

    expect(data).toEqual({ who: "step", system: true, org: true, team: true, workflow: true, step: true });
    expect(version).toBe("system:1|org:2|team:3|workflow:4|step:5");
  });

  it("jobs are not told of pools and timeouts, and of nothing when there is nothing else", () => {
    const routing = { pools: { topics: { "job.a": "a" } }, timeouts: {} };
    const layerOf = (data: JsonMap) => compose([{ scope: "system", revision: 1, data }]);

    expect(toJobConfig(layerOf(routing))).toBeUndefined();
    expect(toJobConfig(layerOf({ ...routing, budget: { b: 1, a: "<" } }))).toEqual({
      data: { budget: { b: 1, a: "<" } },
      text: '{"budget":{"a":"\\u003c","b":1}}',
    });
  });
});
