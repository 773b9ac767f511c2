import type { NodeConnectionOptions } from "@nats-io/transport-node";

/**
 * Servers and credentials out of `nats://user:password@host:4222`, `nats://token@host`, `tls://host`; commas separate
 * servers, of which the first one's credentials count.
 * @throws TypeError when a part is no URL
 */
export function toNatsOptions(natsUrl: string): NodeConnectionOptions & { servers: string[] } {
  const urls = natsUrl
    .split(",")
    .map((part) => part.trim())
    .filter((part) => part !== "")
    .map(parseServer);
  const [first] = urls;
  if (first === undefined) throw new TypeError("NATS URL is empty");
  const user = decodeURIComponent(first.username);
  const pass = decodeURIComponent(first.password);
  return {
    servers: urls.map(({ hostname, port }) => (port === "" ? hostname : `${hostname}:${port}`)),
    ...(user !== "" && (pass === "" ? { token: user } : { user, pass })),
    ...(urls.some(({ protocol }) => protocol === "tls:") && { tls: {} }),
  };
}

function parseServer(text: string): URL {
  const url = URL.parse(text.includes("://") ? text : `nats://${text}`);
  // The text may hold a password: it stays out of the message.
  if (url === null || url.hostname === "") throw new TypeError("NATS URL: expected nats://host:port");
  return url;
}
