import type { CredentialCarrier } from "../rpc/index.ts";
import { stripKey } from "./parse-api-keys.ts";

/** Subprotocol name under which a browser's WebSocket carries a key. */
const keyProtocol = "cordum-api-key";

/**
 * The keys that a call may mean, in order. Usually one; a WebSocket token can be read in more than one way.
 * @returns empty when the call carries no credential
 */
export function presentedKeys(headers: Headers, carrier: CredentialCarrier): string[] {
  for (const value of [headers.get("x-api-key"), headers.get("api-key"), bearer(headers.get("authorization"))]) {
    const key = stripKey(value ?? "");
    if (key !== "") return [key];
  }
  if (carrier !== "websocket") return [];
  const token = protocolToken(headers.get("sec-websocket-protocol") ?? "");
  return token === undefined ? [] : readings(token);
}

function bearer(authorization: string | null): string | undefined {
  return /^bearer\s+(.+)$/i.exec(authorization ?? "")?.[1];
}

/** `cordum-api-key, <token>` or `cordum-api-key.<token>`. */
function protocolToken(header: string): string | undefined {
  const items = header.split(",").map((item) => item.trim());
  const index = items.findIndex((item) => item.toLowerCase() === keyProtocol);
  if (index >= 0) return items[index + 1];
  const joined = items.find((item) => item.toLowerCase().startsWith(`${keyProtocol}.`));
  return joined?.slice(keyProtocol.length + 1);
}

/** Unpadded base64url, padded base64, or the key itself. All are tried: many plain keys happen to be valid base64. */
function readings(token: string): string[] {
  const decoded = Buffer.from(token, "base64url").toString("utf8"); // reads both alphabets, with and without padding
  return [stripKey(decoded), stripKey(token)].filter((key) => key !== "");
}
