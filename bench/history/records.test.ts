import { describe, expect, it } from "vitest";
import { shardOf } from "../../src/redis/index.ts";
import { renameRecord } from "./records.ts";

describe("renameRecord()", () => {
  it("puts the new id in every key and value, and every key of a shard in the new id's shard", () => {
    const shard = `{j${String(shardOf("new", 16)).padStart(2, "0")}}`;
    const commands: [string, ...string[]][] = [
      ["HSET", "{j03}:job:old", "request", "\n\u0003old"],
      ["ZADD", "{j03}:idx:recent", "17", "old"],
      ["SET", "ctx:old", "{}"],
    ];

    expect(renameRecord({ id: "old", commands }, "new", 16)).toEqual([
      ["HSET", `${shard}:job:new`, "request", "\n\u0003new"],
      ["ZADD", `${shard}:idx:recent`, "17", "new"],
      ["SET", "ctx:new", "{}"],
    ]);
  });
});
