import { createHash } from "node:crypto";
import { loadScript, type RedisClient, runScript } from "../redis/index.ts";
import type { RateCounter, RateRequest } from "./rates.ts";

const script = loadScript(new URL("./rate-counter.lua", import.meta.url));

/** Counts in Redis, by its clock: exact however many processes ask. One key for each thing that is counted. */
export function createRateCounter(redis: RedisClient): RateCounter {
  const ask = async ({ key, member, limit, windowMs }: RateRequest, isLook: boolean) => {
    const args = [digest(member), limit, windowMs, isLook ? 1 : 0];
    return (await runScript(redis, script, [rateKey(key)], args)) === 1;
  };
  return { take: (request) => ask(request, false), peek: (request) => ask(request, true) };
}

/** Tenants and principals are anybody's text: their digest is short and has no braces. */
function rateKey(key: string): string {
  return `rate:{${digest(key)}}`;
}

function digest(text: string): string {
  return createHash("sha256").update(text).digest("base64url").slice(0, 27);
}
