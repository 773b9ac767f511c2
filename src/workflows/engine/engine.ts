import { DomainError } from "../../errors/index.ts";
import { compileSchema, formatViolations } from "../../schemas/index.ts";
import type { EventOutcome } from "../core/outcome.ts";
import { jsonSize } from "../core/size.ts";
import { type Effect, type RunEvent, terminalRuns } from "../core/state.ts";
import type { Json } from "../expressions/index.ts";
import type { CompiledWorkflow } from "../model/index.ts";
import type { CreateReply, NewRun } from "../store/index.ts";
import { type ActorPorts, type Committed, RunActor, remember, toWrites } from "./actor.ts";
import { beginRun } from "./begin-run.ts";
import { createEffects, type EffectContext } from "./effects.ts";
import { observe } from "./observe.ts";
import type { EnginePorts } from "./ports.ts";
import { publishRun } from "./run-events.ts";
import { createStarter, type Starter } from "./start-run.ts";
import { bodyOf } from "./workflows.ts";

/** Moves runs: every event of a run goes through here, in whichever process. */
export interface Engine extends Starter {
  /** Applies one event. Resolves when it is committed, or when it turns out to change nothing. */
  apply(runId: string, event: RunEvent): Promise<EventOutcome>;
  /** Carries out effects that a run owes and nobody has carried out. */
  recover(runId: string, effects: readonly Effect[]): Promise<void>;
  /** Removes a run that has ended and owes nothing, with those nested in it. */
  remove(runId: string): Promise<"removed" | "missing" | "active">;
  /** Runs that are kept in memory. */
  size(): number;
  close(): Promise<void>;
}

/** Runs that stay in memory after their latest event, at most and for how long. */
const maxActors = 5_000;
const forgetAfterMs = 30_000;
/** A map whose first entries are deleted one by one is slow to find the next. */
const forgetAtOnce = 200;
/** Effects of one commit that are carried out at the same time. */
const maxAtOnce = 64;

