import { fromJsonString } from "@bufbuild/protobuf";
import { type PolicyConstraints, PolicyConstraintsSchema } from "@cordum/proto/cordum/agent/v1/safety_pb.js";
import { checkDiff, type Diff, type DiffViolation } from "./constraints-diff.ts";
import { canRead, canWrite, isCommandAllowed, isHostAllowed, isToolAllowed } from "./constraints-sandbox.ts";

/**
 * What policy allowed a job only under. Absent members are not limited. The questions are for the handler to ask before it
 * acts: a worker is not a sandbox, and nothing here stops code that does not ask.
 */
export interface JobConstraints {
  /** Everything that policy said: budgets, sandbox, toolchain, diff limits. */
  readonly policy?: PolicyConstraints;
  readonly redactionLevel?: string;
  readonly maxArtifactBytes?: number;
  readonly maxConcurrentJobs?: number;
  /** 0: the job is not tried again. */
  readonly maxRetries?: number;
  /** Whether a tool of this name may be used. */
  isToolAllowed(tool: string): boolean;
  /** Whether a program may be started. A list of arguments is safer than a command line. */
  isCommandAllowed(command: string | readonly string[]): boolean;
  /** Whether a host may be talked to. @param host - a name or address, also with a port, or a URL */
  isHostAllowed(host: string): boolean;
  /** Whether a file may be read. Resolve symbolic links first. @param cwd - of a relative path; default: the process's */
  canRead(path: string, cwd?: string): boolean;
  /** Whether a file may be written. Resolve symbolic links first. @param cwd - of a relative path; default: the process's */
  canWrite(path: string, cwd?: string): boolean;
  /** What policy has against a change to files; nothing when it may be made. */
  checkDiff(diff: Diff): DiffViolation[];
}

type Limits = Pick<
  JobConstraints,
  "policy" | "redactionLevel" | "maxArtifactBytes" | "maxConcurrentJobs" | "maxRetries"
>;

class Constraints implements JobConstraints {
  declare readonly policy?: PolicyConstraints;
  declare readonly redactionLevel?: string;
  declare readonly maxArtifactBytes?: number;
  declare readonly maxConcurrentJobs?: number;
  declare readonly maxRetries?: number;

  constructor(limits: Limits) {
    Object.assign(this, limits);
    Object.freeze(this);
  }

  isToolAllowed(tool: string): boolean {
    return isToolAllowed(this.policy?.toolchain, tool);
  }

  isCommandAllowed(command: string | readonly string[]): boolean {
    return isCommandAllowed(this.policy?.toolchain, command);
  }

  isHostAllowed(host: string): boolean {
    return isHostAllowed(this.policy?.sandbox, host);
  }

  canRead(path: string, cwd = process.cwd()): boolean {
    return canRead(this.policy?.sandbox, path, cwd);
  }

  canWrite(path: string, cwd = process.cwd()): boolean {
    return canWrite(this.policy?.sandbox, path, cwd);
  }

  checkDiff(diff: Diff): DiffViolation[] {
    return checkDiff(this.policy?.diff, diff);
  }
}

const none: JobConstraints = new Constraints({});

/** Reads the constraints out of a job's env. Throws when they are there but cannot be read: never run unconstrained. */
export function parseConstraints(env: Readonly<Record<string, string>>): JobConstraints {
  const policy = env.CORDUM_POLICY_CONSTRAINTS;
  const redactionLevel = env.CORDUM_REDACTION_LEVEL;
  const maxArtifactBytes = parseLimit(env, "CORDUM_MAX_ARTIFACT_BYTES");
  const maxConcurrentJobs = parseLimit(env, "CORDUM_MAX_CONCURRENT_JOBS");
  const maxRetries = parseLimit(env, "CORDUM_MAX_RETRIES");
  const given: Limits = {
    ...(policy && { policy: fromJsonString(PolicyConstraintsSchema, policy, { ignoreUnknownFields: true }) }),
    ...(redactionLevel && { redactionLevel }),
    ...(maxArtifactBytes !== undefined && { maxArtifactBytes }),
    ...(maxConcurrentJobs !== undefined && { maxConcurrentJobs }),
    ...(maxRetries !== undefined && { maxRetries }),
  };
  return Object.keys(given).length === 0 ? none : new Constraints(given);
}

function parseLimit(env: Readonly<Record<string, string>>, name: string): number | undefined {
  const text = env[name];
  if (text === undefined || text === "") return undefined;
  const limit = Number(text);
  if (!Number.isSafeInteger(limit) || limit < 0) throw new Error(`${name}: "${text}" is not a whole number`);
  return limit;
}
