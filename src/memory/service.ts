import { fromJson, type JsonValue } from "@bufbuild/protobuf";
import { type Value, ValueSchema } from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import type { MemoryService } from "@cordum/proto/cordum/v1/memory_pb.js";
import { DomainError } from "../errors/index.ts";
import { isShallow, pointerScheme } from "../jobs/index.ts";
import type { RedisClient } from "../redis/index.ts";
import { callerKey } from "../rpc/index.ts";
import { type AccessDeps, mayRead } from "./access.ts";
import { type Address, parseAddress } from "./address.ts";
import { parseJson, readMemory, readText, toText } from "./read.ts";

export interface MemoryServiceDeps extends AccessDeps {
  redis: RedisClient;
}

/** Reads payloads for those who hold no Redis credentials: workers, and people who look at what a job did. */
export function createMemoryService(deps: MemoryServiceDeps): ServiceImpl<typeof MemoryService> {
  return {
    async readPointer(request, context) {
      const address = parseAddress(request);
      const isAllowed = await mayRead(deps, address, context.values.get(callerKey));
      const found = isAllowed ? await read(deps.redis, address) : undefined;
      if (!found) {
        // What another tenant has looks like nothing: keys must not be probed.
        throw new DomainError("not_found", `nothing is kept at ${address.key}`, { reason: "payload_not_found" });
      }
      const { key, body } = found;
      const text = toText(body);
      const json = text === undefined ? undefined : toValue(text);
      return {
        pointer: pointerScheme + key,
        key,
        kind: address.kind,
        sizeBytes: BigInt(body.length),
        base64: body.toString("base64"),
        ...(text !== undefined && { text }),
        ...(json && { json }),
      };
    },
  };
}

/** The literal key first, then its colon form. */
async function read(redis: RedisClient, { key, canonicalKey, kind }: Address) {
  for (const candidate of new Set([key, canonicalKey])) {
    const body = await (kind === "memory" ? readMemory(redis, candidate) : readText(redis, candidate));
    if (body) return { key: candidate, body };
  }
  return undefined;
}

function toValue(text: string): Value | undefined {
  const value = parseJson(text, undefined) as JsonValue | undefined;
  return value === undefined || !isShallow(value) ? undefined : fromJson(ValueSchema, value);
}
