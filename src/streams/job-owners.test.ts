import pino from "pino";
import { describe, expect, it, vi } from "vitest";
import type { JobReader, JobRecord } from "../jobs/index.ts";
import { createJobOwners } from "./job-owners.ts";

const log = pino({ level: "silent" });
const turn = () => new Promise((resolve) => setTimeout(resolve, 5));

function ownersOf(getMany: JobReader["getMany"], maxKept?: number) {
  return createJobOwners({ reader: { getMany }, log, ...(maxKept !== undefined && { maxKept }) });
}

describe("createJobOwners()", () => {
  it("reads once for all that is asked in one turn, and remembers", async () => {
    const getMany = vi.fn(async (ids: readonly string[]) =>
      ids.map((id) => ({ id, tenant: "t", topic: "x" }) as JobRecord),
    );
    const owners = ownersOf(getMany);
    const told: string[] = [];

    for (const id of ["a", "b", "a"]) owners.ask(id, ({ tenant }) => told.push(`${id} ${tenant}`));
    await turn();
    owners.ask("b", ({ tenant }) => told.push(`again ${tenant}`));

    expect(told).toEqual(["a t", "a t", "b t", "again t"]);
    expect(getMany.mock.calls).toEqual([[["a", "b"]]]);
  });

  it("believes a committed transition more than a request, and a request only when nothing is known", () => {
    const owners = ownersOf(async () => []);
    const told: string[] = [];
    const ask = () => owners.ask("a", ({ tenant }) => told.push(tenant));

    owners.learnClaim("a", { tenant: "claimed", topic: "" });
    ask();
    owners.learn("a", { tenant: "true", topic: "" });
    owners.learnClaim("a", { tenant: "forged", topic: "" });
    ask();

    expect(told).toEqual(["claimed", "true"]);
  });

  it("leaves questions open when the read fails, and goes on with later ones", async () => {
    const getMany = vi.fn<JobReader["getMany"]>().mockRejectedValueOnce(new Error("redis is away"));
    getMany.mockResolvedValueOnce([{ id: "b", tenant: "t", topic: "" } as JobRecord]);
    const owners = ownersOf(getMany);
    const told: string[] = [];

    owners.ask("a", () => told.push("a"));
    await turn();
    owners.ask("b", () => told.push("b"));
    await turn();

    expect(told).toEqual(["b"]);
  });

  it("forgets the oldest when it is full", async () => {
    const getMany = vi.fn<JobReader["getMany"]>(async () => []);
    const owners = ownersOf(getMany, 2);

    for (const id of ["a", "b", "c"]) owners.learn(id, { tenant: "t", topic: "" });
    for (const id of ["a", "b", "c"]) owners.ask(id, () => undefined);
    await turn();

    expect(getMany.mock.calls).toEqual([[["a"]]]);
  });
});
