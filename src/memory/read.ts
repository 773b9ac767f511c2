import { DomainError } from "../errors/index.ts";
import type { RedisClient } from "../redis/index.ts";

/** Largest payload that is read, bytes. */
export const maxPayloadBytes = 8 * 1024 * 1024;
/** Members read at a time of a list, set or hash. */
const chunk = 100;

/**
 * The bytes of a string; undefined when there is none.
 * @throws DomainError resource_exhausted when it is larger than `maxPayloadBytes`; invalid_argument for other types
 */
export async function readText(redis: RedisClient, key: string): Promise<Buffer | undefined> {
  try {
    const body = await redis.getrangeBuffer(key, 0, maxPayloadBytes);
    if (body.length > maxPayloadBytes) throw tooLarge(key);
    if (body.length === 0 && (await redis.exists(key)) === 0) return undefined;
    return body;
  } catch (error) {
    if (error instanceof Error && error.message.startsWith("WRONGTYPE")) throw wrongType(key, "not a string");
    throw error;
  }
}

/**
 * A memory key as JSON: `{redis_type, value | base64}` for a string, `{redis_type, length, items}` for a list, set or hash.
 * @throws as `readText`
 */
export async function readMemory(redis: RedisClient, key: string): Promise<Buffer | undefined> {
  const type = await redis.type(key);
  if (type === "none") return undefined;
  const view = await readTyped(redis, key, type);
  if (view === undefined) return undefined; // expired since
  const body = Buffer.from(JSON.stringify({ redis_type: type, ...view }));
  if (body.length > maxPayloadBytes) throw tooLarge(key);
  return body;
}

async function readTyped(redis: RedisClient, key: string, type: string): Promise<object | undefined> {
  if (type === "string") {
    const body = await readText(redis, key);
    return body && toMember(body);
  }
  const budget = createBudget(key);
  if (type === "list") {
    const items: unknown[] = [];
    for (let start = 0; ; start += chunk) {
      const page = await redis.lrangeBuffer(key, start, start + chunk - 1);
      items.push(...budget.take(page).map(toItem));
      if (page.length < chunk) return { length: items.length, items };
    }
  }
  if (type === "set") {
    const items = new Map<string, unknown>(); // a scan may name a member twice
    await scan(
      (cursor) => redis.sscanBuffer(key, cursor, "COUNT", chunk),
      (page) => {
        for (const member of budget.take(page)) items.set(member.toString("latin1"), toItem(member));
      },
    );
    return { length: items.size, items: [...items.values()] };
  }
  if (type === "hash") {
    const items = new Map<string, unknown>();
    await scan(
      (cursor) => redis.hscanBuffer(key, cursor, "COUNT", chunk),
      (page) => {
        const flat = budget.take(page);
        for (let at = 0; at + 1 < flat.length; at += 2) items.set(String(flat[at]), toItem(flat[at + 1] as Buffer));
      },
    );
    return { length: items.size, items: Object.fromEntries(items) };
  }
  throw wrongType(key, `a ${type}; string, list, set and hash can be read`);
}

async function scan(
  read: (cursor: string) => Promise<[Buffer, Buffer[]]>,
  take: (page: Buffer[]) => void,
): Promise<void> {
  for (let cursor = "0"; ; ) {
    const [next, page] = await read(cursor);
    take(page);
    cursor = next.toString();
    if (cursor === "0") return;
  }
}

/** Stops a read as soon as it has passed the limit. */
function createBudget(key: string) {
  let left = maxPayloadBytes;
  return {
    take(page: Buffer[]): Buffer[] {
      for (const item of page) left -= item.length;
      if (left < 0) throw tooLarge(key);
      return page;
    },
  };
}

/** JSON when it is JSON, else text, else base64. */
function toItem(body: Buffer): unknown {
  const member = toMember(body);
  return "value" in member ? member.value : member;
}

function toMember(body: Buffer): { value: unknown } | { base64: string } {
  const text = toText(body);
  return text === undefined ? { base64: body.toString("base64") } : { value: parseJson(text, text) };
}

/** Undefined when the bytes are not UTF-8. */
export function toText(body: Uint8Array): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(body);
  } catch {
    return undefined;
  }
}

/** `otherwise` when the text is not JSON. */
export function parseJson(text: string, otherwise: unknown): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return otherwise;
  }
}

function tooLarge(key: string): DomainError {
  const message = `${key} holds more than ${maxPayloadBytes} bytes, the most that can be read`;
  return new DomainError("resource_exhausted", message, { reason: "payload_too_large" });
}

function wrongType(key: string, what: string): DomainError {
  return new DomainError("invalid_argument", `${key} is ${what}`, { reason: "unreadable_type" });
}
