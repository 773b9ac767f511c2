import { setTimeout as sleep } from "node:timers/promises";
import { encodePacket, subjects } from "../bus/index.ts";
import { type Dispatched, type JobStateName, publishTransition } from "../jobs/index.ts";
import { continueTrace } from "../telemetry/index.ts";
import { isTooLarge, toDispatchedRequest } from "./constraints.ts";
import type { Decisions } from "./decide.ts";
import { announceEnd, endJob, exhaustedEnd } from "./ending.ts";
import type { Member } from "./fleet.ts";
import type { Answer } from "./handshake.ts";
import { isForged } from "./is-forged.ts";
import { hasLabels, placementLabels } from "./placement.ts";
import { eligiblePools } from "./pools.ts";
import type { Placeable, SchedulerPorts } from "./ports.ts";
import { tenantQueue } from "./queue.ts";

const senderId = "cordum-scheduler";

/** What the caller already knows when it asks to place a job. */
export interface PlaceOptions {
  /** States in which the job may be found. */
  states: readonly JobStateName[];
  attempt?: number;
  digest?: string;
  /** Encoded decision, when one was just taken. */
  decision?: Uint8Array;
  /** Round of the approval that the job goes on under; it is used up. */
  approval?: number;
  /** The attempt before was given back unstarted. */
  isRefund?: boolean;
  /** Ask this worker and no other. */
  member?: Member;
  /** Do not ask anybody now. Unless it is a refund, the attempt before counts and may have been the last one. */
  waitBecause?: string;
}

/** `placed`: with a worker, or parked, or ended. The others say why nothing changed; `outdated`: policy has. */
export type Placed = "placed" | "missing" | "digest" | "changed" | "outdated";

export interface Dispatcher {
  /** Gives the job to a worker, or parks it, or ends it when no pool may ever run it. */
  place(job: Placeable, options: PlaceOptions): Promise<Placed>;
  /** Called when a job found no worker and was parked with these pools. */
  onParked(listener: (pools: readonly string[]) => void): void;
  /** From now on what fails is not tried again: this process is to end. */
  closing(): void;
  /** Resolves when every dispatch so far has been answered and the answer is handled. */
  idle(): Promise<void>;
  /** Whether nobody listened on a topic when it was last tried, a short while ago. */
  isDeaf(topic: string): boolean;
  /** Called when somebody unknown takes the jobs of a topic on which nobody had listened. */
  onServed(listener: (pool: string, topic: string) => void): void;
  /** Asked about the pools of a new job; while all of them say yes, it waits behind those that came before. */
  yieldWhile(isContended: (pool: string) => boolean): void;
  /** Called when a worker has accepted a job. */
  onAccepted(listener: (job: { jobId: string; attempt: number; worker: string; isLeased: boolean }) => void): void;
}

/** A dispatch to whose commit no reply came. */
interface AskedDispatch {
  attempt: number;
  isLeased: boolean;
  member: Member | undefined;
  pool: string;
  askedAtMs: number;
}

interface Target {
  /** Undefined: whoever of the topic's queue group takes it. */
  member: Member | undefined;
  pool: string;
}

