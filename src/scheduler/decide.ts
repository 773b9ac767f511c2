import type { JobRequest } from "@cordum/proto/cordum/agent/v1/job_pb.js";
import { DomainError } from "../errors/index.ts";
import type { JobRecord } from "../jobs/index.ts";
import { type Decision, inputFromJob, type PolicyChecker } from "../policy/index.ts";
import type { SchedulerPorts } from "./ports.ts";

/** What policy says, or why it does not say: then the job must wait, and is neither run nor denied. */
export interface Decisions {
  /** Of a job that is to be admitted; counts where policy counts. */
  decide(request: JobRequest): Promise<Decision | DomainError>;
  /** Of a job that waits, and that the rule `askedBy` has decided about. Counts nothing where policy can do so. */
  review(record: JobRecord, askedBy: string): Promise<Decision | DomainError>;
  /** Whether policy is known to have changed since it decided under this snapshot. Compares two texts. */
  isOutdated(snapshot: string): boolean;
}

export function createDecisions(ports: Pick<SchedulerPorts, "policy" | "effectiveConfig" | "limits">): Decisions {
  const { policy, effectiveConfig, limits } = ports;

  async function ask(request: JobRequest, check: PolicyChecker["check"]): Promise<Decision | DomainError> {
    try {
      const tenant = tenantOf(request, limits.defaultTenant);
      const known = effectiveConfig(request, tenant);
      const config = known instanceof Promise ? await known : known;
      const input = inputFromJob(request, tenant);
      return await check(config ? { ...input, effectiveConfig: config.data } : input);
    } catch (error) {
      if (error instanceof DomainError && error.code === "unavailable") return error;
      throw error;
    }
  }

  return {
    decide: (request) => ask(request, (input) => policy.check(input)),
    review: ({ request }, askedBy) => ask(request, (input) => policy.review?.(input, askedBy) ?? policy.check(input)),
    isOutdated(snapshot) {
      const current = policy.currentSnapshot?.() ?? "";
      return current !== "" && current !== snapshot;
    },
  };
}

/** One rule for policy, storage and counting alike. */
export function tenantOf(request: JobRequest, defaultTenant: string): string {
  return request.tenantId || request.meta?.tenantId || request.env.tenant_id || defaultTenant;
}
