import { watch } from "node:fs";
import { readFile } from "node:fs/promises";
import { basename, dirname } from "node:path";
import type { Logger } from "pino";

/** A file whose parsed content follows the file; a broken new version is logged and the last good one stays. */
export interface ConfigFile<T> {
  current(): T;
  close(): void;
}

export interface ConfigFileOptions<T> {
  path: string;
  parse: (text: string, file: string) => T;
  /** Content when there is no such file; without it a missing file is an error. */
  missing?: T;
  /** The file is read again this often, should the notification of a change be lost. */
  reloadIntervalMs: number;
  log: Logger;
}

/** @throws Error when the first version cannot be read or parsed */
export async function openConfigFile<T>(options: ConfigFileOptions<T>): Promise<ConfigFile<T>> {
  const { path, parse, missing, reloadIntervalMs, log } = options;
  let text = await read(path, missing !== undefined);
  let current = text === undefined ? (missing as T) : parse(text, path);

  async function reload(): Promise<void> {
    try {
      const next = await read(path, missing !== undefined);
      if (next === text) return;
      current = next === undefined ? (missing as T) : parse(next, path);
      text = next;
      log.info({ file: path }, "configuration reloaded");
    } catch (error) {
      log.error({ err: error, file: path }, "configuration not reloaded, the last good one stays");
    }
  }

  const timer = setInterval(() => void reload(), reloadIntervalMs);
  timer.unref();
  const watcher = watchFolder(path, () => void reload());
  return {
    current: () => current,
    close: () => {
      clearInterval(timer);
      watcher?.close();
    },
  };
}

/** Watches the folder: editors replace files, and a watch on a replaced file is deaf. */
function watchFolder(path: string, onChange: () => void) {
  try {
    const watcher = watch(dirname(path), { persistent: false }, (_, name) => {
      if (name === null || name === basename(path)) onChange();
    });
    watcher.on("error", () => watcher.close());
    return watcher;
  } catch {
    return undefined; // no such folder, or a system without notifications: the timer reads it
  }
}

async function read(path: string, mayBeMissing: boolean): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (mayBeMissing && (error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}
