import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createAuthenticator, requireTenant } from "../../src/auth/index.ts";
import { keys, startFakeServer } from "../support/fake-services.ts";

const identify = async (apiKeys: string | undefined, headers: Record<string, string>, allowAnonymous = false) =>
  createAuthenticator({ ...(apiKeys && { apiKeys }), defaultTenant: "default", allowAnonymous }).authenticate(
    new Headers(headers),
    "call",
  );

describe("API keys", () => {
  it.each([
    ["k1", "admin"],
    ['"k2"', "admin"],
  ])("123: a list of several forms knows the key %s", async (key, role) => {
    expect(await identify("t:k1:admin:bob,k2", { "x-api-key": key })).toMatchObject({ role });
  });

  it("123: a tenant is no key", async () => {
    await expect(identify("t:k1:admin:bob,k2", { "x-api-key": "t" })).rejects.toMatchObject({
      code: "unauthenticated",
    });
  });

  it("124: an empty JSON list is a mistake at the start, not an open door", () => {
    expect(() => createAuthenticator({ apiKeys: "[]", defaultTenant: "default" })).toThrow(Error);
  });

  it("125: without any key a call is anonymous, of the default tenant, where that was asked for", async () => {
    expect(await identify(undefined, {}, true)).toMatchObject({ keyId: "anonymous", tenant: "default" });
  });

  it("126: a call may name its own tenant or none, not another", async () => {
    const caller = await identify("a:k1:user", { "x-api-key": "k1" });

    expect(requireTenant(caller, "")).toBe("a");
    expect(() => requireTenant(caller, "b")).toThrow(expect.objectContaining({ code: "permission_denied" }));
  });

  it.each([
    ["base64url", Buffer.from("super-secret-key").toString("base64url")],
    ["as it is, by chance base64 too", "super-secret-key"],
  ])("127: a WebSocket names its key in the subprotocol, %s", async (_title, token) => {
    const authenticator = createAuthenticator({ apiKeys: "super-secret-key", defaultTenant: "default" });
    const headers = new Headers({ "sec-websocket-protocol": `cordum-api-key,${token}` });

    expect(await authenticator.authenticate(headers, "websocket")).toMatchObject({ role: "admin" });
  });
});

describe("pages of other origins, when none is configured", () => {
  let url = "";
  let stop: () => Promise<void>;
  beforeAll(async () => {
    const { server, port } = await startFakeServer({});
    url = `http://127.0.0.1:${port}/api/v1/jobs`;
    stop = () => server.close(200);
  });
  afterAll(() => stop());

  it.each([
    ["http://localhost:5173", 200],
    ["http://x.test", 403],
  ])("128: %s is answered %d", async (origin, status) => {
    const response = await fetch(url, { headers: { origin, "x-api-key": keys.admin } });

    expect(response.status).toBe(status);
  });
});
