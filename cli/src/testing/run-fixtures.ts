import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { type Run, RunSchema, RunStatus, StepStatus } from "@cordum/proto/cordum/v1/run_pb.js";
import type { FakeServices } from "./fake-gateway.ts";

/** A moment, milliseconds after the one that runs of tests begin at. */
export function at(ms: number) {
  return timestampFromMs(1_700_000_000_000 + ms);
}

/** A run of `finance.refund` that began at `at(0)`. */
export function runOf(run: MessageInitShape<typeof RunSchema>): Run {
  const times = { createdAt: at(0), startedAt: at(0), updatedAt: at(0) };
  return create(RunSchema, { id: "r1", workflowId: "finance.refund", workflowRevision: 3, ...times, ...run });
}

/** A step that has ended, `tookMs` after it began. */
export function ended(status: StepStatus, beganMs: number, tookMs: number) {
  return { status, startedAt: at(beganMs), completedAt: at(beganMs + tookMs) };
}

/** A gateway whose run passes through these, and ends as the last. */
export function passes(...states: MessageInitShape<typeof RunSchema>[]): FakeServices["runs"] {
  const all = states.map((state, index) => runOf({ events: BigInt(index), ...state }));
  return {
    async *watchRun() {
      for (const run of all) yield { run };
    },
    getRun: () => ({ run: all.at(-1) as Run }),
  };
}

/** A gateway whose run stays as it is. */
export function stuck(run: MessageInitShape<typeof RunSchema>): FakeServices["runs"] {
  return {
    getRun: () => ({ run: runOf(run) }),
    async *watchRun(_request, { signal }) {
      yield { run: runOf(run) };
      await new Promise((resolve) => signal.addEventListener("abort", resolve));
    },
  };
}

export const succeeded = { status: RunStatus.SUCCEEDED, completedAt: at(1_500) };
export const waitingForPeople = {
  status: RunStatus.WAITING,
  steps: { review: { type: "approval", status: StepStatus.WAITING, startedAt: at(0) } },
};
