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

/** A loopback port that nobody listens on at this moment: `preferred` when it is free. */
export function findFreePort(preferred = 0): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", (error: NodeJS.ErrnoException) => {
      if (preferred !== 0 && error.code === "EADDRINUSE") resolve(findFreePort());
      else reject(error);
    });
    server.listen(preferred, "127.0.0.1", () => {
      const bound = server.address();
      server.close(() => resolve(typeof bound === "object" && bound !== null ? bound.port : preferred));
    });
  });
}
