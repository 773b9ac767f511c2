/** Grants a permission such as `jobs.submit`. */
export type Grant = (permission: string) => boolean;

const everything: Grant = () => true;

/** Every permission is `<resource>.<action>`; what only looks ends in `.read`. The audit log is not for everybody. */
const reading: Grant = (permission) => permission.endsWith(".read") && permission !== "audit.read";

const payloads: ReadonlySet<string> = new Set(["memory.read", "artifact.read"]);

/** Sees what was decided and changed, but no payloads. */
const auditing: Grant = (permission) => permission.endsWith(".read") && !payloads.has(permission);

/** What each role may do. A permission that is new belongs to `admin` alone until it is added here. */
const grants: Readonly<Record<string, Grant>> = {
  admin: everything,
  user: anyOf([
    "jobs.submit",
    "jobs.read",
    "jobs.cancel",
    "dlq.read",
    "workers.read",
    "status.read",
    "stream.read",
    "memory.read",
    "memory.write",
    "artifact.read",
    "artifact.write",
    "policy.evaluate",
    "schema.read",
    "lock.read",
    "schedules.read",
    "workflows.read",
    "runs.read",
    "runs.start",
    "runs.signal",
  ]),
  viewer: reading,
  auditor: auditing,
  worker: anyOf([
    "memory.read",
    "memory.write",
    "artifact.read",
    "artifact.write",
    "jobs.read",
    "status.read",
    "schema.read",
  ]),
  /** Looks at everything and decides on approvals of jobs and of steps, but submits nothing. */
  approver: (permission) => reading(permission) || permission === "approvals.decide" || permission === "runs.approve",
};

const aliases: Readonly<Record<string, string>> = { "": "admin", secops: "admin", operator: "admin" };

/**
 * The role that a configured name stands for; no name stands for `admin`.
 * @returns undefined for a name that is no role
 */
export function roleOf(name: string): string | undefined {
  const lower = name.trim().toLowerCase();
  const role = Object.hasOwn(aliases, lower) ? aliases[lower] : lower;
  return role !== undefined && Object.hasOwn(grants, role) ? role : undefined;
}

/** What a role may do; nothing when it is unknown. */
export function grantOf(role: string): Grant {
  return (Object.hasOwn(grants, role) ? grants[role] : undefined) ?? (() => false);
}

export const roleNames: readonly string[] = Object.keys(grants);

function anyOf(permissions: readonly string[]): Grant {
  const set = new Set(permissions);
  return (permission) => set.has(permission);
}
