import { DomainError } from "../errors/index.ts";
import type { RedisClient } from "./connect.ts";

/**
 * CRC-16/XMODEM, the checksum that Redis Cluster uses for key slots.
 * @see https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/
 */
export function crc16(text: string): number {
  let crc = 0;
  for (const byte of Buffer.from(text)) crc = ((crc << 8) & 0xffff) ^ (crc16Table[((crc >> 8) ^ byte) & 0xff] ?? 0);
  return crc;
}

const crc16Table = new Uint16Array(256).map((_, index) => {
  let crc = index << 8;
  for (let bit = 0; bit < 8; bit++) crc = crc & 0x8000 ? ((crc << 1) ^ 0x1021) & 0xffff : (crc << 1) & 0xffff;
  return crc;
});

/** The shard, 0 to `shards` - 1, that holds everything about this id. */
export function shardOf(id: string, shards: number): number {
  return crc16(id) % shards;
}

/**
 * Claims `shards` as the number of shards of this Redis at first boot, and compares at every later one.
 * @throws DomainError failed_precondition when the data was written with another number
 */
export async function verifyShards(redis: RedisClient, shards: number): Promise<void> {
  await redis.set("cordum:shards", shards, "NX");
  const found = await redis.get("cordum:shards");
  if (found !== String(shards)) {
    const message = `STATE_SHARDS is ${shards}, but this Redis holds state in ${found} shards; the number cannot change`;
    throw new DomainError("failed_precondition", message, { reason: "state_shards_changed" });
  }
}
