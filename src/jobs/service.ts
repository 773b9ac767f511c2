import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import { type CordumApi, type SubmitJobRequest, SubmitJobRequestSchema } from "@cordum/proto/cordum/v1/api_pb.js";
import { type JobService, JobState } from "@cordum/proto/cordum/v1/job_pb.js";
import { requireTenant } from "../auth/index.ts";
import { DomainError } from "../errors/index.ts";
import { auditDetail, callerKey, checkRules, eachItem } from "../rpc/index.ts";
import { traceparentOf } from "../telemetry/index.ts";
import { toJobState } from "./events.ts";
import type { Jobs, Submitter } from "./jobs.ts";
import type { Payloads } from "./payloads.ts";
import type { JobReader } from "./reader.ts";
import type { JobRecord } from "./record.ts";
import { remediateJob } from "./remediate.ts";
import { isJobState, isTerminal, type JobStateName } from "./states.ts";
import { toMicros } from "./timestamps.ts";
import { toJobMessage, toJobMessageWithPayloads } from "./to-message.ts";

export interface JobServiceDeps {
  jobs: Jobs;
  reader: JobReader;
  payloads: Payloads;
}

const defaultPageSize = 50;
const defaultWaitMs = 30_000;

export function createJobService({ jobs, reader, payloads }: JobServiceDeps): ServiceImpl<typeof JobService> {
  async function visible(jobId: string, context: HandlerContext): Promise<JobRecord> {
    const record = await reader.get(jobId);
    const caller = context.values.get(callerKey);
    if (record && (caller.crossTenant || caller.tenant === record.tenant)) {
      auditDetail(context, { resource: `job/${jobId}`, tenant: record.tenant });
      return record;
    }
    // A job of another tenant looks like none: ids must not be probed.
    throw new DomainError("not_found", `no job ${jobId}`, { reason: "job_not_found" });
  }

  return {
    async submitJob(request, context) {
      return jobs.submit(request, submitterOf(request, context));
    },
    async submitJobs(request, context) {
      const results = await eachItem(request.jobs, "jobs", context, async (job) => {
        checkRules(SubmitJobRequestSchema, job);
        return await jobs.submit(job, submitterOf(job, context));
      });
      return { results };
    },
    async getJob({ jobId, omitPayloads }, context) {
      const record = await visible(jobId, context);
      return { job: omitPayloads ? toJobMessage(record) : await toJobMessageWithPayloads(record, payloads) };
    },
    async listJobs(request, context) {
      const caller = context.values.get(callerKey);
      const tenant = caller.crossTenant && !request.tenant ? undefined : requireTenant(caller, request.tenant);
      const state = JobState[request.state];
      const page = await reader.list({
        tenant,
        state: state && isJobState(state) ? state : undefined,
        topic: request.topic,
        team: request.team,
        traceId: request.traceId,
        updatedAfterUs: toMicros(request.updatedAfter, "start"),
        updatedBeforeUs: toMicros(request.updatedBefore, "end"),
        cursor: request.cursor,
        pageSize: request.pageSize || request.limit || defaultPageSize,
      });
      return { items: page.jobs.map(toJobMessage), nextCursor: page.nextCursor };
    },
    async cancelJob({ jobId, reason }, context) {
      await visible(jobId, context);
      const { principal, keyId } = context.values.get(callerKey);
      const requestedBy = principal || keyId;
      const { state, wasTerminal } = await jobs.cancel(jobId, { reason: reason || "cancelled via api", requestedBy });
      auditDetail(context, { details: { state, had_ended: String(wasTerminal) } });
      return { id: jobId, state: toJobState(state), reason: wasTerminal ? "job already terminal" : "" };
    },
    async remediateJob({ jobId, remediationId }, context) {
      const { keyId, principal } = context.values.get(callerKey);
      const record = await visible(jobId, context);
      const remedy = { remediationId, submitter: { keyId, principal } };
      const submitted = await remediateJob({ jobs, reader, payloads }, record, remedy);
      auditDetail(context, { details: { remediation: remediationId, new_job: submitted.jobId } });
      return submitted;
    },
    async listDecisions({ jobId, limit }, context) {
      await visible(jobId, context);
      return { decisions: await reader.decisions(jobId, limit || 50) };
    },
    async listJobEvents({ jobId }, context) {
      await visible(jobId, context);
      const events = (await reader.events(jobId)).map(({ state, atUs, attempt, worker, reason }) => ({
        state: toJobState(state),
        at: BigInt(atUs),
        attempt,
        workerId: worker,
        reason,
      }));
      return { events };
    },
    async *watchJob({ jobId }, context) {
      await visible(jobId, context);
      for await (const record of jobs.watch(jobId, context.signal)) yield { job: await shown(record, payloads) };
    },
    async waitJob({ jobId, timeoutMs, omitPayloads }, context) {
      await visible(jobId, context);
      const wait = { timeoutMs: timeoutMs || defaultWaitMs, signal: context.signal };
      const record = await jobs.wait(jobId, wait);
      return { job: omitPayloads ? toJobMessage(record) : await shown(record, payloads) };
    },
  };
}

/** The older API: the same jobs, fewer fields. */
export function createCordumApi({ jobs, reader }: JobServiceDeps): ServiceImpl<typeof CordumApi> {
  return {
    submitJob: (request, context) => jobs.submit(request, submitterOf(request, context)),
    async getJobStatus({ jobId }, context) {
      const record = await reader.get(jobId);
      const caller = context.values.get(callerKey);
      if (!record) throw new DomainError("not_found", `no job ${jobId}`, { reason: "job_not_found" });
      requireTenant(caller, record.tenant);
      return { jobId, status: record.state, resultPtr: record.resultPtr };
    },
  };
}

function submitterOf(request: SubmitJobRequest, context: HandlerContext): Submitter {
  const caller = context.values.get(callerKey);
  const tenant = requireTenant(caller, request.orgId || request.tenantId);
  const traceparent = traceparentOf(context.requestHeader.get("traceparent"));
  const mark = { keyId: caller.keyId, principal: caller.principal };
  return { tenant, principal: caller.principal || request.principalId, traceparent, mark };
}

/** Payloads are read once the job has ended: until then there is no output, and the input is known to the caller. */
async function shown(record: JobRecord, payloads: Payloads) {
  return isTerminal(record.state as JobStateName) ? toJobMessageWithPayloads(record, payloads) : toJobMessage(record);
}
