import { setTimeout as sleep } from "node:timers/promises";
import type { Logger } from "pino";
import type { Bus } from "../bus/index.ts";
import type { RedisClient } from "../redis/index.ts";
import type { Settings } from "../settings.ts";
import { openSettingsBus, openSettingsRedis, type Shared } from "./open-process.ts";

/** Connections that may not be there yet. */
export interface Connections {
  /** Undefined until Redis has answered once. */
  redis(): RedisClient | undefined;
  /** Calls back once the bus is there, at once when it is. */
  onBus(listen: (bus: Bus) => void): void;
  close(): Promise<void>;
}

/** Those that the process has anyway, and closes itself. */
export function sharedConnections({ redis, bus }: Shared): Connections {
  return { redis: () => redis, onBus: (listen) => listen(bus), close: async () => {} };
}

const retryMs = 1_000;

/** Connects in the background, for as long as it takes: for a process that has something to say without them, too. */
export function openLazily(settings: Settings, name: string, log: Logger): Connections {
  const closing = new AbortController();
  const { signal } = closing;
  const listeners: ((bus: Bus) => void)[] = [];
  let redis: RedisClient | undefined;
  let bus: Bus | undefined;

  async function patiently<T>(what: string, open: () => Promise<T>, use: (opened: T) => void): Promise<void> {
    while (!signal.aborted) {
      try {
        return use(await open());
      } catch (err) {
        log.warn({ err }, `${what} cannot be reached yet`);
        await sleep(retryMs, undefined, { signal }).catch(() => {});
      }
    }
  }

  const opening = [
    patiently(
      "redis",
      () => openSettingsRedis(settings, name, log),
      (opened) => {
        redis = opened;
      },
    ),
    patiently(
      "nats",
      () => openSettingsBus(settings, name, log),
      (opened) => {
        bus = opened;
        for (const listen of listeners) listen(opened);
      },
    ),
  ];

  return {
    redis: () => redis,
    onBus(listen) {
      if (bus !== undefined) listen(bus);
      else listeners.push(listen);
    },
    async close() {
      closing.abort();
      await Promise.all(opening);
      await bus?.close();
      await redis?.quit().catch(() => redis?.disconnect());
    },
  };
}
