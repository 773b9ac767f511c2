import { describe, expect, it } from "vitest";
import { DomainError } from "../errors/index.ts";
import { createAuthenticator } from "./authenticator.ts";
import { requireTenant } from "./require-tenant.ts";

const identify = async (apiKeys: string, headers: Record<string, string>, carrier: "call" | "websocket" = "call") =>
  createAuthenticator({ apiKeys, defaultTenant: "default" }).authenticate(new Headers(headers), carrier);

describe("createAuthenticator()", () => {
  it.each([
    ["a bare list", "k1, k2"],
    ["quoted items", `"k1",'k2'`],
    ["a JSON array of keys", '["k1","k2"]'],
    ["a JSON array of objects", '[{"key":"k1"},{"key":"k2"}]'],
    ["a JSON object", '{"k1":{},"k2":{}}'],
    ["a JSON object with keys", '{"keys":[{"key":"k1"},{"key":"k2"}]}'],
  ])("reads %s as administrators of the default tenant", async (_what, apiKeys) => {
    for (const key of ["k1", "k2"]) {
      const caller = await identify(apiKeys, { "x-api-key": key });

      expect(caller).toMatchObject({ tenant: "default", role: "admin", principal: "", crossTenant: false });
      expect(caller.allows("dlq.write")).toBe(true);
    }
  });

  it.each([
    ["in fields", "acme:k1:viewer:ada"],
    ["in JSON", '[{"key":"k1","tenant":"acme","role":"viewer","principal":"ada"}]'],
    ["in a JSON object", '{"k1":{"tenant":"acme","role":"viewer","principal":"ada"}}'],
  ])("reads tenant, role and principal %s", async (_what, apiKeys) => {
    const caller = await identify(apiKeys, { "x-api-key": "k1", "x-principal-id": "mallory" });

    expect(caller).toMatchObject({ tenant: "acme", role: "viewer", principal: "ada" });
    expect([caller.allows("jobs.read"), caller.allows("jobs.submit")]).toEqual([true, false]);
  });

  it.each([
    ["in fields", "acme:k1:approver+security+Legal"],
    ["in JSON", '[{"key":"k1","role":"approver","groups":["security","Legal"]}]'],
  ])("reads further names of a key %s, for approvals", async (_what, apiKeys) => {
    const caller = await identify(apiKeys, { "x-api-key": "k1" });

    expect(caller).toMatchObject({ role: "approver", groups: ["security", "Legal"] });
    expect(["approvals.decide", "jobs.read", "jobs.submit"].map(caller.allows)).toEqual([true, true, false]);
  });

  it("keeps the name of a role that stands for another", async () => {
    expect(await identify("t:k1:Operator", { "x-api-key": "k1" })).toMatchObject({
      role: "admin",
      groups: ["operator"],
    });
  });

  it("refuses groups that are no list of names", () => {
    expect(() => createAuthenticator({ apiKeys: '[{"key":"k","groups":"x"}]', defaultTenant: "t" })).toThrow("groups");
  });

  it.each([
    ["x-api-key", { "x-api-key": " 'k1' " }],
    ["api-key", { "api-key": "k1" }],
    ["a bearer token", { authorization: "Bearer k1" }],
  ])("takes the key from %s", async (_where, headers) => {
    expect((await identify("k1", headers)).role).toBe("admin");
  });

  it.each([
    ["a pair, base64url", "cordum-api-key, c3VwZXItc2VjcmV0LWtleQ"],
    ["a pair, padded base64", "cordum-api-key, c3VwZXItc2VjcmV0LWtleQ=="],
    ["a pair, literal and by chance valid base64", "Cordum-Api-Key, super-secret-key"],
    ["one item", "cordum-api-key.c3VwZXItc2VjcmV0LWtleQ"],
  ])("takes the key of a WebSocket from its subprotocols: %s", async (_what, protocols) => {
    const headers = { "sec-websocket-protocol": protocols };

    expect((await identify("super-secret-key", headers, "websocket")).role).toBe("admin");
    await expect(identify("super-secret-key", headers, "call")).rejects.toThrow("required");
  });

  it.each([
    ["no key", {}, "missing_api_key"],
    ["an empty key", { "x-api-key": ' "" ' }, "missing_api_key"],
    ["a wrong key", { "x-api-key": "k2" }, "invalid_api_key"],
    ["a prefix of a key", { "x-api-key": "k" }, "invalid_api_key"],
  ])("refuses %s", async (_what, headers, reason) => {
    const error = await identify("k1", headers).catch((refused: unknown) => refused);

    expect(error).toBeInstanceOf(DomainError);
    expect(error).toMatchObject({ code: "unauthenticated", reason });
  });

  it.each([
    ["bad JSON", '[{"key":"k1"}'],
    ["a list without an item", " , ,"],
    ["an empty JSON list", "[]"],
    ["keys that are null", '{"keys":null}'],
    ["an item without a key", '[{"tenant":"acme"}]'],
    ["an unknown role", "acme:k1:emperor"],
    ["too many fields", "a:b:admin:c:d"],
    ["a key with a space", "my key"],
    ["one key with two meanings", "a:k1,b:k1"],
    ["nothing", ""],
  ])("does not start with %s, and shows no key", (_what, apiKeys) => {
    const start = () => createAuthenticator({ apiKeys, defaultTenant: "default" });

    expect(start).toThrow(Error);
    expect(start).not.toThrow(/k1|my key/);
  });

  it("adds the single key, with quotes and spaces taken off", async () => {
    const authenticator = createAuthenticator({ apiKeys: "k1", apiKey: ' "single" ', defaultTenant: "default" });

    expect(await authenticator.authenticate(new Headers({ "x-api-key": "single" }), "call")).toMatchObject({
      role: "admin",
    });
  });

  it("lets anonymous calls in only when told to, and still refuses wrong keys", async () => {
    const open = createAuthenticator({ apiKeys: "k1", defaultTenant: "default", allowAnonymous: true });
    const empty = createAuthenticator({ defaultTenant: "default", allowAnonymous: true });

    expect(await open.authenticate(new Headers(), "call")).toMatchObject({ keyId: "anonymous", tenant: "default" });
    expect(await empty.authenticate(new Headers({ "x-api-key": "any" }), "call")).toMatchObject({ keyId: "anonymous" });
    expect(() => open.authenticate(new Headers({ "x-api-key": "wrong" }), "call")).toThrow("not valid");
  });

  it("names a key without revealing it", async () => {
    const { keyId } = await identify("k1", { "x-api-key": "k1" });

    expect(keyId).toMatch(/^[0-9a-f]{12}$/);
  });
});

describe("requireTenant()", () => {
  it("resolves to the caller's tenant, or refuses", async () => {
    const caller = await identify("acme:k1:user", { "x-api-key": "k1" });

    expect([requireTenant(caller, ""), requireTenant(caller, "acme")]).toEqual(["acme", "acme"]);
    expect(() => requireTenant(caller, "other")).toThrow("tenant access denied");
  });

  it("lets a key of all tenants choose", async () => {
    const caller = await identify("*:k1:admin", { "x-api-key": "k1" });

    expect([requireTenant(caller, ""), requireTenant(caller, "other")]).toEqual(["default", "other"]);
  });
});
