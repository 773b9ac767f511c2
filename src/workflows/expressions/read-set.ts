import type { Reads } from "./model.ts";

/** Collects what an expression reads while it is parsed. */
export class ReadSet implements Reads {
  input = false;
  ctx = false;
  steps: Set<string> | "all" = new Set();
  readonly names = new Set<string>();

  /** @param key - what is read of it, undefined when that is unknown or all */
  add(name: string, key: string | undefined): void {
    if (name === "input") this.input = true;
    else if (name === "ctx") this.ctx = true;
    else if (name !== "steps") this.names.add(name);
    else if (key === undefined) this.steps = "all";
    else if (this.steps !== "all") this.steps.add(key);
  }

  addAll(reads: Reads): void {
    this.input ||= reads.input;
    this.ctx ||= reads.ctx;
    for (const name of reads.names) this.names.add(name);
    if (reads.steps === "all") this.steps = "all";
    else for (const id of reads.steps) this.add("steps", id);
  }
}
