import { create, toBinary } from "@bufbuild/protobuf";
import { JobResultSchema, JobStatus } from "@cordum/proto/cordum/agent/v1/job_pb.js";
import { type Bus, encodePacket, subjects } from "../bus/index.ts";
import { type TerminalState, uuidOf } from "../jobs/index.ts";

/** A job that ended badly. */
export interface EndedBadly {
  jobId: string;
  traceId: string;
  status: TerminalState;
  errorCode: string;
  errorMessage: string;
}

const senderId = "cordum-scheduler";

/**
 * Tells the dead letter stream. Resolves when the stream has it; repeating it within two minutes changes nothing.
 * @throws Error when the stream did not acknowledge
 */
export async function publishDeadLetter(bus: Bus, ended: EndedBadly): Promise<void> {
  const { jobId, traceId, status, errorCode, errorMessage } = ended;
  const result = create(JobResultSchema, { jobId, status: JobStatus[status], errorCode, errorMessage });
  const payload = toBinary(JobResultSchema, result);
  const packet = encodePacket({ traceId, senderId, kind: "jobResult", payload, createdAtMs: Date.now() });
  const sealed = bus.signer.seal(packet);
  const publish = () => bus.jetstream.publish(subjects.deadLetter, sealed, { msgID: `dlq:${inHeader(jobId)}` });
  try {
    await publish();
  } catch (error) {
    if (!bus.isConnected()) throw error;
    await bus.ensureStreams(); // somebody may have deleted it
    await publish();
  }
}

/** Ids come from whoever is on the bus; a header takes no line breaks. */
function inHeader(id: string): string {
  return /^[\x20-\x7e]*$/.test(id) ? id : uuidOf(id);
}
