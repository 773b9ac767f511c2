import type { JobRecord } from "../jobs/index.ts";
import type { Caller } from "../rpc/index.ts";
import type { Approver, Requester } from "./voting.ts";

/** Everybody who stands behind a job: whom it names, and who has submitted it. */
export function requesterOf({ request, submitter }: JobRecord): Requester {
  const names = [request.principalId, request.meta?.actorId ?? ""].filter((name) => name !== "");
  return { names, submitter };
}

export function approverOf({ keyId, principal, role, groups = [] }: Caller): Approver {
  return { keyId, principal, role, groups };
}
