import { ActorType } from "@cordum/proto/cordum/agent/v1/job_pb.js";

/** `human`, `service` or empty. */
export function actorTypeName(type: ActorType | undefined): string {
  if (type === ActorType.HUMAN) return "human";
  return type === ActorType.SERVICE ? "service" : "";
}
