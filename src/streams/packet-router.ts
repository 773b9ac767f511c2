import type { BusPacket } from "@cordum/proto/cordum/agent/v1/buspacket_pb.js";
import type { PacketEvent } from "./event.ts";
import { passesSubject, passesTopic, type StreamFilter } from "./filter.ts";
import type { JobOwner, JobOwners } from "./job-owners.ts";
import { hearsWorkers } from "./sources.ts";
import type { Subscriber } from "./subscriber.ts";

type PacketSubscriber = Pick<Subscriber, "filter" | "push">;

/** Hands packets to those who may and want to see them. */
export interface PacketRouter {
  setSubscribers(subscribers: readonly PacketSubscriber[]): void;
  /** Whether some subscriber asked for packets of this subject; to be asked before a packet is decoded. */
  isWanted(subject: string): boolean;
  route(event: PacketEvent): void;
  /** Remembers whose a job is, when that may be asked. */
  learn(job: { jobId: string } & JobOwner): void;
}

/** Subjects are few; more than this many are somebody's mistake, and not remembered. */
const maxSubjects = 100;

export function createPacketRouter(owners: JobOwners): PacketRouter {
  let all: readonly PacketSubscriber[] = [];
  let needsOwners = false;
  const bySubject = new Map<string, readonly PacketSubscriber[]>();

  function wantedBy(subject: string): readonly PacketSubscriber[] {
    const known = bySubject.get(subject);
    if (known) return known;
    const found = all.filter(({ filter }) => passesSubject(filter, subject));
    if (bySubject.size >= maxSubjects) bySubject.clear();
    bySubject.set(subject, found);
    return found;
  }

  /** A request says itself whose it is; for what follows the owner is looked up, once for all who need it. */
  function routeJob(event: PacketEvent, jobId: string, subscribers: readonly PacketSubscriber[]): void {
    const claim = claimedOwner(event.packet);
    if (claim && needsOwners) owners.learnClaim(jobId, claim);
    const unsure: PacketSubscriber[] = [];
    for (const subscriber of subscribers) {
      const { filter } = subscriber;
      if (filter.jobIds !== undefined && !filter.jobIds.has(jobId)) continue;
      if (!needsOwner(filter)) subscriber.push(event);
      else if (!claim) unsure.push(subscriber);
      else if (isOwnedAsWanted(filter, claim)) subscriber.push(event);
    }
    if (unsure.length === 0) return;
    owners.ask(jobId, (owner) => {
      for (const subscriber of unsure) if (isOwnedAsWanted(subscriber.filter, owner)) subscriber.push(event);
    });
  }

  return {
    setSubscribers(subscribers) {
      all = subscribers;
      needsOwners = subscribers.some(({ filter }) => needsOwner(filter));
      bySubject.clear();
    },
    isWanted: (subject) => wantedBy(subject).length > 0,
    learn({ jobId, tenant, topic }) {
      if (needsOwners) owners.learn(jobId, { tenant, topic });
    },
    route(event) {
      const subscribers = wantedBy(event.subject);
      const { payload } = event.packet;
      if (payload.case === "heartbeat") {
        for (const subscriber of subscribers) if (hearsWorkers(subscriber.filter)) subscriber.push(event);
      } else if (payload.case === "alert" || payload.case === undefined) {
        for (const subscriber of subscribers) if (seesEverything(subscriber.filter)) subscriber.push(event);
      } else routeJob(event, payload.value.jobId, subscribers);
    },
  };
}

function claimedOwner({ payload }: BusPacket): JobOwner | undefined {
  if (payload.case !== "jobRequest") return undefined;
  const { tenantId, meta, topic } = payload.value;
  return { tenant: tenantId || (meta?.tenantId ?? ""), topic };
}

function needsOwner({ tenant, topics }: StreamFilter): boolean {
  return tenant !== undefined || topics.length > 0;
}

function isOwnedAsWanted(filter: StreamFilter, { tenant, topic }: JobOwner): boolean {
  return (filter.tenant === undefined || filter.tenant === tenant) && passesTopic(filter.topics, topic);
}

/** What belongs to no job and no tenant is for those who see all tenants and asked for all jobs. */
function seesEverything({ tenant, jobIds, topics }: StreamFilter): boolean {
  return tenant === undefined && jobIds === undefined && topics.length === 0;
}
