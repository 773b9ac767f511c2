import { hash } from "node:crypto";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { AuditEntrySchema, ExportAuditResponseSchema } from "@cordum/proto/cordum/v1/audit_pb.js";
import { segmentSize } from "./keys.ts";

/** What happened, before it has a place in a chain. */
export interface AuditEvent {
  /** Microseconds since the epoch. */
  atUs: number;
  /** `job.decided`, or the full name of an RPC. */
  action: string;
  principal: string;
  role: string;
  keyId: string;
  /** For example `job/<id>`. */
  resource: string;
  /** `ok`, an error code, or `unknown`. */
  outcome: string;
  /** SHA-256, lower-case hex, or empty. */
  beforeHash: string;
  afterHash: string;
  details: Readonly<Record<string, string>>;
  requestId: string;
  traceId: string;
}

/** An event at its place. */
export interface Link extends AuditEvent {
  tenant: string;
  /** From 1, without gaps. */
  sequence: number;
  /** Microseconds since the epoch, never before `atUs`, never decreasing along the chain. */
  recordedAtUs: number;
  /** Empty for the first. */
  previousHash: string;
}

/** An event about which nothing is known yet but when it was and what. */
export function blankEvent(action: string, atUs: number): AuditEvent {
  const texts = { principal: "", role: "", keyId: "", resource: "", outcome: "ok", beforeHash: "", afterHash: "" };
  return { ...texts, action, atUs, details: {}, requestId: "", traceId: "" };
}

/** Names the encoding: another one would have another name, so that no text is hashed alike in both. */
const encodingName = "cordum-audit-1";

/**
 * The bytes of which a link's hash is the SHA-256, as text: each value as `<length in bytes>:<value>,`, in the order that
 * docs/guides/audit.md gives. Every client can write it, and no two links have the same.
 */
export function canonicalText(link: Link): string {
  const { atUs, recordedAtUs, sequence, details } = link;
  const keys = Object.keys(details);
  if (keys.length > 1) sortByBytes(keys);
  let text = part(encodingName) + part(String(sequence)) + part(link.tenant) + part(String(atUs));
  text += part(String(recordedAtUs)) + part(link.action) + part(link.principal) + part(link.role) + part(link.keyId);
  text += part(link.resource) + part(link.outcome) + part(link.beforeHash) + part(link.afterHash);
  text += part(link.requestId) + part(link.traceId) + part(String(keys.length));
  for (const key of keys) text += part(key) + part(details[key] ?? "");
  return text + part(link.previousHash);
}

/** @returns SHA-256, lower-case hex */
export function hashOf(link: Link): string {
  return hash("sha256", canonicalText(link));
}

function part(value: string): string {
  return `${Buffer.byteLength(value)}:${value},`;
}

const surrogate = /[\ud800-\udfff]/;

/** The order of the bytes in UTF-8, which is that of the code points; of UTF-16 only where there are no surrogates. */
function sortByBytes(texts: string[]): void {
  if (texts.some((text) => surrogate.test(text))) {
    texts.sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  } else texts.sort();
}

const field = AuditEntrySchema.field;
const blockField = ExportAuditResponseSchema.field.entries.number;

/** Adds the link to a block. Written by hand: this runs for each decision. */
function writeLink(writer: BinaryWriter, link: Link, hash: string): void {
  writer.tag(blockField, WireType.LengthDelimited).fork();
  const text = (number: number, value: string) => {
    if (value) writer.tag(number, WireType.LengthDelimited).string(value);
  };
  writer.tag(field.sequence.number, WireType.Varint).int64(link.sequence);
  text(field.tenant.number, link.tenant);
  writer.tag(field.at.number, WireType.Varint).int64(link.atUs);
  text(field.action.number, link.action);
  text(field.principal.number, link.principal);
  text(field.role.number, link.role);
  text(field.keyId.number, link.keyId);
  text(field.resource.number, link.resource);
  text(field.outcome.number, link.outcome);
  text(field.beforeHash.number, link.beforeHash);
  text(field.afterHash.number, link.afterHash);
  for (const [key, value] of Object.entries(link.details)) {
    writer.tag(field.details.number, WireType.LengthDelimited).fork();
    text(1, key);
    text(2, value);
    writer.join();
  }
  text(field.requestId.number, link.requestId);
  text(field.traceId.number, link.traceId);
  text(field.previousHash.number, link.previousHash);
  text(field.hash.number, hash);
  writer.tag(field.recordedAt.number, WireType.Varint).int64(link.recordedAtUs);
  writer.join();
}

/** The place that follows a link: its sequence, its hash and when it was recorded. */
export interface Tip {
  sequence: number;
  hash: string;
  recordedAtUs: number;
}

/**
 * Pure: puts events behind the tip of a chain, in order. They are encoded in blocks, each an `ExportAuditResponse`, that
 * do not cross the borders of the lists in which they are kept: one value for many entries is what makes them cheap.
 * @param nowUs - the clock of whoever writes; a chain whose tip is later keeps the tip's time
 */
export function linkEvents(tenant: string, tip: Tip, events: readonly AuditEvent[], nowUs: number) {
  const blocks: Uint8Array[] = [];
  let writer = new BinaryWriter();
  let { sequence, hash, recordedAtUs } = tip;
  for (const event of events) {
    recordedAtUs = Math.max(recordedAtUs, nowUs, event.atUs);
    const link: Link = { ...wellFormed(event), tenant, sequence: sequence + 1, recordedAtUs, previousHash: hash };
    hash = hashOf(link);
    sequence = link.sequence;
    writeLink(writer, link, hash);
    if (sequence % segmentSize !== 0) continue;
    blocks.push(writer.finish());
    writer = new BinaryWriter();
  }
  if (sequence % segmentSize !== 0) blocks.push(writer.finish());
  return { tip: { sequence, hash, recordedAtUs }, blocks };
}

const maxTextLength = 4_096;
const maxDetails = 32;

/** Texts come from requests: one that is no Unicode, or very long, must not make a chain that cannot be read. */
function wellFormed(event: AuditEvent): AuditEvent {
  const details = Object.entries(event.details).slice(0, maxDetails);
  return {
    atUs: event.atUs,
    action: tidy(event.action),
    principal: tidy(event.principal),
    role: tidy(event.role),
    keyId: tidy(event.keyId),
    resource: tidy(event.resource),
    outcome: tidy(event.outcome),
    beforeHash: tidy(event.beforeHash),
    afterHash: tidy(event.afterHash),
    details: Object.fromEntries(details.map(([key, value]) => [tidy(key), tidy(value)])),
    requestId: tidy(event.requestId),
    traceId: tidy(event.traceId),
  };
}

function tidy(text: string): string {
  const short = text.length > maxTextLength ? `${text.slice(0, maxTextLength)}...` : text;
  return short.isWellFormed() ? short : short.toWellFormed();
}
