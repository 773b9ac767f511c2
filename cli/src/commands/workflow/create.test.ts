import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { startFakeGateway } from "../../testing/fake-gateway.ts";
import { runCli } from "../../testing/run-cli.ts";

it("workflow create saves the file, and prints the workflow's id alone", async () => {
  const folder = await mkdtemp(join(tmpdir(), "cordumctl-"));
  await writeFile(join(folder, "w.json"), '{"id":"w","steps":{}}');
  const sources: string[] = [];
  await using gateway = await startFakeGateway({
    workflows: {
      saveWorkflow({ source }) {
        sources.push(source);
        return { id: "w", revision: 1 };
      },
    },
  });

  const run = await runCli(["workflow", "create", "--file", "w.json", "--gateway", gateway.url], { cwd: folder });

  expect({ ...run, sources }).toEqual({ code: 0, stdout: "w\n", stderr: "", sources: ['{"id":"w","steps":{}}'] });
});
