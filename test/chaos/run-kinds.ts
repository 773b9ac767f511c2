import { RunStatus } from "@cordum/proto/cordum/v1/run_pb.js";
import type { CordumClient } from "@cordum/sdk";
import type { Random } from "./random.ts";

/** What one kind of run is and how it must end. */
export interface RunKind {
  /** How often it is started, compared with the others. */
  weight: number;
  /** The definition's steps, and what else it says. */
  document: { [name: string]: unknown };
  /** How it must end when nobody cancels it. */
  ends: RunStatus;
  /** Step that waits for people. */
  approval?: string;
  /** Signal that it waits for. */
  signal?: string;
}

const work = { topic: "job.chaos.work", input: { workMs: "${input.workMs}" } };
const failing = { topic: "job.chaos.failing", input: { workMs: "${input.workMs}" } };

/** @param slowSeconds - how long the slowest runs wait for nothing: the longer, the more are under way at once */
export function runKinds(slowSeconds: number): Record<string, RunKind> {
  return { ...quickKinds, slow: { ...slow, document: { steps: { wait: delay(slowSeconds), a: afterWait } } } };
}

const delay = (seconds: number) => ({ type: "delay", delay_sec: seconds });
const afterWait = { ...work, depends_on: ["wait"] };
const slow = { weight: 10, ends: RunStatus.SUCCEEDED };

const quickKinds: Record<string, RunKind> = {
  chain: {
    weight: 6,
    ends: RunStatus.SUCCEEDED,
    document: {
      timeout_sec: 600,
      steps: {
        a: work,
        b: { ...work, depends_on: ["a"], input: { workMs: "${input.workMs}", from: "${steps.a.output.jobId}" } },
        c: { ...work, depends_on: ["b"] },
      },
      output: { last: "${steps.c.output.jobId}" },
    },
  },
  fan: {
    weight: 4,
    ends: RunStatus.SUCCEEDED,
    document: {
      steps: {
        f: { ...work, for_each: "input.list", max_parallel: 4, input: { workMs: "${item}", place: "${index}" } },
        end: { type: "transform", depends_on: ["f"], expression: "size(steps.f.output)" },
      },
    },
  },
  built: {
    weight: 4,
    ends: RunStatus.SUCCEEDED,
    document: {
      steps: {
        long: { type: "condition", condition: "input.workMs > 100" },
        which: {
          type: "switch",
          depends_on: ["long"],
          cases: [{ name: "slow", when: "steps.long.output", steps: ["slow"] }],
          default: ["fast"],
        },
        slow: work,
        fast: work,
        pause: { type: "delay", depends_on: ["slow", "fast"], delay_sec: 1 },
        both: {
          type: "parallel",
          depends_on: ["pause"],
          wait: "any",
          branches: { one: { steps: { x: work } }, two: { steps: { y: work } } },
        },
        turns: {
          type: "loop",
          depends_on: ["both"],
          until: "iteration >= 2",
          max_iterations: 5,
          steps: { t: { type: "transform", expression: "iteration" } },
        },
      },
    },
  },
  undone: {
    weight: 3,
    ends: RunStatus.FAILED,
    document: {
      steps: {
        a: { ...work, on_failure: work },
        b: { ...work, depends_on: ["a"], on_failure: work },
        bad: { ...failing, depends_on: ["b"], retry: { max_retries: 1, initial_backoff_sec: 1 } },
        beside: { type: "delay", delay_sec: 3_600 },
      },
    },
  },
  forgiven: {
    weight: 2,
    ends: RunStatus.SUCCEEDED,
    document: { steps: { bad: { ...failing, on_error: "continue" }, next: { ...work, depends_on: ["bad"] } } },
  },
  nested: {
    weight: 2,
    ends: RunStatus.SUCCEEDED,
    document: {
      steps: {
        sub: { type: "subworkflow", workflow_id: "chaos.chain", input: { workMs: "${input.workMs}" } },
        after: { ...work, depends_on: ["sub"] },
      },
    },
  },
  asked: {
    weight: 2,
    ends: RunStatus.SUCCEEDED,
    approval: "ok",
    document: {
      steps: { ok: { type: "approval", approvals: { allow_requester: true } }, a: { ...work, depends_on: ["ok"] } },
    },
  },
  called: {
    weight: 2,
    ends: RunStatus.SUCCEEDED,
    signal: "go",
    document: { steps: { go: { type: "signal" }, a: { ...work, depends_on: ["go"] } } },
  },
  denied: {
    weight: 1,
    ends: RunStatus.FAILED,
    document: { steps: { a: { topic: "job.chaos.denied", retry: { max_retries: 2 } } } },
  },
};

export function inputOf(random: Random): { workMs: number; list: number[] } {
  const workMs = random.integer(0, 250);
  return { workMs, list: Array.from({ length: random.integer(0, 12) }, () => random.integer(0, 60)) };
}

/** Saves all definitions. */
export async function saveRunKinds({ workflows }: CordumClient, kinds: Record<string, RunKind>): Promise<void> {
  for (const [name, { document }] of Object.entries(kinds)) {
    await workflows.saveWorkflow({ source: JSON.stringify({ id: `chaos.${name}`, ...document }) });
  }
}