export function createDispatcher(ports: SchedulerPorts, { isOutdated }: Pick<Decisions, "isOutdated">): Dispatcher {
  const { bus, store, fleet, queues, slots, handshakes, metrics, limits } = ports;
  const parkedListeners: ((pools: readonly string[]) => void)[] = [];
  /** `<job>/<attempt>` of dispatches that are sent and whose answer is not handled. */
  const openQuestions = new Set<string>();
  let isClosing = false;
  let isContended = (_pool: string) => false;
  let servedListener: ((pool: string, topic: string) => void) | undefined;
  const acceptedListeners: Parameters<Dispatcher["onAccepted"]>[0][] = [];
  /** Topics on whose subject nobody listened, and until when they are not tried. Spares a commit for each such job. */
  const deafTopics = new Map<string, { untilMs: number; forMs: number }>();

  async function place(given: Placeable, options: PlaceOptions): Promise<Placed> {
    const known = ports.effectiveConfig(given.request, given.tenant);
    const config = known instanceof Promise ? await known : known;
    const job = given.effectiveConfig === config?.text ? given : { ...given, effectiveConfig: config?.text };
    const { labels } = job.request;
    const eligible = eligiblePools(ports.pools(), {
      topic: job.topic,
      requires: job.request.meta?.requires ?? [],
      preferredPool: labels.preferred_pool ?? "",
    });
    if (eligible.kind === "none") return endUnplaceable(job, options, "no_pool_mapping", eligible.message);
    const maxBytes = bus.connection.info?.max_payload ?? Number.POSITIVE_INFINITY;
    if (isTooLarge(job, maxBytes)) {
      const message = `the request does not fit into a packet of ${maxBytes} bytes`;
      return endUnplaceable(job, options, "request_too_large", message);
    }
    // Asked now, the question would wait for the bus, and silence would be taken for an answer.
    const unaskable = bus.isConnected() ? undefined : "bus_unavailable";
    const isNew = options.states.includes("PENDING");
    const overtakes = isNew && eligible.pools.every(isContended) ? "pool_overloaded" : undefined;
    const target = options.waitBecause ?? unaskable ?? overtakes ?? chooseTarget(job, eligible.pools, options.member);
    if (typeof target === "string") return park(job, options, eligible.pools, target);
    if (isOutdated(job.snapshot)) return "outdated";
    const limit = job.constraints?.budgets?.maxConcurrentJobs ?? 0;
    if (limit > 0) {
      const hasSlot = await slots.take(job.tenant, job.jobId, limit);
      if (!hasSlot) return park(job, options, [tenantQueue(job.tenant)], "tenant_limit");
      if (isOutdated(job.snapshot)) {
        await giveBackSlot(job.tenant, job.jobId);
        return "outdated";
      }
    }
    return dispatch(job, options, eligible.pools, target, limit > 0 ? job.tenant : "");
  }

  /** The worker to ask, or why the job must wait. */
  function chooseTarget(job: Placeable, pools: readonly string[], member: Member | undefined): Target | string {
    if (member && pools.includes(member.info.pool)) return { member, pool: member.info.pool };
    const labels = placementLabels(job.request.labels);
    const preferredWorker = job.request.labels.preferred_worker_id ?? "";
    const topicPools = ports.pools().topics.get(job.topic) ?? pools;
    const choice = fleet.choose({ pools, labels, preferredWorker, topicPools });
    if (choice.kind === "worker") return { member: choice.member, pool: choice.member.info.pool };
    if (choice.kind === "wait") return choice.reason;
    // Labels cannot be checked on a worker that nobody knows.
    if (isDeaf(job.topic) || Object.keys(labels).length > 0) return "no_workers";
    return { member: undefined, pool: pools[0] ?? "" };
  }

  async function dispatch(
    job: Placeable,
    options: PlaceOptions,
    pools: readonly string[],
    { member, pool }: Target,
    slot: string,
  ): Promise<Placed> {
    const isLeased = member?.info.isLeased ?? false;
    const timeout = ports.timeouts().topics.get(job.topic);
    const runtimeMs = Number(job.constraints?.budgets?.maxRuntimeMs ?? 0n);
    const attemptMs = timeout?.timeoutMs ?? ports.timeouts().runningTimeoutMs;
    const retries = job.constraints?.budgets?.maxRetries ?? timeout?.maxRetries ?? limits.maxRetries;
    const ids = { "cordum.job.id": job.jobId, "cordum.tenant": job.tenant };
    const span = continueTrace(job.request.env.traceparent, `dispatch ${job.topic}`, ids);
    const askedAtMs = Date.now();
    if (member) member.asked++; // before the first await: the next job must see it
    const reply = await store
      .dispatch({
        ...expectation(job, options),
        worker: isLeased ? (member?.info.id ?? "") : "",
        pool,
        isLeased,
        leaseMs: limits.leaseMs,
        timeoutMs: runtimeMs > 0 ? Math.min(runtimeMs, attemptMs) : attemptMs,
        maxAttempts: retries + 1,
        slot,
        ...(options.decision && { decision: options.decision }),
        ...(options.approval && { approval: options.approval }),
        ...(options.isRefund && { isRefund: true }),
      })
      .catch(async (error) => {
        const reply = await readDispatch(job.jobId, {
          attempt: options.attempt ?? 0,
          isLeased,
          member,
          pool,
          askedAtMs,
        }).catch(() => undefined);
        if (reply) return reply;
        if (member) member.asked--;
        throw error;
      })
      .finally(span.end);
    if (reply.kind === "refused") {
      if (member) member.asked--;
      if (slot && reply.why !== "missing") await giveBackSlot(slot, job.jobId);
      return reply.why === "missing" || reply.why === "digest" ? reply.why : "changed";
    }
    metrics.dispatched.add(job.topic);
    const { jobId, tenant, topic, traceId } = job;
    const { from, attempt, atUs, deadlineInMs } = reply;
    const worker = member?.info.id ?? "";
    publishTransition(bus, { jobId, tenant, topic, traceId, from, to: "DISPATCHED", atUs, attempt, worker, pool });
    const payload = toDispatchedRequest(job.encodedRequest, job.request, {
      constraints: job.constraints,
      deadlineInMs,
      effectiveConfig: job.effectiveConfig,
    });
    const packet = encodePacket({ traceId, senderId, kind: "jobRequest", payload, createdAtMs: atUs / 1000 });
    if (from === "SCHEDULED" && pools.length > 1) unqueueElsewhere(job, pools, pool);
    openQuestions.add(`${job.jobId}/${attempt}`);
    ask({
      job,
      pools,
      target: { member, pool },
      attempt,
      packet: bus.signer.seal(packet),
      traceparent: span.traceparent,
    });
    return "placed";
  }

  /**
   * What the store would have replied to a dispatch, when it was made and only the reply was lost: a job that is
   * DISPATCHED and was not sent would stay so. Asks for as long as this process lives.
   */
  async function readDispatch(jobId: string, asked: AskedDispatch): Promise<Dispatched | undefined> {
    const record = await persistently(() => ports.reader.get(jobId));
    const isOurs =
      record?.state === "DISPATCHED" &&
      record.attempt === asked.attempt + 1 &&
      record.worker === (asked.isLeased ? (asked.member?.info.id ?? "") : "") &&
      record.pool === asked.pool &&
      record.updatedAt >= (asked.askedAtMs - clockSkewMs) * 1000;
    if (!isOurs || openQuestions.has(`${jobId}/${record.attempt}`) || fleet.has(jobId)) return undefined;
    const deadlineInMs = record.deadlineMs && Math.max(1, record.deadlineMs - Date.now());
    const from = record.attempt === 1 ? ("PENDING" as const) : ("SCHEDULED" as const);
    return { kind: "dispatched", from, attempt: record.attempt, deadlineInMs, atUs: record.updatedAt };
  }

  /** Tries until it works, or until this process is to end. */
  async function persistently<T>(attempt: () => Promise<T>): Promise<T> {
    for (let pauseMs = 100; ; pauseMs = Math.min(pauseMs * 2, 2_000)) {
      try {
        return await attempt();
      } catch (error) {
        if (isClosing) throw error;
        await sleep(pauseMs);
      }
    }
  }

  /** It was taken out of one queue; what is left of it in the others would only be in the way. */
  function unqueueElsewhere(
    { jobId, tenant, topic, priority, request }: Placeable,
    pools: readonly string[],
    pool: string,
  ) {
    const others = pools.filter((other) => other !== pool);
    queues
      .remove(others, { jobId, tenant, topic, priority, labels: placementLabels(request.labels) })
      .catch((error) => ports.log.warn({ err: error, job_id: jobId }, "job not taken out of other queues"));
  }

  /** A slot that the job holds under another placement, as when a submit comes twice, stays with it. */
  async function giveBackSlot(tenant: string, jobId: string): Promise<void> {
    const record = await ports.reader.get(jobId);
    const isHeld = record?.slot === tenant && (record.state === "DISPATCHED" || record.state === "RUNNING");
    if (!isHeld) await slots.giveBack(tenant, jobId);
  }

  interface Question {
    job: Placeable;
    pools: readonly string[];
    target: Target;
    attempt: number;
    packet: Uint8Array;
    traceparent: string;
  }

  /** Puts the job to its worker; a plain worker whose own subject is deaf is reached by the topic (S4). */
  function ask(question: Question): void {
    const { job, target, attempt, packet } = question;
    const { member } = target;
    const isDirect = member !== undefined && !member.isTopicOnly;
    const subject = isDirect ? subjects.worker(member.info.id) : job.topic;
    const leaseMs = member?.info.isLeased ? limits.leaseMs : 0;
    handshakes.ask(subject, packet, { attempt, leaseMs, traceparent: question.traceparent }, (answer) => {
      metrics.answers.add(answer);
      if (answer === "nobody" && isDirect && !member.info.isLeased) {
        member.isTopicOnly = true;
        if (mayUseTopic(job)) return ask(question);
      }
      if (member) member.asked--;
      answered(question, answer)
        .catch((error) => {
          ports.log.error({ err: error, job_id: job.jobId }, "answer to a dispatch not handled; its lease will");
        })
        .finally(() => openQuestions.delete(`${job.jobId}/${attempt}`));
    });
  }

  /** Whoever listens on the topic takes the job, so that all of them must have its labels. */
  function mayUseTopic({ topic, request }: Placeable): boolean {
    const pools = ports.pools().topics.get(topic) ?? [];
    return hasLabels(fleet.sharedLabels(pools), placementLabels(request.labels));
  }

  async function answered({ job, target, attempt }: Question, answer: Answer): Promise<void> {
    const { member } = target;
    const isLeased = member?.info.isLeased ?? false;
    const isDelivered = answer === "accepted" || (answer === "silence" && !isLeased);
    if (isDelivered) {
      if (member) fleet.accepted(member, job.jobId);
      else if (deafTopics.delete(job.topic)) servedListener?.(target.pool, job.topic);
      for (const listener of acceptedListeners) {
        listener({ jobId: job.jobId, attempt, worker: isLeased ? (member?.info.id ?? "") : "", isLeased });
      }
      return;
    }
    const isUnreachable = member?.isTopicOnly && !mayUseTopic(job); // it may have room for jobs without labels
    if (member && answer !== "nobody") member.isSuspect = true;
    else if (member && !isUnreachable) fleet.lost(member.info.id);
    else if (!member) setDeaf(job.topic);
    metrics.retried.add(answer);
    const expected = { states: ["DISPATCHED"] as const, attempt };
    // Silence of a leased worker may mean that it is at work: that attempt counts.
    const options = answer === "silence" ? { waitBecause: "no_answer" } : { isRefund: true };
    await persistently(async () => {
      const placed = await place(job, { ...expected, ...options });
      // It is decided anew when it leaves the queue.
      if (placed === "outdated") await place(job, { ...expected, ...options, waitBecause: "policy_changed" });
    });
  }

  function isDeaf(topic: string): boolean {
    return (deafTopics.get(topic)?.untilMs ?? 0) > performance.now();
  }

  function setDeaf(topic: string): void {
    if (isDeaf(topic)) return; // asked together with the one that told us
    const known = deafTopics.get(topic)?.forMs ?? 0;
    const forMs = Math.min(Math.max(known * 2, shortestDeafMs), longestDeafMs);
    deafTopics.set(topic, { untilMs: performance.now() + forMs, forMs });
  }

  async function park(
    job: Placeable,
    options: PlaceOptions,
    pools: readonly string[],
    waiting: string,
  ): Promise<Placed> {
    const reply = await store.park({
      ...expectation(job, options),
      pools,
      waiting,
      maxWaitMs: limits.scheduleTimeoutMs,
      isBurnt: !options.isRefund,
      ...(options.decision && { decision: options.decision }),
      ...(options.approval && { approval: options.approval }),
      ...(options.isRefund && { isRefund: true }),
    });
    if (reply.kind === "refused") return reply.why === "missing" || reply.why === "digest" ? reply.why : "changed";
    const { jobId, tenant, topic, traceId, priority } = job;
    if (reply.kind === "exhausted") {
      await announceEnd(ports, exhaustedEnd(jobId, reply.attempt), reply);
      return "placed";
    }
    if (reply.slot) await slots.giveBack(reply.slot, jobId);
    const { from, attempt, atUs } = reply;
    const event = { jobId, tenant, topic, traceId, from, to: "SCHEDULED" as const, atUs, attempt };
    publishTransition(bus, { ...event, errorCode: waiting });
    const parked = { jobId, tenant, topic, priority, labels: placementLabels(job.request.labels) };
    if (!(await queues.enqueue(pools, parked))) {
      const errorMessage = "too many different sets of labels wait for workers of these pools";
      const end = { jobId, states: ["SCHEDULED"] as const, attempt, to: "FAILED" as const, errorMessage };
      await endJob(ports, { ...end, errorCode: "too_many_label_sets", isDeadLetter: true });
      return "placed";
    }
    for (const listener of parkedListeners) listener(pools);
    return "placed";
  }

  async function endUnplaceable(
    job: Placeable,
    options: PlaceOptions,
    errorCode: string,
    errorMessage: string,
  ): Promise<Placed> {
    if (options.digest && (await isForged(ports.reader, job.jobId, options.digest))) return "digest";
    const finish = {
      ...expectation(job, options),
      to: "FAILED" as const,
      errorCode,
      errorMessage,
      isDeadLetter: true,
      ...(options.decision && { decision: options.decision }),
    };
    const reply = await store.finish(finish);
    if (reply.kind === "refused") return reply.why === "missing" ? "missing" : "changed";
    await announceEnd(ports, finish, reply);
    return "placed";
  }

  return {
    place,
    closing() {
      isClosing = true;
    },
    async idle() {
      while (openQuestions.size > 0) await sleep(idlePollMs);
    },
    isDeaf,
    onServed(listener) {
      servedListener = listener;
    },
    yieldWhile(ask) {
      isContended = ask;
    },
    onParked: (listener) => void parkedListeners.push(listener),
    onAccepted: (listener) => void acceptedListeners.push(listener),
  };
}

const idlePollMs = 10;
/** By so much the clocks of this process and of Redis may differ. */
const clockSkewMs = 5_000;

/** A topic on which nobody listens is tried less and less often: each try is an attempt that its job's log keeps. */
const shortestDeafMs = 1_000;
const longestDeafMs = 10_000;

function expectation(job: Placeable, { states, attempt, digest, decision }: PlaceOptions) {
  return {
    jobId: job.jobId,
    states,
    ...(attempt !== undefined && { attempt }),
    ...(digest && { digest }),
    ...(decision && { actor: job.request.principalId }),
  };
}
