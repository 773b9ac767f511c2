// Submits jobs to the gateway over gRPC, on one HTTP/2 session, and sees their end on one stream.
import { fromJson } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import { createClient, type Interceptor } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { JobService, JobState, type JobTransition } from "@cordum/proto/cordum/v1/job_pb.js";
import { StreamKind, StreamService } from "@cordum/proto/cordum/v1/stream_pb.js";
import { serveClient } from "../client-role.ts";
import { CompletionBoard } from "../completion-board.ts";
import { roleArguments } from "../role.ts";
import { checkOutcome } from "./outcome.ts";

const [gatewayUrl = "", apiKey = "", topic = ""] = roleArguments(3);
const authenticate: Interceptor = (next) => (request) => {
  request.header.set("x-api-key", apiKey);
  return next(request);
};
const transport = createGrpcTransport({
  baseUrl: gatewayUrl,
  interceptors: [authenticate],
  acceptCompression: [], // both ends share a machine
});
const jobs = createClient(JobService, transport);
const streams = createClient(StreamService, transport);
const request = { topic, context: fromJson(ValueSchema, { name: "Ada", text: "x".repeat(250) }) };

const board = new CompletionBoard();
const stop = new AbortController();
const submitted: string[] = [];

await new Promise<void>((ready, fail) => {
  follow(ready).catch((error) => {
    fail(error);
    if (!stop.signal.aborted) throw error; // without the stream no end of a job is ever seen
  });
});

async function follow(ready: () => void): Promise<void> {
  const filter = { kinds: [StreamKind.TRANSITION], terminalOnly: true };
  for await (const response of streams.subscribe(filter, { signal: stop.signal })) {
    if (response.ready) ready();
    if (response.dropped > 0n) throw new Error(`the stream has left out ${response.dropped} events`);
    for (const { event } of response.events) if (event.case === "transition") settle(event.value);
  }
  throw new Error("the stream has ended");
}

function settle({ jobId, to, errorCode, errorMessage }: JobTransition): void {
  if (to === JobState.SUCCEEDED) board.complete(jobId);
  else board.fail(jobId, `${JobState[to]} ${errorCode} ${errorMessage}`);
}

async function submitBatch(count: number): Promise<string[]> {
  const { results } = await jobs.submitJobs({ jobs: Array.from({ length: count }, () => request) });
  return results.map(({ jobId, errorCode, errorMessage }) => {
    if (errorCode !== "") throw new Error(`refused: ${errorCode} ${errorMessage}`);
    return jobId;
  });
}

serveClient({
  async submit(count, done) {
    const ids = count === 1 ? [(await jobs.submitJob(request)).jobId] : await submitBatch(count);
    if (submitted.length < 100 || count === 1) submitted.push(...ids);
    await Promise.all(ids.map((id) => board.wait(id).then(done)));
  },
  verify: () => checkOutcome(jobs, topic, submitted),
  async close() {
    stop.abort();
  },
});
