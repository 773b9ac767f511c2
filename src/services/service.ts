/** A service of this process. */
export interface RunningService {
  /** The port it serves, when it serves one. */
  port?: number;
  /** Null while it works, else what is wrong. */
  problem?(): string | null;
  /** Takes nothing new and finishes what it has begun, for at most `graceMs`. */
  close(graceMs: number): Promise<void>;
}

export const serviceNames = ["gateway", "scheduler", "safety-kernel", "workflow-engine", "context-engine"] as const;
export type ServiceName = (typeof serviceNames)[number];
