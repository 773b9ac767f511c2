import type { CelFunction, FunctionTable } from "./cel-function.ts";
import { libraryCall } from "./cel-library.ts";
import { describe, Time, type Value } from "./cel-value.ts";
import { ExpressionError } from "./model.ts";

type Part = (date: Date) => number;

/** Of a date whose UTC fields are those of the time zone asked for. Months and days count from 0, `getDate` from 1. */
const parts: Readonly<Record<string, Part>> = {
  getFullYear: (date) => date.getUTCFullYear(),
  getMonth: (date) => date.getUTCMonth(),
  getDate: (date) => date.getUTCDate(),
  getDayOfMonth: (date) => date.getUTCDate() - 1,
  getDayOfWeek: (date) => date.getUTCDay(),
  getDayOfYear: (date) => Math.floor((date.getTime() - Date.UTC(date.getUTCFullYear(), 0)) / 86_400_000),
  getHours: (date) => date.getUTCHours(),
  getMinutes: (date) => date.getUTCMinutes(),
  getSeconds: (date) => date.getUTCSeconds(),
  getMilliseconds: (date) => date.getUTCMilliseconds(),
};

/** Parts of timestamps, in UTC or the time zone of the argument, whatever the zone of this machine; parts of durations. */
export const times: FunctionTable = Object.fromEntries(
  Object.entries(parts).map(([name, part]) => [name, createMethod(name, part)]),
);

function createMethod(name: string, part: Part): CelFunction {
  return {
    style: "method",
    arity: [1, 2],
    result: "number",
    run([time = null, zone], meter) {
      meter.spend(100);
      if (!(time instanceof Time))
        throw new ExpressionError(`${name} takes a timestamp or a duration, not ${describe(time)}`);
      if (time.kind === "timestamp") return part(inZone(toMs(time), zone));
      if (zone !== undefined) throw new ExpressionError(`${name}: a duration has no time zone`);
      return libraryCall(`a0.${name}()`)(time);
    },
  };
}

function toMs({ message }: Time): number {
  return Number(message.seconds) * 1000 + Math.floor(message.nanos / 1_000_000);
}

const offset = /^([+-]?)(\d\d):(\d\d)$/;

/** @param zone - a name such as `Europe/Paris`, or an offset such as `-08:00`; UTC when undefined */
function inZone(ms: number, zone: Value | undefined): Date {
  if (zone === undefined) return new Date(ms);
  if (typeof zone !== "string") throw new ExpressionError(`a time zone is a text, not ${describe(zone)}`);
  const [fixed, sign, hours, minutes] = offset.exec(zone) ?? [];
  if (fixed === undefined) return new Date(ms + namedOffsetMs(ms, zone));
  return new Date(ms + (sign === "-" ? -1 : 1) * (Number(hours) * 60 + Number(minutes)) * 60_000);
}

function namedOffsetMs(ms: number, timeZone: string): number {
  const fields: Partial<Record<Intl.DateTimeFormatPartTypes, number>> = {};
  for (const { type, value } of formatOf(timeZone).formatToParts(ms)) fields[type] = Number(value);
  const { year = 0, month = 1, day, hour, minute, second } = fields;
  return Date.UTC(year, month - 1, day, hour, minute, second) - Math.floor(ms / 1000) * 1000;
}

const formats = new Map<string, Intl.DateTimeFormat>();

const maxFormats = 500;

/** Making a format takes long. There are a few hundred zones, but more ways to spell them. */
function formatOf(timeZone: string): Intl.DateTimeFormat {
  const known = formats.get(timeZone);
  if (known !== undefined) return known;
  const field = "numeric";
  const fields = { year: field, month: field, day: field, hour: field, minute: field, second: field } as const;
  try {
    const format = new Intl.DateTimeFormat("en-US", { ...fields, timeZone, hourCycle: "h23" });
    if (formats.size >= maxFormats) formats.clear();
    formats.set(timeZone, format);
    return format;
  } catch (error) {
    throw new ExpressionError(`unknown time zone ${JSON.stringify(timeZone.slice(0, 40))}`, { cause: error });
  }
}
