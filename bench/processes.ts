import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** A child process of the benchmark. Its output goes to `<dir>/<name>.log`. */
export interface BenchProcess {
  readonly name: string;
  readonly pid: number;
  /** Resolves when it sends its first message, which says that it is ready. Rejects if it ends before. */
  readonly ready: Promise<void>;
  /** Asks a role (see role.ts) to do something. Rejects when that fails or when the process ends. */
  ask(kind: string, input: unknown): Promise<unknown>;
  /** Rejects when the process ends although nobody stopped it; never resolves. */
  readonly failed: Promise<never>;
  /** SIGTERM, after five seconds SIGKILL. Safe to call twice. */
  stop(): Promise<void>;
}

export interface ProcessOptions {
  name: string;
  command: string;
  args: string[];
  /** Folder of the log. */
  dir: string;
  /** Added to the environment of the harness. */
  env?: Record<string, string>;
  /** True for a role, which speaks over the IPC channel. */
  role?: boolean;
}

interface Question {
  resolve: (answer: unknown) => void;
  reject: (reason: Error) => void;
}

const stopGraceMs = 5_000;

export function startProcess({ name, command, args, dir, env, role = false }: ProcessOptions): BenchProcess {
  const logPath = join(dir, `${name}.log`);
  const log = openSync(logPath, "a");
  const child = spawn(command, args, {
    cwd: join(import.meta.dirname, ".."),
    env: { ...process.env, ...env },
    stdio: role ? ["ignore", log, log, "ipc"] : ["ignore", log, log],
  });
  closeSync(log);
  const killNow = () => child.kill("SIGKILL");
  process.once("exit", killNow);

  const questions = new Map<number, Question>();
  let stopping = false;
  const ended = new Promise<Error>((resolve) => {
    child.once("error", (error) => resolve(new Error(`${name} did not start: ${error.message}`, { cause: error })));
    child.once("exit", (code, signal) =>
      resolve(new Error(`${name} ended with ${signal ?? code}; the end of its log:\n${tail(logPath)}`)),
    );
  });
  const failed = ended.then((error) => {
    process.off("exit", killNow);
    for (const question of questions.values()) question.reject(error);
    return stopping ? new Promise<never>(() => {}) : Promise.reject(error);
  });
  failed.catch(() => {}); // it is reported to whoever awaits it or asks a question

  const ready = new Promise<void>((resolve, reject) => {
    if (role) child.once("message", () => resolve());
    else child.once("spawn", () => resolve());
    void ended.then(reject);
  });
  ready.catch(() => {});
  if (role) answerQuestions(child, questions);

  let lastId = 0;
  return {
    name,
    pid: child.pid ?? -1,
    ready,
    failed,
    ask(kind, input) {
      return new Promise((resolve, reject) => {
        lastId += 1;
        questions.set(lastId, { resolve, reject });
        child.send({ id: lastId, kind, input }, (error) => error && reject(error));
      });
    },
    async stop() {
      stopping = true;
      child.kill("SIGTERM");
      const timer = setTimeout(killNow, stopGraceMs);
      await ended;
      clearTimeout(timer);
    },
  };
}

/**
 * Flags of every Node process that is measured, the floor's too: those of the container image. A young generation of this
 * size lets the objects of a job die before they are promoted.
 */
export const nodeFlags = ["--max-semi-space-size=64", "--conditions=cordum-source"];

/** Starts `bench/<path>` as a role: a Node process that is asked over IPC. */
export function startRole(name: string, path: string, args: string[], dir: string): BenchProcess {
  const file = join(import.meta.dirname, path);
  return startProcess({
    name,
    command: process.execPath,
    args: [...nodeFlags, file, ...args],
    dir,
    role: true,
  });
}

function answerQuestions(child: ChildProcess, questions: Map<number, Question>): void {
  child.on("message", (message: { id?: number; answer?: unknown; error?: string }) => {
    if (message.id === undefined) return;
    const question = questions.get(message.id);
    questions.delete(message.id);
    if (message.error === undefined) question?.resolve(message.answer);
    else question?.reject(new Error(message.error));
  });
}

function tail(path: string): string {
  return readFileSync(path, "utf8").split("\n").slice(-20).join("\n");
}
