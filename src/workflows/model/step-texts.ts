import type { Json } from "../expressions/index.ts";
import type { StepKind } from "./compiled.ts";
import type { StepDocument } from "./document.ts";
import type { Path } from "./problem.ts";
import { canFanOut, takesInput } from "./step-kind.ts";

/** One expression or template of a step. */
export interface StepText {
  kind: "expression" | "template";
  value: Json;
  /** From the step. */
  path: Path;
  /** `unit`: evaluated for each unit, so that item, index or iteration are known. `undo`: when the run has failed. */
  when: "start" | "unit" | "undo";
}

/** Whatever a step of this kind evaluates, but not what its body does. */
export function textsOf(step: StepDocument, kind: StepKind): StepText[] {
  const texts: StepText[] = [];
  const add = (type: StepText["kind"], when: StepText["when"], path: Path, value: Json | undefined) => {
    if (value !== undefined) texts.push({ kind: type, when, path, value });
  };
  add("expression", "start", ["condition"], step.condition);
  if (canFanOut(kind)) add("expression", "start", ["for_each"], step.for_each);
  if (takesInput(kind)) add("template", "unit", ["input"], step.input);
  add("template", "undo", ["on_failure", "input"], step.on_failure?.input);
  if (kind === "loop") {
    add("expression", "unit", ["while"], step.while);
    add("expression", "unit", ["until"], step.until);
  }
  if (kind === "switch") {
    for (const [index, { when }] of (step.cases ?? []).entries())
      add("expression", "start", ["cases", index, "when"], when);
  }
  if (kind === "transform") {
    add("expression", "start", ["expression"], step.expression);
    add("template", "start", ["value"], step.value);
  }
  if (kind === "delay" && isTemplate(step.delay_until)) add("template", "start", ["delay_until"], step.delay_until);
  return texts;
}

/** Whether a text is to be expanded, rather than taken as it is. */
export function isTemplate(text: string | undefined): boolean {
  return text?.includes("${") === true;
}
