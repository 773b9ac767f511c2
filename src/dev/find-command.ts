import { execFile } from "node:child_process";
import { userInfo } from "node:os";
import { promisify } from "node:util";
import { DomainError } from "../errors/index.ts";
import type { ServerPlace, ServerSpec } from "./server-spec.ts";

const run = promisify(execFile);

/** A command line that runs a server in the foreground. */
export interface ServerCommand {
  file: string;
  args: string[];
  /** Name of the container, when it is one. */
  container?: string;
}

/** PATH first, then the folders of servers that a user's PATH often lacks. */
const folders = ["", "/usr/sbin/", "/usr/local/sbin/", "/usr/local/bin/", "/opt/homebrew/bin/"];

/**
 * How to run a server here: its executable, else a container, else an error that says what to install.
 * @throws DomainError `failed_precondition`
 */
export async function findCommand(spec: ServerSpec, place: ServerPlace): Promise<ServerCommand> {
  for (const file of spec.binaries.flatMap((name) => folders.map((folder) => folder + name))) {
    if (await succeeds(file, ["--version"])) return { file, args: spec.args(place) };
  }
  if (await succeeds("docker", ["version", "--format", "{{.Server.Version}}"])) return containerCommand(spec, place);
  throw new DomainError("failed_precondition", `${spec.binaries[0]} not found: ${spec.advice}`);
}

/**
 * Has the kernel end the command when this process dies without a chance to, where the system can do that: Linux with
 * `setpriv` of util-linux. The command keeps its process id.
 */
export async function guardCommand({ file, args }: ServerCommand): Promise<{ file: string; args: string[] }> {
  canGuard ??= succeeds("setpriv", ["--pdeathsig", "TERM", "true"]);
  return (await canGuard) ? { file: "setpriv", args: ["--pdeathsig", "TERM", file, ...args] } : { file, args };
}

let canGuard: Promise<boolean> | undefined;

function succeeds(file: string, args: string[]): Promise<boolean> {
  return run(file, args, { timeout: 5000 }).then(
    () => true,
    () => false,
  );
}

/** The attached client passes signals on, so the container stops with it; `--rm` leaves nothing behind. */
export function containerCommand(spec: ServerSpec, { port, dataDir }: ServerPlace): ServerCommand {
  const container = `cordum-${spec.name}-${port}`;
  const { uid, gid } = userInfo();
  const docker = ["run", "--rm", "--name", container, "--publish", `127.0.0.1:${port}:${port}`];
  const owner = uid >= 0 ? ["--user", `${uid}:${gid}`] : [];
  const server = spec.args({ host: "0.0.0.0", port, dataDir: "/data" });
  const program = [spec.image, spec.binaries[0] ?? spec.name, ...server];
  return { file: "docker", args: [...docker, ...owner, "--volume", `${dataDir}:/data`, ...program], container };
}
