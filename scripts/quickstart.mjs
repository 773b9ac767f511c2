/**
 * `npm run quickstart`: sets up what is missing, then shows a governed platform at work. With `--exit` it ends after the
 * table. Plain JavaScript for Node 20, because it runs before anything is installed.
 */
import { spawn } from "node:child_process";
import { join } from "node:path";
import { build, main, node24, root, setup } from "./setup.mjs";

await main(async () => {
  const servers = [];
  if (!process.env.NATS_URL) servers.push("nats");
  if (!process.env.REDIS_URL) servers.push("redis");
  await setup({ servers });
  await build();

  const args = ["--conditions=cordum-source", join(root, "scripts/quickstart/main.ts"), ...process.argv.slice(2)];
  // The channel tells it when we are gone, however we ended.
  const child = spawn(node24(), args, { cwd: root, stdio: ["inherit", "inherit", "inherit", "ipc"] });
  process.on("SIGINT", () => {}); // Ctrl-C reaches the child too; it decides when we are done
  process.on("SIGTERM", () => child.kill("SIGTERM"));
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", (code) => resolve(code ?? 1));
  });
});
