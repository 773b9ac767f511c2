import { createHash } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fromJson } from "@bufbuild/protobuf";
import { type AuditEntry, AuditEntrySchema, type ListAuditEntriesRequest } from "@cordum/proto/cordum/v1/audit_pb.js";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import vectors from "../../../../test/vectors/audit-chain.json" with { type: "json" };
import { canonicalText } from "../../lib/audit-chain.ts";
import { type FakeServices, startFakeGateway } from "../../testing/fake-gateway.ts";
import { type CliRun, runCli } from "../../testing/run-cli.ts";

type Json = Record<string, unknown>;

const chain: Json[] = vectors.map(({ entry }) => entry);
const last = chain.at(-1);
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "cordum-audit-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function write(entries: readonly (Json | undefined | string)[]): Promise<string> {
  const file = join(folder, "audit.jsonl");
  const lines = entries.map((entry) => (typeof entry === "string" ? entry : JSON.stringify(entry)));
  await writeFile(file, `${lines.join("\n")}\n`);
  return file;
}

async function verify(entries: readonly (Json | undefined | string)[], ...more: string[]): Promise<CliRun> {
  return await runCli(["audit", "verify", await write(entries), ...more]);
}

function changed(index: number, over: Json): Json[] {
  return chain.map((entry, at) => (at === index ? { ...entry, ...over } : entry));
}

describe("the encoding", () => {
  it("is that of the vectors, which the server has, too", () => {
    for (const { entry, canonical } of vectors) expect(canonicalText(entry as Json)).toBe(canonical);
  });
});

describe("audit verify", () => {
  it("accepts a whole chain, and says where it ends", async () => {
    const { code, stdout, stderr } = await verify(chain);

    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toBe(`ok: 4 entries of tenant acme, 1 to 4; head 4:${last?.hash}\n`);
  });

  it("accepts a chain whose begin retention has removed", async () => {
    expect(await verify(chain.slice(2))).toMatchObject({ code: 0 });
  });

  it.each<[string, () => (Json | string | undefined)[], string]>([
    [
      "a changed text",
      () => changed(1, { principal: "eve" }),
      "broken at entry 2, line 2: hash: the content was changed",
    ],
    ["a changed number", () => changed(2, { at: 1 }), "broken at entry 3, line 3: hash:"],
    ["a changed detail", () => changed(0, { details: { decision: "allow" } }), "broken at entry 1, line 1: hash:"],
    ["a removed field", () => changed(1, { request_id: undefined }), "broken at entry 2, line 2: hash:"],
    ["an added field", () => changed(1, { note: "x" }), 'line 2: field "note" is not covered by the hash'],
    ["a changed hash", () => changed(1, { hash: "0".repeat(64) }), "broken at entry 2, line 2: hash:"],
    [
      "a removed entry",
      () => chain.toSpliced(1, 1),
      "broken at entry 3, line 2: sequence: 3 comes after 1, so 1 of them",
    ],
    [
      "entries that changed places",
      () => [chain[0], chain[2], chain[1], chain[3]],
      "broken at entry 3, line 2: sequence:",
    ],
    [
      "an entry twice",
      () => [...chain.slice(0, 2), ...chain.slice(1)],
      "broken at entry 2, line 3: sequence: 2 comes after 2",
    ],
    ["an entry of another chain", () => changed(1, { tenant: "other" }), 'entry 2, line 2: tenant: is "other"'],
    [
      "a missing begin of the hashes",
      () => changed(2, { previous_hash: "" }).slice(2),
      "entry 3, line 1: previous_hash",
    ],
    ["a line that is no JSON", () => [chain[0], "{"], "broken at line 2: is no JSON"],
    ["a line that is no entry", () => ["[]"], "broken at line 1: is no entry"],
  ])("finds %s", async (_, entries, message) => {
    const { code, stdout } = await verify(entries());

    expect(stdout).toContain(message);
    expect(code).toBe(1);
  });

  it("finds an entry that was written anew with a hash of its own, by the one after it", async () => {
    const entry = { ...chain[1], principal: "eve" };
    const hash = createHash("sha256").update(canonicalText(entry)).digest("hex");

    const { code, stdout } = await verify(changed(1, { ...entry, hash }));

    expect(stdout).toBe("broken at entry 3, line 3: previous_hash: is not the hash of 2 before it\n");
    expect(code).toBe(1);
  });

  it("finds a cut end by a head that was noted", async () => {
    const head = `4:${last?.hash}`;

    const whole = await verify(chain, "--head", head);
    const cut = await verify(chain.slice(0, 3), "--head", head);
    const other = await verify(chain, "--head", `4:${"0".repeat(64)}`);

    expect(whole.code).toBe(0);
    expect(cut).toMatchObject({ code: 1, stdout: expect.stringContaining("entries were cut off") });
    expect(other).toMatchObject({ code: 1, stdout: expect.stringContaining("written anew") });
  });

  it("prints JSON", async () => {
    const { stdout } = await verify(changed(1, { principal: "eve" }), "--json");

    expect(JSON.parse(stdout)).toMatchObject({ ok: false, tenant: "acme", problem: { sequence: 2, line: 2 } });
  });

  it.each([
    ["no such file", ["nowhere.jsonl"], "cannot read nowhere.jsonl"],
    ["a head that is none", ["nowhere.jsonl", "--head", "x"], "--head: must be <sequence>:<hash>"],
  ])("ends with 2 for %s", async (_, argv, message) => {
    const { code, stderr } = await runCli(["audit", "verify", ...argv]);

    expect(code).toBe(2);
    expect(stderr).toContain(message);
  });

  it("ends with 2 for an empty file: nothing was verified", async () => {
    expect(await verify([])).toMatchObject({ code: 2 });
  });
});

