import type { JsonObject, JsonValue } from "@bufbuild/protobuf";

/** One step as it is drawn. */
export interface GraphStep {
  id: string;
  /** `job job.mail.send`, `approval, 2 of finance`. */
  what: string;
  /** Round, like a question, or plain. */
  shape: "job" | "choice" | "wait";
  /** What it waits for, each step once, with the reasons on the way. */
  after: { id: string; label: string }[];
  /** Its condition, where it waits for nothing that could carry it. */
  condition: string;
  bodies: { name: string; steps: GraphStep[] }[];
}

/** The steps of a definition, in the order in which they can start. Takes what it can from one that has mistakes. */
export function readGraph(document: JsonObject): GraphStep[] {
  return readSteps(objectOf(document.steps));
}

function readSteps(steps: JsonObject): GraphStep[] {
  const chosen = choicesOf(steps);
  const drawn = Object.entries(steps).map(([id, value]): GraphStep => {
    const step = objectOf(value);
    const gate = step.type === "condition" ? "" : textOf(step.condition);
    const labels = new Map<string, string[]>();
    for (const on of textsOf(step.depends_on)) labels.set(on, gate === "" ? [] : [`if ${gate}`]);
    for (const { from, label } of chosen.get(id) ?? []) labels.set(from, [...(labels.get(from) ?? []), label]);
    const after = [...labels]
      .filter(([on]) => Object.hasOwn(steps, on))
      .map(([on, reasons]) => ({ id: on, label: reasons.join(" or ") }));
    const condition = textsOf(step.depends_on).length === 0 ? gate : "";
    return { id, what: describe(step), shape: shapeOf(step), after, condition, bodies: bodiesOf(step) };
  });
  const layers = layersOf(drawn);
  return drawn.sort((a, b) => (layers.get(a.id) ?? 0) - (layers.get(b.id) ?? 0) || (a.id < b.id ? -1 : 1));
}

/** By target: the switches that choose it, and when. */
function choicesOf(steps: JsonObject): Map<string, { from: string; label: string }[]> {
  const chosen = new Map<string, { from: string; label: string }[]>();
  const add = (target: string, from: string, label: string) =>
    chosen.set(target, [...(chosen.get(target) ?? []), { from, label }]);
  for (const [id, value] of Object.entries(steps)) {
    const step = objectOf(value);
    if (step.type !== "switch") continue;
    for (const item of listOf(step.cases)) {
      const { name, steps: targets, when } = objectOf(item);
      const label = [textOf(name), textOf(when)].filter(Boolean).join(": ");
      for (const target of textsOf(targets)) add(target, id, label);
    }
    for (const target of textsOf(step.default)) add(target, id, "else");
  }
  return chosen;
}

function bodiesOf(step: JsonObject): GraphStep["bodies"] {
  const branches = Object.entries(objectOf(step.branches)).map(([name, body]) => ({
    name,
    steps: readSteps(objectOf(objectOf(body).steps)),
  }));
  const own = objectOf(step.steps);
  return Object.keys(own).length === 0 ? branches : [...branches, { name: "", steps: readSteps(own) }];
}

/**
 * How many steps come before each at least, from 1, by the longest way. Steps that wait for each other come last, as
 * does what waits for them.
 */
export function layersOf(steps: readonly GraphStep[]): Map<string, number> {
  const layers = new Map<string, number>();
  let left = [...steps];
  for (let layer = 1; left.length > 0; layer++) {
    const ready = left.filter(({ after }) => after.every(({ id }) => (layers.get(id) ?? layer) < layer));
    const placed = ready.length > 0 ? ready : left;
    for (const { id } of placed) layers.set(id, layer);
    left = left.filter(({ id }) => !layers.has(id));
  }
  return layers;
}

function shapeOf({ type }: JsonObject): GraphStep["shape"] {
  if (type === "switch" || type === "condition") return "choice";
  return type === "approval" || type === "delay" || type === "signal" ? "wait" : "job";
}

function describe(step: JsonObject): string {
  const { for_each, signal, topic, until, workflow_id } = step;
  const type = textOf(step.type) || (step.steps === undefined ? "job" : "steps");
  const parts = [
    [type, textOf(topic)].filter(Boolean).join(" "),
    type === "condition" && textOf(step.condition),
    type === "delay" && [step.delay_sec && `${step.delay_sec} s`, step.delay_until, step.delay_cron].find(Boolean),
    type === "approval" && approvers(objectOf(step.approvals)),
    textOf(signal),
    workflow_id && `runs ${textOf(workflow_id)}`,
    for_each && `for each of ${textOf(for_each)}`,
    step.while && `while ${textOf(step.while)}`,
    until && `until ${textOf(until)}`,
    step.branches && `waits for ${step.wait ?? "all"}`,
  ];
  return parts.filter(Boolean).join(", ");
}

function approvers({ count, roles }: JsonObject): string {
  const names = textsOf(roles).join(", ");
  return [count ?? 1, names && `of ${names}`].filter(Boolean).join(" ");
}

function objectOf(value: JsonValue | undefined): JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? value : {};
}

function listOf(value: JsonValue | undefined): JsonValue[] {
  return Array.isArray(value) ? value : [];
}

function textOf(value: JsonValue | undefined): string {
  return typeof value === "string" ? value : "";
}

function textsOf(value: JsonValue | undefined): string[] {
  return listOf(value).filter((item) => typeof item === "string");
}
