import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  buildAll,
  cordumctl,
  createFolder,
  type DevProcess,
  type Program,
  startDev,
  startHelloWorker,
} from "./dev-process.ts";

let folder: Awaited<ReturnType<typeof createFolder>>;
let dev: DevProcess;
let worker: Program;

beforeAll(async () => {
  await buildAll();
  folder = await createFolder();
  dev = await startDev(folder.path);
  worker = await startHelloWorker(folder.path);
}, 120_000);

afterAll(async () => {
  await worker?.stop();
  await dev?.stop();
  await folder?.remove();
});

const ctl = (...args: string[]) => cordumctl(folder.path, ...args);
const ada = ["--input", '{"name":"Ada"}'];

describe("cordumctl beside a running cordum dev, without any configuration", () => {
  it("submits a job, waits for it, and shows what became of it", async () => {
    const { code, stdout } = await ctl("job", "submit", "--topic", "job.hello", ...ada, "--wait");

    expect(stdout).toContain("SUCCEEDED");
    expect(stdout).toContain('{"greeting":"Hello, Ada!"}');
    expect(code).toBe(0);
  });

  it("prints nothing but the id without --wait, so that it can be used in scripts", async () => {
    const { stdout } = await ctl("job", "submit", "--topic", "job.hello", ...ada);
    const waited = await ctl("job", "wait", stdout.trim());

    expect(stdout.trim()).toMatch(/^[\w-]+$/);
    expect(waited.code).toBe(0);
  });

  it("shows the limits that policy put on a job", async () => {
    const { stdout } = await ctl("job", "submit", "--topic", "job.hello.careful", ...ada, "--wait", "--json");

    expect(JSON.parse(stdout)).toMatchObject({
      state: "SUCCEEDED",
      safety_decision: "ALLOW_WITH_CONSTRAINTS",
      safety_rule_id: "hello-careful",
      safety_constraints: { budgets: { max_runtime_ms: 5000, max_retries: 1 } },
    });
  });

  it.each([
    ["3 for a job that policy denied", 3, ["job", "submit", "--topic", "job.hello.restricted", ...ada, "--wait"]],
    ["1 for a job whose topic no pool serves", 1, ["job", "submit", "--topic", "job.hello.nobody", ...ada, "--wait"]],
    ["2 for a topic that is none", 2, ["job", "submit", "--topic", "hello", ...ada]],
    ["2 for an unknown command", 2, ["jobs"]],
    ["4 for a job that does not exist", 4, ["job", "get", "no-such-job"]],
    ["5 for a wrong key", 5, ["job", "list", "--api-key", "wrong"]],
    ["6 when the end does not come in time", 6, [...slow(), "--timeout", "300ms"]],
    ["7 when no gateway answers", 7, ["job", "list", "--gateway", "http://127.0.0.1:1"]],
  ])("ends with %s", async (_why, expected, args) => {
    const { code, stderr } = await ctl(...args);

    expect({ code, stderr }).toMatchObject({ code: expected });
  });

  it("says why a job was denied, and where to go instead", async () => {
    const { stdout } = await ctl("job", "submit", "--topic", "job.hello.restricted", ...ada, "--wait", "--json");

    expect(JSON.parse(stdout)).toMatchObject({
      state: "DENIED",
      safety_rule_id: "hello-restricted",
      safety_reason: expect.stringContaining("off limits"),
      safety_remediations: [{ id: "use-hello", replacement_topic: "job.hello" }],
    });
  });

  it("names the field of a refused request", async () => {
    const { stderr } = await ctl("job", "submit", "--topic", "hello", ...ada);

    expect(stderr).toContain("topic");
  });

  it("says what a job waits for while nobody serves its topic", async () => {
    const waiting = ["job", "submit", "--topic", "job.shout", "--prompt", "x", "--wait", "--timeout", "2s"];
    const { code, stderr } = await ctl(...waiting);

    expect(stderr).toMatch(/job \S+ waits for a worker\n/);
    expect(stderr).toMatch(/is still SCHEDULED \(no_workers\) after 2s/);
    expect(code).toBe(6);
  });

  it("cancels a running job, for good", async () => {
    const { stdout: id } = await ctl(...slow().filter((arg) => arg !== "--wait"));

    const cancelled = await ctl("job", "cancel", id.trim(), "--reason", "no longer needed");
    const status = await ctl("job", "status", id.trim());

    expect(cancelled.code).toBe(0);
    expect(status.stdout.trim()).toBe("CANCELLED");
  });

  it("answers a repeated submit with the first job when the idempotency key is the same", async () => {
    const submit = ["job", "submit", "--topic", "job.hello", ...ada, "--idempotency-key", "order-17"];

    const [first, second] = [await ctl(...submit), await ctl(...submit)];
    const other = await ctl(...submit, "--label", "region=eu");

    expect(second.stdout).toBe(first.stdout);
    expect(other.code).toBe(8);
  });

  it("lists the worker", async () => {
    const { stdout } = await ctl("worker", "list", "--json");

    expect(JSON.parse(stdout)).toMatchObject([{ pool: "hello" }]);
  });
});

function slow(): string[] {
  return ["job", "submit", "--topic", "job.hello.slow", ...ada, "--wait"];
}
