import { create } from "@bufbuild/protobuf";
import { JobState, JobTransitionSchema } from "@cordum/proto/cordum/v1/job_pb.js";
import { StreamKind, SubscribeRequestSchema } from "@cordum/proto/cordum/v1/stream_pb.js";
import { describe, expect, it } from "vitest";
import { callerOf } from "../../test/support/client-as.ts";
import { passesState, passesTransition, toFilter } from "./filter.ts";
import { neededSources } from "./sources.ts";

const filterOf = (init: object = {}, caller = callerOf()) => toFilter(create(SubscribeRequestSchema, init), caller);
const sourcesOf = (init: object, caller = callerOf()) =>
  [...neededSources([filterOf(init, caller)])].map(({ subject }) => subject).sort();

describe("toFilter()", () => {
  it("wants both kinds, every state and every job of the caller's tenant when nothing is asked", () => {
    const filter = filterOf({}, callerOf({ tenant: "a.b" }));

    expect(filter).toMatchObject({ wantsPackets: true, wantsTransitions: true, tenant: "a.b", jobIds: undefined });
    expect(filter.eventSubject).toBe("evt.jobs.a%2Eb");
    expect(passesState(filter.states, 0)).toBe(true);
    expect(passesState(filter.states, 77)).toBe(true);
  });

  it("lets those who see all tenants see all", () => {
    const filter = filterOf({}, callerOf({ crossTenant: true, allows: () => false }));

    expect(filter).toMatchObject({ tenant: undefined, eventSubject: "", mayHearWorkers: true });
  });

  it("narrows states to the terminal ones", () => {
    const { states } = filterOf({ terminalOnly: true });
    const { states: none } = filterOf({ terminalOnly: true, states: [JobState.RUNNING] });

    const passing = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10].filter((state) => passesState(states, state));
    expect(passing).toEqual([6, 7, 8, 9, 10]);
    expect(passesState(states, 0)).toBe(false);
    expect(passesState(states, 38)).toBe(false);
    expect(passesState(none, JobState.RUNNING)).toBe(false);
  });

  it("names the kind or state that does not exist", () => {
    expect(() => filterOf({ kinds: [StreamKind.PACKET, 9] })).toThrow("kinds[1]");
    expect(() => filterOf({ states: [0] })).toThrow("states[0]");
    expect(() => filterOf({ states: [1, 99] })).toThrow("states[1]");
  });
});

describe("passesTransition()", () => {
  it.each([
    [{}, true],
    [{ jobIds: ["j1", "j2"] }, true],
    [{ jobIds: ["j2"] }, false],
    [{ topics: ["job.*"] }, false],
    [{ topics: ["job.>", "other"] }, true],
    [{ topics: ["job.a.b"] }, true],
    [{ topics: ["job.a.b"], jobIds: ["j2"] }, false],
  ])("with %j is %s", (init, expected) => {
    const transition = create(JobTransitionSchema, { jobId: "j1", topic: "job.a.b" });

    expect(passesTransition(filterOf(init), transition)).toBe(expected);
  });
});

describe("neededSources()", () => {
  it.each([
    [{ kinds: [StreamKind.TRANSITION] }, ["evt.jobs.*"]],
    [{ kinds: [StreamKind.PACKET] }, ["sys.heartbeat", "sys.job.>"]],
    [{}, ["evt.jobs.*", "sys.heartbeat", "sys.job.>"]],
    [{ kinds: [StreamKind.PACKET], subjects: ["sys.heartbeat"] }, ["sys.heartbeat"]],
    [{ kinds: [StreamKind.PACKET], subjects: ["sys.*.result"] }, ["sys.job.>"]],
    [{ kinds: [StreamKind.PACKET], subjects: ["*.*"] }, ["sys.heartbeat"]],
    [{ kinds: [StreamKind.PACKET], subjects: [">"] }, ["sys.heartbeat", "sys.job.>"]],
    [{ kinds: [StreamKind.PACKET], jobIds: ["j1"] }, ["sys.job.>"]],
    [{ kinds: [StreamKind.PACKET], subjects: ["job.other"] }, []],
  ])("for %j are %j", (init, expected) => {
    expect(sourcesOf(init)).toEqual(expected);
  });

  it("leave heartbeats out for those who may not see workers", () => {
    expect(sourcesOf({ kinds: [StreamKind.PACKET] }, callerOf({ allows: () => false }))).toEqual(["sys.job.>"]);
  });
});