/** A gateway that has these entries. */
function auditOf(entries: readonly Json[]): NonNullable<FakeServices["audit"]> {
  const messages = entries.map((entry) => fromJson(AuditEntrySchema, entry as never));
  const end = messages.at(-1);
  return {
    getAuditHead: () => ({
      tenant: "acme",
      sequence: end?.sequence ?? 0n,
      hash: end?.hash ?? "",
      firstSequence: messages[0]?.sequence ?? 0n,
      firstPreviousHash: messages[0]?.previousHash ?? "",
    }),
    async *exportAudit({ fromSequence }) {
      const wanted: AuditEntry[] = messages.filter(({ sequence }) => sequence >= fromSequence);
      yield { entries: wanted.slice(0, 2) };
      yield { entries: wanted.slice(2) };
    },
  };
}

describe("audit verify with a gateway", () => {
  async function against(server: readonly Json[], entries: readonly Json[]): Promise<CliRun> {
    await using gateway = await startFakeGateway({ audit: auditOf(server) });
    return await verify(entries, "--gateway", gateway.url);
  }

  it("accepts a log that ends where the gateway's does, or before", async () => {
    expect(await against(chain, chain)).toMatchObject({ code: 0, stderr: "" });
    expect(await against(chain, chain.slice(0, 3))).toMatchObject({
      code: 0,
      stderr: "the gateway has 1 newer entries\n",
    });
  });

  it.each<[string, Json[], Json[], string]>([
    [
      "a gateway that has lost its end",
      chain.slice(0, 3),
      chain,
      "broken at entry 4: is not in the gateway's log, which ends at 3",
    ],
    ["another last entry", [...chain.slice(0, 3), { ...last, hash: "f".repeat(64) }], chain, "broken at entry 4: hash"],
    ["another past", changed(3, { previous_hash: "f".repeat(64) }), chain.slice(0, 3), "broken at entry 3: hash"],
    ["another hash before the first", chain.slice(2), changedAnchor(), "entry 3: previous_hash"],
  ])("finds %s", async (_, server, entries, message) => {
    const { code, stdout } = await against(server, entries);

    expect(stdout).toContain(message);
    expect(code).toBe(1);
  });
});

/** The end of a chain that is right in itself, and hangs on something else. */
function changedAnchor(): Json[] {
  let previous = "e".repeat(64);
  return chain.slice(2).map((entry) => {
    const linked: Json = { ...entry, previous_hash: previous };
    previous = createHash("sha256").update(canonicalText(linked)).digest("hex");
    return { ...linked, hash: previous };
  });
}

describe("audit export", () => {
  it("writes lines that audit verify accepts", async () => {
    await using gateway = await startFakeGateway({ audit: auditOf(chain) });

    const { code, stdout } = await runCli(["audit", "export", "--gateway", gateway.url]);

    expect(code).toBe(0);
    expect(stdout.trimEnd().split("\n")).toHaveLength(4);
    expect(await verify([stdout.trimEnd()])).toMatchObject({ code: 0 });
  });

  it("begins where --from says", async () => {
    await using gateway = await startFakeGateway({ audit: auditOf(chain) });

    const { stdout } = await runCli(["audit", "export", "--from", "3", "--gateway", gateway.url]);

    expect(
      stdout
        .trimEnd()
        .split("\n")
        .map((line) => JSON.parse(line).sequence),
    ).toEqual([3, 4]);
  });
});

describe("audit list", () => {
  it("prints a table and sends the filters", async () => {
    const requests: ListAuditEntriesRequest[] = [];
    const items = chain.slice(0, 2).map((entry) => fromJson(AuditEntrySchema, entry as never));
    await using gateway = await startFakeGateway({
      audit: {
        listAuditEntries(request) {
          requests.push(request);
          return { items: items.reverse() };
        },
      },
    });
    const filters = ["--action", "job.*", "--outcome", "ok", "--after", "2023-11-14T00:00:00Z", "--tenant", "acme"];

    const { stdout } = await runCli(["audit", "list", ...filters, "--gateway", gateway.url]);

    expect(requests[0]).toMatchObject({
      action: "job.*",
      outcome: "ok",
      after: 1_699_920_000_000_000n,
      tenant: "acme",
    });
    const [titles, first] = stdout.split("\n");
    expect(titles?.split(/\s{2,}/)).toEqual(["SEQUENCE", "AT", "ACTION", "WHO", "RESOURCE", "OUTCOME", "DETAILS"]);
    expect(first).toMatch(
      /^2\s+2023-11-14T22:13:25.000Z\s+PolicyService\/PublishPolicy\s+grace\s+policy\s+ok\s+message=/,
    );
  });
});
