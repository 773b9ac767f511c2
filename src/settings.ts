/**
 * The settings of every service, read once from the environment. This is the only file of `src` that reads it.
 * The table in `settings/table.ts` also produces `docs/configuration.md` (`node scripts/configuration.ts`).
 */
import { address } from "./settings/kinds.ts";
import { type Env, readTable, SettingsError } from "./settings/load.ts";
import { retired, table } from "./settings/table.ts";
import type { Values } from "./settings/variable.ts";

export type { Address } from "./settings/kinds.ts";
export { SettingsError } from "./settings/load.ts";

export interface Settings extends Values<typeof table> {
  /** The variables that were set, by the name that stands first in the reference, for example `NATS_URL`. */
  readonly given: ReadonlySet<string>;
  /** Lines to log as warnings: variables that are set and no longer read. */
  readonly notices: readonly string[];
}

/** Files and options of a TLS connection to NATS or Redis. */
export type TlsClientSettings = Settings["nats"]["tls"];

/**
 * Reads and checks all settings. Blank variables count as unset.
 * @throws SettingsError with one line per variable that cannot be used
 */
export function loadSettings(env: Env = process.env): Settings {
  const { values, problems, given } = readTable(table, env);
  problems.push(...findMissingPartners(given));
  if (problems.length > 0) throw new SettingsError(problems);
  const notices = Object.entries(retired)
    .filter(([name]) => env[name]?.trim())
    .map(([name, why]) => `${name} is no longer read: ${why}`);
  return { ...values, safetyKernel: withKernelUrl(values.safetyKernel, given), given, notices };
}

/** A certificate is useless without its key, and the other way round. */
function findMissingPartners(given: ReadonlySet<string>): string[] {
  return ["NATS_TLS", "REDIS_TLS", "GRPC_TLS", "SAFETY_KERNEL_TLS", "CONTEXT_ENGINE_TLS"].flatMap((prefix) => {
    const [cert, key] = [`${prefix}_CERT`, `${prefix}_KEY`];
    if (given.has(cert) === given.has(key)) return [];
    return given.has(cert)
      ? [`${key}: required, because ${cert} is set`]
      : [`${cert}: required, because ${key} is set`];
  });
}

/** Earlier versions named the kernel to its clients in SAFETY_KERNEL_ADDR: a host in it still does that. */
function withKernelUrl(kernel: Settings["safetyKernel"], given: ReadonlySet<string>): Settings["safetyKernel"] {
  const isPlace = given.has("SAFETY_KERNEL_ADDR") && !["", "0.0.0.0", "::"].includes(kernel.addr.host);
  if (kernel.url !== undefined || !isPlace) return kernel;
  const scheme = kernel.tls.caFile === undefined ? "http" : "https";
  return { ...kernel, url: `${scheme}://${address.print(kernel.addr)}` };
}