export function createEngine(ports: EnginePorts): Engine {
  const { runs, log, metrics, limits, nextTime } = ports;
  const actors = new Map<string, RunActor>();
  const working = new Set<Promise<void>>();
  const apply = (runId: string, event: RunEvent) => actorOf(runId).apply(event);
  const starter = createStarter(ports, { apply, createBegun });
  const effects = createEffects({ ...ports, apply, startChild: starter.startChild });

  const actorPorts: ActorPorts = {
    store: runs,
    workflowOf: async (header) => {
      const workflow = await ports.workflows.version(header.workflowId, header.workflowVersion);
      return workflow && bodyOf(workflow, header.body);
    },
    schemaCheck: async (ref, tenant) => {
      try {
        const { validate } =
          ref.kind === "inline" ? compileSchema(ref.schema, "schema") : await ports.schemas.compiled(ref.id, tenant);
        return (value) => {
          const violations = validate(value);
          return violations.length > 0 ? formatViolations(violations) : undefined;
        };
      } catch (error) {
        if (!(error instanceof DomainError)) throw error;
        return `schema validation failed: ${ref.kind === "registry" ? `load schema ${ref.id}: ` : ""}${error.message}`;
      }
    },
    putPayloads: async (payloads) => {
      await Promise.all([...payloads].map(([key, text]) => ports.redis.set(key, text, "PX", ports.largeOutputTtlMs)));
    },
    circumstances: () => ({ nowMs: Date.now(), random: Math.random, nextTime, limits }),
    onCommit,
    onConflict: () => metrics.conflicts.add(),
    log,
  };

  function actorOf(runId: string): RunActor {
    let actor = actors.get(runId);
    if (actor) {
      actors.delete(runId); // the latest used is the last
    } else {
      if (actors.size >= maxActors) forget(actors.size - maxActors + forgetAtOnce);
      actor = new RunActor(runId, actorPorts);
    }
    actors.set(runId, actor);
    return actor;
  }

  /** Lets go of the runs that have been idle longest. */
  function forget(count: number): void {
    for (const [runId, actor] of actors) {
      if (count <= 0) return;
      if (!actor.isIdle) continue;
      actors.delete(runId);
      count--;
    }
  }

  const forgetting = setInterval(() => {
    const before = performance.now() - forgetAfterMs;
    for (const [runId, actor] of actors) {
      if (actor.idleSinceMs > before && !actor.hasEnded) continue;
      if (actor.isIdle) actors.delete(runId);
    }
  }, 5_000).unref();

  /** Records a run together with what it does first. */
  async function createBegun(run: NewRun, workflow: CompiledWorkflow): Promise<CreateReply> {
    const { loaded, changes } = await beginRun(run, workflow, actorPorts);
    const { id } = run.header;
    if (changes.payloads.size > 0) await actorPorts.putPayloads(changes.payloads);
    const reply = await runs.create({ ...run, ...toWrites(changes), header: loaded.header });
    if (reply.kind !== "created") return reply;
    publishRun(ports.bus, undefined, run.header, reply.atUs);
    remember(loaded.parts, changes);
    onCommit({ before: run.header, loaded, changes, atUs: reply.atUs });
    if (!isSmall(run.input)) delete loaded.parts.input; // most often another process goes on with the run
    actorOf(id).adopt(loaded);
    return reply;
  }

  function onCommit(commit: Committed): void {
    const { before, loaded, changes, atUs } = commit;
    const { header } = loaded;
    observe(metrics, commit);
    if (before.status !== header.status || changes.events.length > 0) publishRun(ports.bus, before, header, atUs);
    if (terminalRuns.has(header.status) && !terminalRuns.has(before.status) && !header.parent) {
      track(ports.slots.release(header.tenant, header.id), "slot of an ended run not given back yet");
    }
    if (changes.effects.length > 0)
      track(performAll(header.id, changes.effects, contextOf(loaded)), "effects not done yet");
  }

  function track(work: Promise<void>, message: string): void {
    const tracked = work.catch((error) => log.warn({ err: error }, message)).finally(() => working.delete(tracked));
    working.add(tracked);
  }

  /** What a step looked like when the effect was decided is in memory; the rest is read. */
  function contextOf({ header, workflow, parts }: Committed["loaded"]): EffectContext {
    const { id } = header;
    const { input } = parts;
    const readInput = memo(async () => {
      if (input !== undefined) return input;
      const { input: read = null } = await runs.loadParts(id, { input: true });
      if (isSmall(read)) parts.input = read; // the steps that follow ask for it, too
      return read;
    });
    return {
      header,
      workflow,
      step: async (key) => parts.steps.get(key) ?? (await runs.loadParts(id, { steps: [key] })).steps.get(key),
      payload: async (key) => {
        const known = parts.inputs.get(key);
        if (known !== undefined) return known;
        const step = parts.steps.has(key);
        if (step && !parts.inputs.has(key)) return undefined; // begun in this process: what is not kept is the input
        return (await runs.loadParts(id, { inputs: [key] })).inputs.get(key);
      },
      input: readInput,
      item: async (stepId, index) => {
        const known = parts.items.get(`${stepId}[${index}]`);
        if (known !== undefined) return known;
        const { items } = await runs.loadParts(id, { items: [{ stepId, from: index, count: 1 }] });
        return items.get(`${stepId}[${index}]`);
      },
    };
  }

  /**
   * Those that go on with the run come last: what they start must not pile up before what was started. Telling thousands
   * of nested runs of a pause holds up nothing else.
   */
  async function performAll(runId: string, list: readonly Effect[], context: EffectContext): Promise<void> {
    const first = list.filter(({ kind }) => kind !== "go-on" && kind !== "hold-nested");
    const beside = list.filter(({ kind }) => kind === "hold-nested");
    const told = Promise.all(beside.map((effect) => performOne(runId, effect, context)));
    for (let at = 0; at < first.length; at += maxAtOnce) {
      await Promise.all(first.slice(at, at + maxAtOnce).map((effect) => performOne(runId, effect, context)));
    }
    for (const effect of list) if (effect.kind === "go-on") await performOne(runId, effect, context);
    await told;
  }

  async function performOne(runId: string, effect: Effect, context: EffectContext): Promise<void> {
    try {
      if (await effects.perform(effect, context)) runs.settle(runId, [effect.id]);
    } catch (error) {
      log.warn({ err: error, run_id: runId, effect: effect.kind }, "effect not carried out yet, it stays owed");
    }
  }

  async function load(runId: string): Promise<Committed["loaded"] | undefined> {
    const run = await runs.load(runId, {});
    const workflow = run && (await actorPorts.workflowOf(run.header));
    if (!run || !workflow) return undefined;
    const { steps, outputs, inputs, items } = run.parts;
    return { workflow, header: run.header, parts: { steps, outputs, inputs, items, schemas: new Map() } };
  }

  return {
    apply,
    ...starter,
    async recover(runId, list) {
      const loaded = await load(runId);
      if (!loaded) return;
      for (const { kind } of list) metrics.recovered.add(kind);
      // Payloads and items are not in memory: with no step known, everything is read.
      await performAll(runId, list, contextOf(loaded));
    },
    async remove(runId) {
      const run = await runs.load(runId, {});
      // What is done is not owed. Where other runs cannot be written, this one may still be removed: a full memory is why.
      await runs.flush().catch((error) => log.warn({ err: error, run_id: runId }, "effects of runs not settled yet"));
      const removed = await runs.remove(runId);
      const derivedFrom = run?.header.derivedFrom;
      if (removed === "removed" && run && derivedFrom !== undefined) {
        await ports.slots.retire(run.header.tenant, derivedFrom, ports.largeOutputTtlMs * 2);
      }
      return removed;
    },
    size: () => actors.size,
    async close() {
      clearInterval(forgetting);
      for (let round = 0; round < 10; round++) {
        await Promise.allSettled([...actors.values()].map((actor) => actor.idle()));
        if (working.size === 0 && [...actors.values()].every(({ isIdle }) => isIdle)) break;
        await Promise.allSettled(working);
      }
      await runs.flush();
    },
  };
}

/** Of inputs that are not larger, bytes as JSON, many may stay in memory. */
const smallInput = 2_048;

function isSmall(input: Json): boolean {
  return jsonSize(input, smallInput) <= smallInput;
}

function memo<T>(read: () => Promise<T>): () => Promise<T> {
  let known: Promise<T> | undefined;
  return () => {
    known ??= read();
    return known;
  };
}
