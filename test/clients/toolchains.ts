import { glob } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { type CommandResult, cleanEnv, root, runCommand } from "../e2e/dev-process.ts";

/** A tool of another language that may be missing here, and how to use it. */
export interface Toolchain {
  /** Why it cannot be used; undefined when it can. */
  absent: string | undefined;
  run(args: string[], cwd: string): Promise<CommandResult>;
  file: string;
  env: NodeJS.ProcessEnv;
}

/** CORDUM_TEST_PYTHON names another interpreter, for example that of a virtual environment with the modules. */
export async function findPython(modules: string[]): Promise<Toolchain> {
  const file = process.env.CORDUM_TEST_PYTHON ?? "python3";
  const run = (args: string[], cwd: string) => runCommand(file, args, cwd);
  const imports = modules.map((name) => `import ${name}`).join("\n") || "pass";
  const { code, stderr } = await run(["-c", imports], root);
  const problem = stderr.trim().split("\n").at(-1) || `no ${file}`;
  return { absent: code === 0 ? undefined : problem, run, file, env: cleanEnv() };
}

const goModules = {
  "google.golang.org/protobuf": "",
  "github.com/nats-io/nats.go": "",
  "github.com/redis/go-redis/v9": "",
};

/** Go with the modules of `examples/hello/worker.go` in its cache. Nothing is downloaded. */
export async function findGo(): Promise<Toolchain & { modules: Record<string, string> }> {
  const found = await runCommand("go", ["env", "GOMODCACHE"], root);
  const cache = join(found.stdout.trim(), "cache/download");
  const env = { ...cleanEnv(), GOFLAGS: "-mod=mod", GOPROXY: `file://${cache}`, GOSUMDB: "off", GOTOOLCHAIN: "local" };
  const run = (args: string[], cwd: string) => runCommand("go", args, cwd, env);
  const modules: Record<string, string> = {};
  let absent = found.code === 0 ? undefined : "no go";
  for (const name of Object.keys(goModules)) {
    for await (const file of glob(`${name}/@v/v*.zip`, { cwd: cache }))
      modules[name] = /v[^/]+(?=[.]zip$)/.exec(file)?.[0] ?? "";
    if (modules[name] === undefined) absent ??= `no module ${name} in ${cache}`;
  }
  return { absent, run, file: "go", env, modules };
}

/** The environment with one more folder of commands. */
export function withFolder(env: NodeJS.ProcessEnv, folder: string): NodeJS.ProcessEnv {
  return { ...env, PATH: `${folder}${delimiter}${env.PATH}` };
}
