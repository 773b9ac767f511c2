import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";
import { JobTransitionSchema } from "@cordum/proto/cordum/v1/job_pb.js";
import type { Subscription } from "@nats-io/transport-node";
import { type Bus, subjects } from "../bus/index.ts";
import { splitTransitions } from "./events.ts";

/** Hears of transitions of single jobs, over one subscription for all that listen. */
export interface JobListener {
  /**
   * Calls back at each transition of the job. Resolves once the bus knows that we listen.
   * @returns a function that ends it
   */
  listen(jobId: string, onTransition: () => void): Promise<() => void>;
}

const idField = JobTransitionSchema.field.jobId.number;

export function createJobListener(bus: Bus): JobListener {
  const listeners = new Map<string, Set<() => void>>();
  let subscription: Subscription | undefined;

  function onMessage(data: Uint8Array): void {
    for (const transition of splitTransitions(data)) {
      for (const call of listeners.get(jobIdOf(transition)) ?? []) call();
    }
  }

  function stop(jobId: string, onTransition: () => void): void {
    const ours = listeners.get(jobId);
    ours?.delete(onTransition);
    if (ours?.size === 0) listeners.delete(jobId);
    if (listeners.size > 0) return;
    if (!bus.connection.isClosed()) subscription?.unsubscribe();
    subscription = undefined;
  }

  return {
    async listen(jobId, onTransition) {
      listeners.set(jobId, (listeners.get(jobId) ?? new Set()).add(onTransition));
      subscription ??= bus.connection.subscribe(subjects.jobEvents(), {
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
      return () => stop(jobId, onTransition);
    },
  };
}

/** The id is the first field of every transition that we write. */
function jobIdOf(transition: Uint8Array): string {
  const reader = new BinaryReader(transition);
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    if (field === idField && wireType === WireType.LengthDelimited) return reader.string();
    reader.skip(wireType, field);
  }
  return "";
}
