/** A place in a JSON value: `$` is the whole, `$.items[0].name` a part of it. */
export function toPath(steps: readonly (string | number)[], root = "$"): string {
  return root + steps.map(toStep).join("");
}

/** A JSON pointer (RFC 6901), as validators name places, in the same notation. */
export function pointerToPath(pointer: string, root = "$"): string {
  const steps = pointer.split("/").slice(1);
  return toPath(
    steps.map((step) => step.replaceAll("~1", "/").replaceAll("~0", "~")),
    root,
  );
}

const maxStepLength = 64;

function toStep(step: string | number): string {
  if (typeof step === "number" || /^\d{1,9}$/.test(step)) return `[${step}]`;
  return /^[A-Za-z_$][\w$-]{0,63}$/.test(step) ? `.${step}` : `[${JSON.stringify(step.slice(0, maxStepLength))}]`;
}
