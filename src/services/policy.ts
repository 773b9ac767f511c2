import { readFile } from "node:fs/promises";
import type { Logger } from "pino";
import { createRemoteKernel, openPolicyKernel, type PolicyChecker, type PolicyKernel } from "../policy/index.ts";
import type { Settings } from "../settings.ts";

/** The policy, evaluated in this process. */
export function openKernel({ policy }: Settings, log: Logger): Promise<PolicyKernel> {
  const { path, url, reloadIntervalMs } = policy;
  return openPolicyKernel({ path, url, log, reloadIntervalMs });
}

/** What the scheduler asks: the kernel of this process if there is one, else the one at SAFETY_KERNEL_URL. */
export async function openChecker(
  settings: Settings,
  local: (() => Promise<PolicyKernel>) | undefined,
  log: Logger,
): Promise<{ checker: PolicyChecker; close(): Promise<void> }> {
  const { url, tls } = settings.safetyKernel;
  if (local) return { checker: await local(), close: async () => {} };
  if (url === undefined) throw new Error("SAFETY_KERNEL_URL is required without a kernel in this process");
  const caPem = tls.caFile && (await readFile(tls.caFile, "utf8"));
  const remote = createRemoteKernel({ address: url, log, ...(caPem && { caPem }) });
  return { checker: remote, close: () => remote.close() };
}
