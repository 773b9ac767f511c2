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
  /** The end of a job that is a step of a run: the run is told, too. */
  isStep?: boolean;
}

/** The wire value of a state's name. */
export function toJobState(name: JobStateName | undefined): JobState {
  return name === undefined ? JobState.UNSPECIFIED : JobState[name];
}

/** Messages of the bus that are being filled, by subject. */
const open = new WeakMap<Bus, Map<string, BinaryWriter>>();
const listField = JobTransitionsSchema.field.transitions.number;

/**
 * Tells listeners about a transition: plain, best effort, after the commit. Those of one turn of the event loop leave
 * in one message for each tenant: at thousands of jobs a second the messages, not the bytes, are what costs.
 */
export function publishTransition(bus: Bus, transition: Transition): void {
  let bySubject = open.get(bus);
  if (!bySubject) {
    bySubject = new Map();
    open.set(bus, bySubject);
    process.nextTick(flush, bus); // after the microtasks of this turn
  }
  const toAll = writerOf(bySubject, subjects.jobEvents(transition.tenant)).tag(listField, WireType.LengthDelimited);
  if (!transition.isStep) {
    write(toAll.fork(), transition);
    toAll.join();
    return;
  }
  const writer = new BinaryWriter();
  write(writer, transition);
  const bytes = writer.finish();
  toAll.bytes(bytes);
  writerOf(bySubject, subjects.stepEnds).tag(listField, WireType.LengthDelimited).bytes(bytes);
}

function writerOf(bySubject: Map<string, BinaryWriter>, subject: string): BinaryWriter {
  let writer = bySubject.get(subject);
  if (!writer) {
    writer = new BinaryWriter();
    bySubject.set(subject, writer);
  }
  return writer;
}

/** Sends what is gathered; also called before a connection closes. */
export function flushTransitions(bus: Bus): void {
  flush(bus);
}

function flush(bus: Bus): void {
  const bySubject = open.get(bus);
  open.delete(bus);
  for (const [subject, writer] of bySubject ?? []) {
    try {
      bus.connection.publish(subject, writer.finish());
    } catch (error) {
      bus.log.warn({ err: error }, "transitions not published"); // the connection is closed: listeners look by themselves
    }
  }
}

const field = JobTransitionSchema.field;

/** As `toBinary` would, without a message in between: this runs three times for each job. */
function write(writer: BinaryWriter, transition: Transition): void {
  const text = (number: number, value: string | undefined) => {
    if (value) writer.tag(number, WireType.LengthDelimited).string(value);
  };
  text(field.jobId.number, transition.jobId);
  text(field.tenant.number, transition.tenant);
  text(field.topic.number, transition.topic);
  if (transition.from) writer.tag(field.from.number, WireType.Varint).int32(toJobState(transition.from));
  writer.tag(field.to.number, WireType.Varint).int32(toJobState(transition.to));
  writer.tag(field.at.number, WireType.Varint).int64(transition.atUs);
  if (transition.attempt > 0) writer.tag(field.attempt.number, WireType.Varint).int32(transition.attempt);
  text(field.workerId.number, transition.worker);
  text(field.pool.number, transition.pool);
  text(field.traceId.number, transition.traceId);
  text(field.resultPtr.number, transition.resultPtr);
  text(field.errorCode.number, transition.errorCode);
  text(field.errorMessage.number, transition.errorMessage);
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
