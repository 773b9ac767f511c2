import { createHash, generateKeyPairSync, sign } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pino from "pino";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { openPolicyKernel, type PolicyKernel, type PolicyKernelOptions } from "./kernel.ts";
import { parsePolicyKey, signatureProblem } from "./signature.ts";

const { publicKey, privateKey } = generateKeyPairSync("ed25519");
const pem = publicKey.export({ type: "spki", format: "pem" }).toString();
const raw = publicKey.export({ type: "spki", format: "der" }).subarray(-32);
const document = "version: v1\nrules:\n  - {id: a, decision: allow, match: {topics: [job.*]}}\n";
const signature = sign(null, Buffer.from(document), privateKey);
const log = pino({ level: "silent" });

describe("a public key", () => {
  it.each([
    ["base64", raw.toString("base64")],
    ["hex (case 77)", raw.toString("hex")],
    ["upper-case hex", raw.toString("hex").toUpperCase()],
    ["PEM", pem],
    ["PEM in one line", pem.replaceAll("\n", "\\n")],
  ])("is read from %s", (_form, text) => {
    expect(signatureProblem(parsePolicyKey(text), Buffer.from(document), signature)).toBeUndefined();
  });

  it.each([
    ["31 bytes", raw.subarray(1).toString("hex")],
    [
      "another kind",
      generateKeyPairSync("ec", { namedCurve: "P-256" }).publicKey.export({ type: "spki", format: "pem" }),
    ],
    ["no key", "hello"],
  ])("of %s is refused by name", (_form, text) => {
    expect(() => parsePolicyKey(String(text))).toThrow("SAFETY_POLICY_PUBLIC_KEY");
  });
});

describe("a signature", () => {
  it.each([
    ["raw", signature],
    ["base64 text", signature.toString("base64")],
    ["hex text", signature.toString("hex")],
    ["a file with text", Buffer.from(`${signature.toString("base64")}\n`)],
  ])("holds as %s", (_form, found) => {
    expect(signatureProblem(publicKey, Buffer.from(document), found)).toBeUndefined();
  });

  it("of something else, of nothing or of odd length does not", () => {
    const problem = (found: Uint8Array | string | undefined) =>
      signatureProblem(publicKey, Buffer.from(document), found);
    const flipped = Buffer.from(signature);
    flipped[7] = (flipped[7] ?? 0) ^ 1;

    expect(problem(flipped)).toContain("does not match");
    expect(problem(undefined)).toBe("is not signed");
    expect(problem("")).toBe("is not signed");
    expect(problem(signature.subarray(1))).toContain("64 bytes");
  });
});

describe("a kernel with a public key", () => {
  let folder: string;
  let path: string;
  const kernels: PolicyKernel[] = [];

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "policy-"));
    path = join(folder, "safety.yaml");
    await writeFile(path, document);
  });
  afterEach(async () => {
    for (const kernel of kernels.splice(0)) await kernel.close();
    await rm(folder, { recursive: true });
  });

  async function open(options: Partial<PolicyKernelOptions>): Promise<PolicyKernel> {
    const kernel = await openPolicyKernel({ path, log, publicKey, ...options });
    kernels.push(kernel);
    return kernel;
  }

  it("takes a file with a good signature beside it, and no other (case 76)", async () => {
    await expect(open({})).rejects.toThrow("safety.yaml.sig");

    await writeFile(`${path}.sig`, signature);
    expect((await open({})).current().rules).toBe(1);

    await writeFile(path, document.replace("allow", "block"));
    await expect(open({})).rejects.toThrow("does not match");
  });

  it("keeps the signed policy when the file is replaced by an unsigned one, until that is signed", async () => {
    await writeFile(`${path}.sig`, signature);
    const kernel = await open({});
    const next = `${document}# more\n`;

    await writeFile(path, next);
    await expect(kernel.reload()).rejects.toThrow("does not match");
    const before = kernel.current().snapshot;
    await writeFile(`${path}.sig`, sign(null, Buffer.from(next), privateKey).toString("hex"));
    await kernel.reload();

    expect(kernel.current()).toMatchObject({ stale: false });
    expect(kernel.current().snapshot).not.toBe(before);
  });

  it("takes a signature from a setting or another file", async () => {
    await writeFile(join(folder, "elsewhere"), signature.toString("base64"));

    expect((await open({ signature: signature.toString("base64") })).current().rules).toBe(1);
    expect((await open({ signaturePath: join(folder, "elsewhere") })).current().rules).toBe(1);
  });

  it("does not take an address without a signature (case 75)", async () => {
    const server = createServer((_request, response) => response.end(document)).listen(0, "127.0.0.1");
    await new Promise((resolve) => server.once("listening", resolve));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/safety.yaml`;
    try {
      await expect(open({ url })).rejects.toThrow("SAFETY_POLICY_SIGNATURE");
      expect((await open({ url, signature: signature.toString("hex") })).current().rules).toBe(1);
    } finally {
      server.close();
    }
  });

  it("takes only the document with the given hash", async () => {
    const sha256 = createHash("sha256").update(document).digest("hex");

    expect((await open({ publicKey: undefined, sha256: sha256.toUpperCase() })).current().rules).toBe(1);
    await expect(open({ publicKey: undefined, sha256: sha256.replace(/^./, "x") })).rejects.toThrow(
      "SAFETY_POLICY_SHA256",
    );
  });
});
