import { create, toBinary } from "@bufbuild/protobuf";
import { JobState, JobTransitionSchema } from "@cordum/proto/cordum/v1/job_pb.js";
import { type Bus, subjects } from "../bus/index.ts";
import type { JobStateName } from "./states.ts";

/** A committed transition, as it is told to whoever listens. */
export interface Transition {
  jobId: string;
  tenant: string;
  topic: string;
  traceId: string;
  /** Undefined for a job that did not exist before. */
  from: JobStateName | undefined;
  to: JobStateName;
  /** Microseconds since the epoch. */
  atUs: number;
  attempt: number;
  worker?: string;
  pool?: string;
  resultPtr?: string;
  errorCode?: string;
  errorMessage?: string;
}

/** The wire value of a state's name. */
export function toJobState(name: JobStateName | undefined): JobState {
  return name === undefined ? JobState.UNSPECIFIED : JobState[name];
}

/** Tells listeners about a transition: plain, best effort, after the commit. */
export function publishTransition(bus: Bus, transition: Transition): void {
  const { jobId, tenant, topic, traceId, from, to, atUs, attempt, worker, pool } = transition;
  const message = create(JobTransitionSchema, {
    jobId,
    tenant,
    topic,
    from: toJobState(from),
    to: toJobState(to),
    at: BigInt(atUs),
    attempt,
    workerId: worker ?? "",
    pool: pool ?? "",
    traceId,
    resultPtr: transition.resultPtr ?? "",
    errorCode: transition.errorCode ?? "",
    errorMessage: transition.errorMessage ?? "",
  });
  bus.connection.publish(subjects.jobEvent(tenant, jobId), toBinary(JobTransitionSchema, message));
}
