import type { JobTransition } from "@cordum/proto/cordum/v1/job_pb.js";
import { JobState } from "@cordum/proto/cordum/v1/job_pb.js";
import { StreamKind, type SubscribeRequest } from "@cordum/proto/cordum/v1/stream_pb.js";
import { subjectMatches, subjects } from "../bus/index.ts";
import { invalidField } from "../errors/index.ts";
import { isTerminal, jobStates } from "../jobs/index.ts";
import type { Caller } from "../rpc/index.ts";

/** What one subscriber gets to see: what it asked for, within what it may see. */
export interface StreamFilter {
  wantsPackets: boolean;
  wantsTransitions: boolean;
  /** Patterns of packets' subjects. Empty: all. */
  subjects: readonly string[];
  jobIds: ReadonlySet<string> | undefined;
  /** Patterns. Empty: all. */
  topics: readonly string[];
  /** Bit n: transitions into JobState n. */
  states: number;
  /** Undefined: every tenant. */
  tenant: string | undefined;
  /** What subjects of the tenant's transitions begin with; empty for every tenant. */
  eventSubject: string;
  mayHearWorkers: boolean;
}

const allStates = -1;
const terminalStates = maskOf(jobStates.filter(isTerminal).map((name) => JobState[name]));

export type StreamQuery = Pick<
  SubscribeRequest,
  "kinds" | "subjects" | "jobIds" | "topics" | "states" | "terminalOnly"
>;

/** @throws DomainError invalid_argument that names the field */
export function toFilter(query: StreamQuery, caller: Caller): StreamFilter {
  const unknownKind = query.kinds.findIndex((kind) => kind !== StreamKind.PACKET && kind !== StreamKind.TRANSITION);
  if (unknownKind >= 0) throw invalidField(`kinds[${unknownKind}]`, "must be PACKET or TRANSITION");
  const unknownState = query.states.findIndex(
    (state) => state === JobState.UNSPECIFIED || JobState[state] === undefined,
  );
  if (unknownState >= 0) throw invalidField(`states[${unknownState}]`, "must be the name of a job state");
  const wants = (kind: StreamKind) => query.kinds.length === 0 || query.kinds.includes(kind);
  const tenant = caller.crossTenant ? undefined : caller.tenant;
  const asked = query.states.length > 0 ? maskOf(query.states) : allStates;
  return {
    wantsPackets: wants(StreamKind.PACKET),
    wantsTransitions: wants(StreamKind.TRANSITION),
    subjects: query.subjects,
    jobIds: query.jobIds.length > 0 ? new Set(query.jobIds) : undefined,
    topics: query.topics,
    states: query.terminalOnly ? asked & terminalStates : asked,
    tenant,
    eventSubject: tenant === undefined ? "" : subjects.jobEvents(tenant),
    mayHearWorkers: caller.crossTenant || caller.allows("workers.read"),
  };
}

function maskOf(states: readonly JobState[]): number {
  return states.reduce((mask, state) => mask | (1 << state), 0);
}

/** Whether transitions into a state pass, by its number on the wire. */
export function passesState(states: number, state: number): boolean {
  return states === allStates || (state < 31 && (states & (1 << state)) !== 0);
}

/** The part of the filter that needs the transition decoded; state and tenant were looked at before. */
export function passesTransition({ jobIds, topics }: StreamFilter, { jobId, topic }: JobTransition): boolean {
  return (jobIds === undefined || jobIds.has(jobId)) && passesTopic(topics, topic);
}

export function passesTopic(patterns: readonly string[], topic: string): boolean {
  return passesAny(patterns, topic);
}

export function passesSubject({ subjects: patterns }: StreamFilter, subject: string): boolean {
  return passesAny(patterns, subject);
}

function passesAny(patterns: readonly string[], subject: string): boolean {
  return patterns.length === 0 || patterns.some((pattern) => pattern === subject || subjectMatches(pattern, subject));
}
