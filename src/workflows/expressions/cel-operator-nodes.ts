import type { Node } from "./cel-node.ts";
import { add, divide, multiply, negate, remainder, subtract } from "./cel-operators.ts";
import { isTrue, type Kind, type Value } from "./cel-value.ts";

/**
 * Logic and arithmetic. `&&` and `||` stop at the first side that decides, and take any value as true or false.
 * @param compile - gives the operand with that index
 * @returns undefined when there is no operator of that name
 */
export function compileOperator(name: string, compile: (index: number) => Node): Node | undefined {
  switch (name) {
    case "_&&_": {
      const [left, right] = [compile(0).run, compile(1).run];
      return { run: (frame) => isTrue(left(frame)) && isTrue(right(frame)), kind: "bool" };
    }
    case "_||_": {
      const [left, right] = [compile(0).run, compile(1).run];
      return { run: (frame) => isTrue(left(frame)) || isTrue(right(frame)), kind: "bool" };
    }
    case "!_": {
      const { run } = compile(0);
      return { run: (frame) => !isTrue(run(frame)), kind: "bool" };
    }
    case "@not_strictly_false":
      return compile(0);
    case "_?_:_": {
      const [condition, yes, no] = [compile(0).run, compile(1), compile(2)];
      const kind = yes.kind === no.kind ? yes.kind : "any";
      return { run: (frame) => (isTrue(condition(frame)) ? yes.run(frame) : no.run(frame)), kind };
    }
    case "-_": {
      const { run } = compile(0);
      return { run: (frame) => negate(run(frame)), kind: "number" };
    }
    case "_+_": {
      const [left, right] = [compile(0), compile(1)];
      const kind = left.kind === right.kind && (left.kind === "number" || left.kind === "string") ? left.kind : "any";
      return { run: (frame) => add(left.run(frame), right.run(frame), frame.meter), kind };
    }
    case "_-_":
      return arithmetic(subtract, compile(0), compile(1), "any");
    case "_*_":
      return arithmetic(multiply, compile(0), compile(1), "number");
    case "_/_":
      return arithmetic(divide, compile(0), compile(1), "number");
    case "_%_":
      return arithmetic(remainder, compile(0), compile(1), "number");
    default:
      return undefined;
  }
}

function arithmetic(apply: (a: Value, b: Value) => Value, { run: left }: Node, { run: right }: Node, kind: Kind): Node {
  return { run: (frame) => apply(left(frame), right(frame)), kind };
}
