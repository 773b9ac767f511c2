import { create, toBinary } from "@bufbuild/protobuf";
import { BinaryReader, BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { JobState, JobTransitionSchema, JobTransitionsSchema } from "@cordum/proto/cordum/v1/job_pb.js";
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

/** Messages of the bus that are being filled, by tenant. */
const open = new WeakMap<Bus, Map<string, BinaryWriter>>();
const listField = JobTransitionsSchema.field.transitions.number;

/**
 * Tells listeners about a transition: plain, best effort, after the commit. Those of one turn of the event loop leave
 * in one message for each tenant: at thousands of jobs a second the messages, not the bytes, are what costs.
 */
export function publishTransition(bus: Bus, transition: Transition): void {
  const { tenant } = transition;
  let byTenant = open.get(bus);
  if (!byTenant) {
    byTenant = new Map();
    open.set(bus, byTenant);
    setImmediate(() => flush(bus));
  }
  const writer = byTenant.get(tenant) ?? new BinaryWriter();
  byTenant.set(tenant, writer.tag(listField, WireType.LengthDelimited).bytes(encode(transition)));
}

/** Sends what is gathered; also called before a connection closes. */
export function flushTransitions(bus: Bus): void {
  flush(bus);
}

function flush(bus: Bus): void {
  const byTenant = open.get(bus);
  open.delete(bus);
  for (const [tenant, writer] of byTenant ?? []) {
    try {
      bus.connection.publish(subjects.jobEvents(tenant), writer.finish());
    } catch (error) {
      bus.log.warn({ err: error }, "transitions not published"); // the connection is closed: listeners look by themselves
    }
  }
}

function encode(transition: Transition): Uint8Array {
  const { jobId, tenant, topic, traceId, from, to, atUs, attempt } = transition;
  const message = create(JobTransitionSchema, {
    jobId,
    tenant,
    topic,
    from: toJobState(from),
    to: toJobState(to),
    at: BigInt(atUs),
    attempt,
    workerId: transition.worker ?? "",
    pool: transition.pool ?? "",
    traceId,
    resultPtr: transition.resultPtr ?? "",
    errorCode: transition.errorCode ?? "",
    errorMessage: transition.errorMessage ?? "",
  });
  return toBinary(JobTransitionSchema, message);
}

/**
 * The encoded transitions in a message, one by one, undecoded.
 * @throws Error when the bytes are not protobuf
 */
export function* splitTransitions(message: Uint8Array): Generator<Uint8Array> {
  const reader = new BinaryReader(message);
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    if (field === listField && wireType === WireType.LengthDelimited) yield reader.bytes();
    else reader.skip(wireType, field);
  }
}
