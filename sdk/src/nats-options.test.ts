import { describe, expect, it } from "vitest";
import { toNatsOptions } from "./nats-options.ts";

describe("toNatsOptions()", () => {
  it.each([
    ["nats://localhost:4222", { servers: ["localhost:4222"] }],
    ["localhost", { servers: ["localhost"] }],
    ["nats://a:1, nats://b:2", { servers: ["a:1", "b:2"] }],
    ["nats://me:se%3Acret@a:1", { servers: ["a:1"], user: "me", pass: "se:cret" }],
    ["nats://token@a:1", { servers: ["a:1"], token: "token" }],
    ["tls://a:1", { servers: ["a:1"], tls: {} }],
    ["nats://[::1]:4222", { servers: ["[::1]:4222"] }],
  ])("reads %s", (url, options) => {
    expect(toNatsOptions(url)).toEqual(options);
  });

  it.each(["", "nats://", "nats://me:secret@"])("refuses %j without repeating it", (url) => {
    expect(() => toNatsOptions(url)).toThrow(/^NATS URL(?!.*secret)/);
  });
});
