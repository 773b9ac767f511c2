import { subjects } from "../bus/index.ts";
import type { StreamFilter } from "./filter.ts";

/** A subject that the hub may listen to. */
export interface Source {
  subject: string;
  kind: "packet" | "transition";
}

const transitions: Source = { subject: subjects.jobEvents(), kind: "transition" };
const jobPackets: Source = { subject: "sys.job.>", kind: "packet" };
const heartbeats: Source = { subject: subjects.heartbeat, kind: "packet" };

/** The sources that at least one subscriber needs. */
export function neededSources(filters: readonly StreamFilter[]): Set<Source> {
  const needed = new Set<Source>();
  for (const filter of filters) {
    if (filter.wantsTransitions) needed.add(transitions);
    if (!filter.wantsPackets) continue;
    if (overlaps(filter, jobPackets)) needed.add(jobPackets);
    if (hearsWorkers(filter) && overlaps(filter, heartbeats)) needed.add(heartbeats);
  }
  return needed;
}

/** A heartbeat concerns no job: whoever asks for certain jobs does not hear it. */
export function hearsWorkers({ mayHearWorkers, jobIds, topics }: StreamFilter): boolean {
  return mayHearWorkers && jobIds === undefined && topics.length === 0;
}

function overlaps({ subjects: patterns }: StreamFilter, { subject }: Source): boolean {
  return patterns.length === 0 || patterns.some((pattern) => mayMeet(pattern.split("."), subject.split(".")));
}

/** Whether a subject exists that both patterns match. */
function mayMeet(a: readonly string[], b: readonly string[]): boolean {
  for (let at = 0; at < Math.max(a.length, b.length); at++) {
    const [one, other] = [a[at], b[at]];
    if (one === undefined || other === undefined) return false;
    if (one === ">" || other === ">") return true;
    if (one !== other && one !== "*" && other !== "*") return false;
  }
  return true;
}
