import type { KeyObject } from "node:crypto";
import { readFile } from "node:fs/promises";
import type { Logger } from "pino";
import {
  type BundleStore,
  createBaseArchive,
  createBundleSource,
  createBundleStore,
  createShadowStore,
  type ShadowStore,
  startShadowRunner,
} from "../bundles/index.ts";
import { subjects } from "../bus/index.ts";
import { DomainError } from "../errors/index.ts";
import {
  createRateCounter,
  createRemoteKernel,
  type OutputPolicy,
  openPolicyKernel,
  type PolicyChecker,
  type PolicyKernel,
  parsePolicyKey,
  type RateCounter,
} from "../policy/index.ts";
import type { RedisClient } from "../redis/index.ts";
import type { Settings } from "../settings.ts";
import type { Connections } from "./lazy-connections.ts";

/** Who signs policy; undefined when nobody has to. @throws Error for a setting that cannot be used */
export function readPolicyKey({ policy }: Settings): KeyObject | undefined {
  if (policy.publicKey) return parsePolicyKey(policy.publicKey);
  if (!policy.requireSignedBundles) return undefined;
  throw new Error("SAFETY_POLICY_SIGNED_BUNDLES needs SAFETY_POLICY_PUBLIC_KEY");
}

/** The policy, evaluated in this process, with the shadow beside it. */
export async function openKernel(
  settings: Settings,
  connections: Connections,
  log: Logger,
): Promise<{ kernel: PolicyKernel; close(): Promise<void> }> {
  const { requireSignedBundles, ignoreBundles, ...policy } = settings.policy;
  const publicKey = readPolicyKey(settings);
  const store = onceOpen(connections, createBundleStore);
  const kernel = await openPolicyKernel({
    ...policy,
    publicKey,
    bundleKey: requireSignedBundles ? publicKey : undefined,
    bundles: ignoreBundles ? undefined : createBundleSource({ store, onBus: connections.onBus, log }),
    archive: createBaseArchive(connections.redis),
    rates: ratesOf(onceOpen(connections, createRateCounter)),
    log,
  });
  const shadow = startShadowRunner({ kernel, store: onceOpen(connections, createShadowStore), log });
  connections.onBus((bus) => {
    bus.connection.subscribe(subjects.policyEvents, {
      callback: () => void shadow.refresh().catch((err) => log.warn({ err }, "shadow policy")),
    });
  });
  return {
    kernel,
    close: async () => {
      await shadow.close();
      await kernel.close();
    },
  };
}

/** Made when Redis is there, and undefined before. */
function onceOpen<T extends BundleStore | ShadowStore | RateCounter>(
  connections: Connections,
  create: (redis: RedisClient) => T,
): () => T | undefined {
  let made: T | undefined;
  return () => {
    const redis = connections.redis();
    if (redis !== undefined) made ??= create(redis);
    return made;
  };
}

function ratesOf(counter: () => RateCounter | undefined): RateCounter {
  const found = () => {
    const opened = counter();
    if (opened !== undefined) return opened;
    throw new DomainError("unavailable", "redis, which counts requests, cannot be reached yet", {
      retryAfterMs: 1_000,
    });
  };
  return { take: async (request) => found().take(request), peek: async (request) => found().peek(request) };
}

/** What the scheduler asks: the kernel of this process if there is one, else the one at SAFETY_KERNEL_URL. */
export async function openChecker(
  settings: Settings,
  local: (() => Promise<PolicyKernel>) | undefined,
  log: Logger,
): Promise<{ checker: PolicyChecker & OutputPolicy; close(): Promise<void> }> {
  const { url, tls } = settings.safetyKernel;
  if (local) return { checker: await local(), close: async () => {} };
  if (url === undefined) throw new Error("SAFETY_KERNEL_URL is required without a kernel in this process");
  const caPem = tls.caFile && (await readFile(tls.caFile, "utf8"));
  const remote = createRemoteKernel({ address: url, log, ...(caPem && { caPem }) });
  return { checker: remote, close: () => remote.close() };
}
