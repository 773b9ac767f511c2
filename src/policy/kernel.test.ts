import { createHash } from "node:crypto";
import { mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { JobRequestSchema } from "@cordum/proto/cordum/agent/v1/job_pb.js";
import { SafetyDecision } from "@cordum/proto/cordum/v1/job_pb.js";
import pino from "pino";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { inputFromJob } from "./input.ts";
import { openPolicyKernel, type PolicyKernel, type PolicyKernelOptions } from "./kernel.ts";
import { PolicySourceError } from "./problem.ts";

const allowing = "rules:\n  - {id: a, decision: allow, match: {topics: [job.*]}}\n";
const denying = "version: v1\nrules:\n  - {id: d, decision: deny, reason: no, match: {topics: [job.*]}}\n";
const job = inputFromJob(create(JobRequestSchema, { jobId: "j1", topic: "job.x" }), "");
const sha256 = (text: string) => createHash("sha256").update(text).digest("hex");

let folder: string;
let path: string;
let lines: { level: number; msg: string; alert?: string; problems?: string[] }[];
const kernels: PolicyKernel[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "policy-"));
  path = join(folder, "safety.yaml");
  lines = [];
  await writeFile(path, allowing);
});

afterEach(async () => {
  for (const kernel of kernels.splice(0)) await kernel.close();
  await rm(folder, { recursive: true });
});

async function open(options: Partial<PolicyKernelOptions> = {}) {
  const log = pino({}, { write: (line: string) => void lines.push(JSON.parse(line)) });
  const kernel = await openPolicyKernel({ path, log, ...options });
  kernels.push(kernel);
  return kernel;
}

/** Waits for the next policy. */
function nextPolicy(kernel: PolicyKernel) {
  return new Promise((resolve) => {
    const stop = kernel.onChange((status) => {
      stop();
      resolve(status);
    });
  });
}

const alerts = () => lines.filter(({ alert }) => alert === "policy_stale");

describe("openPolicyKernel()", () => {
  it("decides by the file, under a snapshot made of version and hash", async () => {
    expect((await open()).check(job)).toMatchObject({ ruleId: "a", snapshot: sha256(allowing) });

    await writeFile(path, denying);

    expect((await open()).check(job)).toMatchObject({ ruleId: "d", snapshot: `v1:${sha256(denying)}` });
  });

  it("does not start without a usable policy, and says where it is wrong", async () => {
    await writeFile(path, "rules:\n  - {id: a, decision: maybe}\n");

    await expect(open()).rejects.toThrow(/safety\.yaml:2:23: rules\[0\]\.decision \(rule "a"\)/);
    await expect(open({ path: join(folder, "none.yaml") })).rejects.toThrow(PolicySourceError);
    await expect(open({ path: " " })).rejects.toThrow("a policy needs a path or an address");
  });

  it("takes up a changed file at once", async () => {
    const kernel = await open();
    const started = performance.now();
    const changed = nextPolicy(kernel);

    await writeFile(path, denying);

    expect(await changed).toMatchObject({ snapshot: `v1:${sha256(denying)}`, rules: 1, stale: false });
    expect(performance.now() - started).toBeLessThan(2_000);
    expect((await kernel.check(job)).decision).toBe(SafetyDecision.DENY);
    expect(kernel.snapshots()).toEqual([`v1:${sha256(denying)}`, sha256(allowing)]);
  });

  it("takes up a file that was replaced", async () => {
    const kernel = await open();
    const changed = nextPolicy(kernel);
    await writeFile(join(folder, "new"), denying);

    await rename(join(folder, "new"), path);

    await changed;
    expect((await kernel.check(job)).ruleId).toBe("d");
  });

  it("keeps the last good policy when the file breaks, alerts once, and recovers", async () => {
    const kernel = await open({ reloadIntervalMs: 100 });

    await writeFile(path, "rules: [\n");
    await vi.waitFor(() => expect(kernel.current().stale).toBe(true), 5_000);
    await expect(kernel.reload()).rejects.toThrow(PolicySourceError);

    expect(kernel.check(job)).toMatchObject({ ruleId: "a", snapshot: sha256(allowing) });
    expect(alerts()).toHaveLength(1);
    expect(alerts()[0]?.problems?.[0]).toMatch(/safety\.yaml:\d+:\d+: not valid YAML/);
    expect(kernel.problems()).toMatchObject([{ severity: "error", source: path }]);

    await writeFile(path, denying);
    await kernel.reload();

    expect(kernel.current().stale).toBe(false);
    expect(kernel.problems()).toEqual([]);
    expect((await kernel.check(job)).ruleId).toBe("d");
  });

  it("does not take a vanished or emptied file for a policy", async () => {
    const kernel = await open();

    await writeFile(path, "");
    await expect(kernel.reload()).rejects.toThrow("has become empty");
    await rm(path);
    await expect(kernel.reload()).rejects.toThrow("cannot be read");

    expect((await kernel.check(job)).ruleId).toBe("a");
  });

  it("does not read a file that is still being written", async () => {
    const kernel = await open();
    const seen: string[] = [];
    kernel.onChange(({ snapshot }) => seen.push(snapshot));
    let text = "rules:\n";

    for (let i = 0; i < 10; i++) {
      text += `  - {id: r${i}, decision: deny, match: {topics: [job.${i}]}}\n`;
      await writeFile(path, text);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    await kernel.reload();

    expect(seen).toEqual([sha256(text)]);
  });

  it("remembers ten snapshots, newest first", async () => {
    const kernel = await open();
    for (let i = 0; i < 12; i++) {
      await writeFile(path, `version: v${i}\n`);
      await kernel.reload();
    }

    expect(kernel.snapshots().map((snapshot) => snapshot.split(":")[0])).toEqual(
      [11, 10, 9, 8, 7, 6, 5, 4, 3, 2].map((i) => `v${i}`),
    );
  });

  it("logs what the policy warns of", async () => {
    await writeFile(path, "rules: [{id: a}]\n");

    const kernel = await open();

    expect(lines.find(({ msg }) => msg === "the policy has warnings")?.problems).toHaveLength(2);
    expect(kernel.problems()).toHaveLength(2);
  });

  it("fetches an address, at intervals", async () => {
    let text = allowing;
    let authorization: string | undefined;
    const server = createServer((request, response) => {
      authorization = request.headers.authorization;
      response.writeHead(text === "" ? 500 : 200).end(text);
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    try {
      const { port } = server.address() as AddressInfo;
      const kernel = await open({ url: `http://ada:pass@127.0.0.1:${port}/policy?token=x`, reloadIntervalMs: 100 });
      expect((await kernel.check(job)).ruleId).toBe("a");
      expect(kernel.current().source).toBe(`http://127.0.0.1:${port}/policy`);
      expect(authorization).toBe("Basic YWRhOnBhc3M=");

      const changed = nextPolicy(kernel);
      text = denying;
      await changed;
      expect((await kernel.check(job)).ruleId).toBe("d");

      text = "";
      await vi.waitFor(() => expect(kernel.current().stale).toBe(true), 5_000);
      expect((await kernel.check(job)).ruleId).toBe("d");
      expect(JSON.stringify(lines)).not.toMatch(/pass|token/);
    } finally {
      server.close();
      server.closeAllConnections();
    }
  });

  it("stops watching when closed, and goes on deciding", async () => {
    const kernel = await open({ reloadIntervalMs: 100 });
    await kernel.close();

    await writeFile(path, denying);
    await new Promise((resolve) => setTimeout(resolve, 250));

    expect((await kernel.check(job)).ruleId).toBe("a");
  });
});
