import { fromJsonString } from "@bufbuild/protobuf";
import { type PolicyConstraints, PolicyConstraintsSchema } from "@cordum/proto/cordum/agent/v1/safety_pb.js";

/** What policy allowed a job only under. Absent members are not limited. */
export interface JobConstraints {
  /** Everything that policy said: budgets, sandbox, toolchain, diff limits. */
  readonly policy?: PolicyConstraints;
  readonly redactionLevel?: string;
  readonly maxArtifactBytes?: number;
  readonly maxConcurrentJobs?: number;
  readonly maxRetries?: number;
}

const none: JobConstraints = Object.freeze({});

/** Reads the constraints out of a job's env. Throws when they are there but cannot be read: never run unconstrained. */
export function parseConstraints(env: Readonly<Record<string, string>>): JobConstraints {
  const policy = env.CORDUM_POLICY_CONSTRAINTS;
  const redactionLevel = env.CORDUM_REDACTION_LEVEL;
  const maxArtifactBytes = parseLimit(env, "CORDUM_MAX_ARTIFACT_BYTES");
  const maxConcurrentJobs = parseLimit(env, "CORDUM_MAX_CONCURRENT_JOBS");
  const maxRetries = parseLimit(env, "CORDUM_MAX_RETRIES");
  const given = {
    ...(policy && { policy: fromJsonString(PolicyConstraintsSchema, policy, { ignoreUnknownFields: true }) }),
    ...(redactionLevel && { redactionLevel }),
    ...(maxArtifactBytes !== undefined && { maxArtifactBytes }),
    ...(maxConcurrentJobs !== undefined && { maxConcurrentJobs }),
    ...(maxRetries !== undefined && { maxRetries }),
  };
  return Object.keys(given).length === 0 ? none : given;
}

function parseLimit(env: Readonly<Record<string, string>>, name: string): number | undefined {
  const text = env[name];
  if (text === undefined || text === "") return undefined;
  const limit = Number(text);
  if (!Number.isSafeInteger(limit) || limit < 0) throw new Error(`${name}: "${text}" is not a whole number`);
  return limit;
}
