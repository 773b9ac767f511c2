import { fromBinary } from "@bufbuild/protobuf";
import { type RunTransition, RunTransitionsSchema } from "@cordum/proto/cordum/v1/run_pb.js";
import type { Subscription } from "@nats-io/transport-node";
import { type Bus, subjects } from "../../bus/index.ts";

export type RunHeard = (transitions: readonly RunTransition[]) => void;

/** Hears of changes of runs, over one subscription for all that listen in this process. */
export interface RunListener {
  /**
   * Calls back at changes of one run. Resolves once the bus knows that we listen.
   * @returns a function that ends it
   */
  run(runId: string, heard: RunHeard): Promise<() => void>;
  /** At changes of any run. */
  all(heard: RunHeard): Promise<() => void>;
}

export function createRunListener(bus: Bus): RunListener {
  const byRun = new Map<string, Set<RunHeard>>();
  const ofAll = new Set<RunHeard>();
  let subscription: Subscription | undefined;

  function onMessage(data: Uint8Array): void {
    const { transitions } = fromBinary(RunTransitionsSchema, data);
    for (const heard of ofAll) heard(transitions);
    for (const transition of transitions) for (const heard of byRun.get(transition.runId) ?? []) heard([transition]);
  }

  async function open(): Promise<void> {
    subscription ??= bus.connection.subscribe(subjects.runEvents(), {
      callback: (error, message) => {
        if (error) return;
        try {
          onMessage(message.data);
        } catch {
          // not ours: anybody may publish anything, and those who listen look by themselves too
        }
      },
    });
    // Without the bus nothing is heard; who waits looks by itself too.
    await bus.connection.flush().catch(() => undefined);
  }

  function closeUnused(): void {
    if (byRun.size > 0 || ofAll.size > 0) return;
    if (!bus.connection.isClosed()) subscription?.unsubscribe();
    subscription = undefined;
  }

  return {
    async run(runId, heard) {
      byRun.set(runId, (byRun.get(runId) ?? new Set()).add(heard));
      await open();
      return () => {
        const ours = byRun.get(runId);
        ours?.delete(heard);
        if (ours?.size === 0) byRun.delete(runId);
        closeUnused();
      };
    },
    async all(heard) {
      ofAll.add(heard);
      await open();
      return () => {
        ofAll.delete(heard);
        closeUnused();
      };
    },
  };
}
