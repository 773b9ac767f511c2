import { describe, expect, it } from "vitest";
import { ExpiringMap } from "./expiring-map.ts";

function mapAt(maxEntries = 10) {
  const clock = { ms: 0 };
  return { clock, map: new ExpiringMap<string, number>({ ttlMs: 100, maxEntries, now: () => clock.ms }) };
}

describe("ExpiringMap", () => {
  it("forgets an entry after its time", () => {
    const { clock, map } = mapAt();
    map.set("a", 1);

    clock.ms = 99;
    expect(map.get("a")).toBe(1);

    clock.ms = 100;
    expect(map.get("a")).toBeUndefined();
  });

  it("renews an entry that is set again", () => {
    const { clock, map } = mapAt();
    map.set("a", 1);
    clock.ms = 60;
    map.set("a", 2);

    clock.ms = 150;

    expect(map.get("a")).toBe(2);
  });

  it("never holds more than its limit, and keeps the newest half for certain", () => {
    const { map } = mapAt(10);

    for (let n = 0; n < 1_000; n++) {
      map.set(`k${n}`, n);
      expect(map.size).toBeLessThanOrEqual(10);
    }

    for (let n = 995; n < 1_000; n++) expect(map.get(`k${n}`)).toBe(n);
  });

  it("lets go of what has expired although nothing presses", () => {
    const { clock, map } = mapAt(1_000);
    for (let n = 0; n < 20; n++) map.set(`k${n}`, n);

    clock.ms = 100;
    map.set("a", 1);
    clock.ms = 200;
    map.set("b", 1);

    expect(map.size).toBe(2);
  });

  it("takes an entry out", () => {
    const { map } = mapAt();
    map.set("a", 1);

    expect(map.take("a")).toBe(1);
    expect(map.take("a")).toBeUndefined();
  });
});
