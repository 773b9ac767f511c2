import { type Expression, ExpressionError, type Json, type Scope } from "./model.ts";

/** One unit is about the work of one operator: some 20 ns. A million are tens of milliseconds. */
const maxCost = 1_000_000;

let total = 0;

/** Work of all evaluations so far, in the units of the meter. Its difference is what something has cost. */
export function expressionCost(): number {
  return total;
}

/** Counts the work of one evaluation, or of one template with all its expressions, and ends what would take too long. */
export class Meter {
  #left = maxCost;

  /** Called before the work is done. */
  spend(units: number): void {
    this.#left -= units;
    total += units;
    if (this.#left < 0) {
      throw new ExpressionError(`the expression takes more than ${maxCost} steps: its lists or texts are too large`);
    }
  }

  /** For going once through a text of that length. */
  spendText(length: number): void {
    this.spend(1 + length / 8);
  }
}

/** An expression whose work can be counted together with that of others. */
export interface MeteredExpression extends Expression {
  evaluate(scope: Scope, meter?: Meter): Json;
}
