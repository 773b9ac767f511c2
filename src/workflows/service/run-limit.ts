import type { Config } from "../../config/index.ts";

/**
 * How many runs of a tenant may be under way: `limits.max_concurrent_runs` of the effective configuration, else
 * `rate_limits.concurrent_workflows`. Undefined for any number.
 * @throws DomainError unavailable when the configuration cannot be read
 */
export async function readRunLimit(
  config: Pick<Config, "effective">,
  ids: { tenant: string; team: string; workflow: string },
): Promise<number | undefined> {
  const { data } = (await config.effective(ids)).config;
  const limit = positive(member(data.limits, "max_concurrent_runs"));
  return limit ?? positive(member(data.rate_limits, "concurrent_workflows"));
}

function member(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null ? (value as { [name: string]: unknown })[name] : undefined;
}

/** Zero and less stand for no limit. */
function positive(value: unknown): number | undefined {
  return typeof value === "number" && value > 0 ? Math.floor(value) : undefined;
}
