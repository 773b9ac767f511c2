import { mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { until } from "../../test/support/until.ts";
import { type ConfigFile, openConfigFile } from "./config-file.ts";

let folder: string;
let path: string;
let file: ConfigFile<number> | undefined;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "cordum-config-"));
  path = join(folder, "number.txt");
});
afterEach(async () => {
  file?.close();
  await rm(folder, { recursive: true, force: true });
});

function parse(text: string): number {
  const value = Number(text);
  if (Number.isNaN(value)) throw new Error(`not a number: ${text}`);
  return value;
}

async function open(over: { missing?: number; reloadIntervalMs?: number } = {}): Promise<ConfigFile<number>> {
  file = await openConfigFile({ path, parse, reloadIntervalMs: 60_000, log: pino({ level: "silent" }), ...over });
  return file;
}

describe("openConfigFile()", () => {
  it("follows the file, written in place or replaced by renaming", async () => {
    await writeFile(path, "1");
    const config = await open();

    await writeFile(path, "2");
    await until("2", () => config.current() === 2);
    await writeFile(`${path}.new`, "3");
    await rename(`${path}.new`, path);

    await until("3", () => config.current() === 3);
  });

  it("follows the file by looking, where notifications are lost", async () => {
    const config = await open({ missing: 0, reloadIntervalMs: 30 });

    await writeFile(path, "4");

    await until("4", () => config.current() === 4);
  });

  it("keeps the last good version while the file is broken", async () => {
    await writeFile(path, "1");
    const config = await open({ reloadIntervalMs: 30 });

    await writeFile(path, "one");
    await new Promise((resolve) => setTimeout(resolve, 100));

    expect(config.current()).toBe(1);
  });

  it("refuses to open a broken file, and a missing one that has no default", async () => {
    await expect(open()).rejects.toThrow("ENOENT");
    expect((await open({ missing: 7 })).current()).toBe(7);
    await writeFile(path, "one");
    await expect(open({ missing: 7 })).rejects.toThrow("not a number");
  });
});
