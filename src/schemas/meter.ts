import { _, type Ajv, Name } from "ajv";

/** Counts the work of one validation, and ends it when there is too much. */
export interface Meter {
  /** Called before each validation. */
  start(): void;
  /** @throws MeterError */
  spend(units: number): void;
}

/** A schema that refers to itself can make a validation take for ever on a small value. */
export class MeterError extends Error {}

/** About a second of work. A large payload under a rich schema needs a hundredth of it. */
const maxUnits = 20_000_000;

export function createMeter(): Meter {
  let left = 0;
  return {
    start: () => {
      left = maxUnits;
    },
    spend: (units) => {
      left -= units;
      if (left < 0) throw new MeterError("too much work");
    },
  };
}

/** Makes the code that is generated for each keyword pay for itself: one unit, more when it goes through a list. */
export function meterKeywords(ajv: Ajv, meter: Meter): void {
  for (const rule of Object.values(ajv.RULES.all)) {
    if (typeof rule !== "object" || !("code" in rule.definition)) continue;
    const { definition } = rule;
    const { code } = definition;
    definition.code = (context, ruleType) => {
      const { gen, schema } = context;
      const spend = gen.scopeValue("func", { ref: meter.spend });
      if (!(spend instanceof Name)) throw new Error("the code generator returned no name");
      gen.code(_`${spend}(${Array.isArray(schema) ? 1 + schema.length : 1})`);
      code(context, ruleType);
    };
  }
}
