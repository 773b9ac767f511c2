import { BrokenCircuitError, CircuitState, ConsecutiveBreaker, circuitBreaker, handleAll } from "cockatiel";

export interface BreakerConfig {
  /** Failures in a row that open a closed breaker. */
  readonly failuresToOpen: number;
  readonly openMs: number;
  /** Calls that try whether the peer is back; all must succeed to close the breaker, and one failure opens it again. */
  readonly trialCalls: number;
}

export type BreakerState = "closed" | "half-open" | "open";

/** The breaker lets no call pass now. */
export class CircuitOpenError extends Error {
  readonly state: BreakerState;
  readonly retryAfterMs: number;

  constructor(state: BreakerState, retryAfterMs: number) {
    super(`circuit ${state}`);
    this.name = "CircuitOpenError";
    this.state = state;
    this.retryAfterMs = retryAfterMs;
  }
}

/** Leaves a failing peer alone for a while. */
export interface Breaker {
  /** @throws CircuitOpenError when no call may pass, else what the call throws */
  run<T>(call: () => Promise<T>): Promise<T>;
  state(): BreakerState;
}

const states: Record<CircuitState, BreakerState> = {
  [CircuitState.Closed]: "closed",
  [CircuitState.Open]: "open",
  [CircuitState.HalfOpen]: "half-open",
  [CircuitState.Isolated]: "open",
};
const trialRetryMs = 1_000;

export function createBreaker(config: BreakerConfig, onState: (state: BreakerState) => void = () => {}): Breaker {
  const policy = circuitBreaker(handleAll, {
    halfOpenAfter: config.openMs,
    breaker: new ConsecutiveBreaker(config.failuresToOpen),
    halfOpenSampling: { calls: config.trialCalls, threshold: 0 },
  });
  let openedAtMs = 0;
  let trials = 0;
  policy.onBreak(() => {
    openedAtMs = Date.now();
  });
  policy.onStateChange((state) => onState(states[state]));

  /** A trial under way is not waited for: the caller has better things to do. */
  async function runTrial<T>(call: () => Promise<T>): Promise<T> {
    if (trials >= config.trialCalls) throw new CircuitOpenError("half-open", trialRetryMs);
    trials++;
    try {
      return await policy.execute(call);
    } finally {
      trials--;
    }
  }

  return {
    async run(call) {
      const isOver = policy.state === CircuitState.Open && Date.now() - openedAtMs >= config.openMs;
      try {
        return await (isOver || policy.state === CircuitState.HalfOpen ? runTrial(call) : policy.execute(call));
      } catch (reason) {
        if (!(reason instanceof BrokenCircuitError)) throw reason;
        throw new CircuitOpenError("open", Math.max(1, openedAtMs + config.openMs - Date.now()));
      }
    },
    state: () => states[policy.state],
  };
}
