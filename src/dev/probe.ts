import { randomInt } from "node:crypto";
import { connect, createServer } from "node:net";

/** Version of the NATS server on a loopback port, once it takes clients and JetStream is on. */
export async function probeNats(port: number): Promise<string> {
  const greeting = await talk(port, "", (text) => text.includes("\r\n"));
  const info = JSON.parse(greeting.slice("INFO ".length)) as { version?: string; jetstream?: boolean };
  if (!info.jetstream) throw new Error("JetStream is not on");
  return info.version ?? "unknown";
}

/** Version of the Redis server on a loopback port, once its data is loaded. */
export async function probeRedis(port: number): Promise<string> {
  const info = await talk(
    port,
    "INFO server\r\n",
    (text) => text.startsWith("-") || /redis_version:[^\r]+\r/.test(text),
  );
  const version = /redis_version:([^\r]+)/.exec(info)?.[1];
  if (version === undefined) throw new Error(info.trim());
  return version;
}

/** Sends one line to a loopback port and gives the answer back as soon as it is complete. At most one second. */
function talk(port: number, line: string, isComplete: (text: string) => boolean): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = "";
    const socket = connect({ host: "127.0.0.1", port, timeout: 1000 }, () => void (line && socket.write(line)));
    socket.setEncoding("utf8");
    socket.on("data", (chunk) => {
      text += chunk;
      if (!isComplete(text)) return;
      resolve(text);
      socket.destroy();
    });
    socket.on("timeout", () => socket.destroy(new Error("no answer within a second")));
    socket.on("error", reject);
    socket.on("close", () => reject(new Error("connection closed")));
  });
}

/**
 * Below those that systems give to outgoing connections: such a one could take the port while its server restarts, a
 * client that tries to reach that server most of all.
 */
const [firstPort, lastPort] = [15_000, 30_000];
const maxTries = 50;
/** Those that this process was told of and may not use yet. */
const told = new Set<number>();

/**
 * A loopback port that nobody listens on at this moment: `preferred` when it is free.
 * @throws Error when there seems to be none
 */
export async function findFreePort(preferred = 0): Promise<number> {
  if (preferred !== 0 && (await isFree(preferred))) return preferred;
  for (let tries = 0; tries < maxTries; tries++) {
    const port = randomInt(firstPort, lastPort);
    if (told.has(port) || !(await isFree(port))) continue;
    told.add(port);
    return port;
  }
  throw new Error(`none of ${maxTries} ports between ${firstPort} and ${lastPort} is free`);
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "EADDRINUSE" || error.code === "EACCES") resolve(false);
      else reject(error);
    });
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });
}
