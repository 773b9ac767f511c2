import { createPublicKey, type KeyObject, verify } from "node:crypto";
import { DomainError } from "../errors/index.ts";

const keyBytes = 32;
const signatureBytes = 64;
/** What stands before the 32 bytes of an Ed25519 key in its SPKI form (RFC 8410). */
const spkiPrefix = Buffer.from("302a300506032b6570032100", "hex");

/**
 * An Ed25519 public key: its 32 bytes in base64 or hex, or a PEM text.
 * @throws DomainError invalid_argument when it is none of these
 */
export function parsePolicyKey(text: string): KeyObject {
  try {
    const trimmed = text.trim().replaceAll("\\n", "\n");
    if (trimmed.startsWith("-----BEGIN")) return asEd25519(createPublicKey(trimmed));
    const bytes = decodeText(trimmed, keyBytes);
    if (bytes === undefined) throw new Error(`neither PEM nor ${keyBytes} bytes in base64 or hex`);
    return createPublicKey({ key: Buffer.concat([spkiPrefix, bytes]), format: "der", type: "spki" });
  } catch (cause) {
    const message = `SAFETY_POLICY_PUBLIC_KEY is no Ed25519 public key: ${(cause as Error).message}`;
    throw new DomainError("invalid_argument", message, { cause });
  }
}

function asEd25519(key: KeyObject): KeyObject {
  if (key.asymmetricKeyType !== "ed25519") throw new Error(`the key is ${key.asymmetricKeyType}`);
  return key;
}

/** A signature as it was found: 64 raw bytes, or the text of them in base64 or hex. Undefined when it is neither. */
export function parseSignature(found: Uint8Array | string): Buffer | undefined {
  if (typeof found === "string") return decodeText(found.trim(), signatureBytes);
  if (found.byteLength === signatureBytes) return Buffer.from(found);
  return decodeText(Buffer.from(found).toString("latin1").trim(), signatureBytes);
}

/** Hex of 64 bytes is valid base64 of 96, so the length decides. */
function decodeText(text: string, bytes: number): Buffer | undefined {
  if (text.length === 2 * bytes && /^[0-9a-fA-F]+$/.test(text)) return Buffer.from(text, "hex");
  if (!/^[A-Za-z0-9+/_-]+={0,2}$/.test(text)) return undefined;
  const decoded = Buffer.from(text, "base64");
  return decoded.length === bytes ? decoded : undefined;
}

/** Why a signature does not hold for the bytes; undefined when it does. */
export function signatureProblem(
  key: KeyObject,
  bytes: Uint8Array,
  found: Uint8Array | string | undefined,
): string | undefined {
  if (found === undefined || found.length === 0) return "is not signed";
  const signature = parseSignature(found);
  if (signature === undefined) return `has a signature that is not ${signatureBytes} bytes, raw or in base64 or hex`;
  return verify(null, bytes, key, signature) ? undefined : "has a signature that does not match its content";
}

/** What a bundle's signature covers: its id too, so that signed content cannot be moved to a stronger place. */
export function signedBundleBytes(id: string, content: string): Uint8Array {
  return Buffer.from(`${id}\n${content}`);
}
