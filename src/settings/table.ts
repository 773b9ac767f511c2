import { address, duration, flag, integer, list, oneOf, seconds, text, unquotedText, url } from "./kinds.ts";
import { optional, variable } from "./variable.ts";

const second = 1000;
const minute = 60 * second;
const hour = 60 * minute;
const day = 24 * hour;

const anyDuration = { min: 1, max: 365 * day };
const keepFor = { min: second, max: 3650 * day };
/** Decisions about a job are kept for 30 days, so its record must not outlive that. */
const keepRecordFor = { min: second, max: 30 * day };

/** Files and options of a TLS client; the same five for every server that we connect to. */
function tlsClient(prefix: string, server: string) {
  return {
    caFile: optional(`${prefix}_TLS_CA`, text, `PEM file of the authorities that sign ${server}'s certificate.`),
    certFile: optional(`${prefix}_TLS_CERT`, text, `PEM file of our client certificate. Needs \`${prefix}_TLS_KEY\`.`),
    keyFile: optional(`${prefix}_TLS_KEY`, text, `PEM file of its private key. Needs \`${prefix}_TLS_CERT\`.`),
    serverName: optional(`${prefix}_TLS_SERVER_NAME`, text, `Name to expect in ${server}'s certificate.`),
    insecure: variable(
      `${prefix}_TLS_INSECURE`,
      flag,
      false,
      `Do not verify ${server}'s certificate. Never in production.`,
    ),
  };
}

/** Every setting of the product, by chapter. The names of the keys are the names in the code. */
export const table = {
  process: {
    logLevel: variable(
      "LOG_LEVEL",
      oneOf(["trace", "debug", "info", "warn", "error", "fatal", "silent"]),
      "info",
      "The least severe level that is logged.",
    ),
    logFormat: variable("CORDUM_LOG_FORMAT", oneOf(["json", "text"]), "json", "One JSON object per line, or text."),
    otlpEndpoint: optional(
      "OTEL_EXPORTER_OTLP_ENDPOINT",
      url(["http", "https"]),
      "Base URL of an OpenTelemetry collector (OTLP over HTTP). Unset: no span is recorded.",
    ),
    shutdownGraceMs: variable(
      "SHUTDOWN_GRACE",
      duration({ min: 0, max: hour }),
      20 * second,
      "How long a stopping process may finish the work in flight before it is abandoned.",
    ),
  },
  nats: {
    url: variable(
      "NATS_URL",
      url(["nats", "tls"], { many: true }),
      "nats://localhost:4222",
      "The NATS cluster. Credentials may stand in the URL. Unset in `cordum dev`: a private server is started.",
      { secret: true },
    ),
    tls: tlsClient("NATS", "the NATS server"),
    replicas: variable("NATS_JS_REPLICAS", integer({ min: 1, max: 5 }), 1, "Copies of each JetStream stream."),
    maxAgeMs: variable(
      "NATS_JS_MAX_AGE",
      duration(keepFor),
      7 * day,
      "How long a message may stay in a stream. Nothing is lost with it: Redis is the system of record.",
    ),
  },
  redis: {
    url: variable(
      "REDIS_URL",
      url(["redis", "rediss"]),
      "redis://localhost:6379",
      "Redis or Valkey, one server. Credentials may stand in the URL. Unset in `cordum dev`: a private server is started.",
      { secret: true },
    ),
    clusterAddresses: variable(
      "REDIS_CLUSTER_ADDRESSES",
      list,
      [],
      "`host:port` of some nodes of a Redis Cluster. Set: used in place of `REDIS_URL`, which still gives the credentials.",
    ),
    sentinelAddresses: variable(
      "REDIS_SENTINEL_ADDRESSES",
      list,
      [],
      "`host:port` of the Sentinels. Set: they say where the primary is.",
    ),
    sentinelMaster: variable(
      "REDIS_SENTINEL_MASTER",
      text,
      "mymaster",
      "Name of the primary that the Sentinels watch.",
    ),
    sentinelPassword: optional(
      "REDIS_SENTINEL_PASSWORD",
      text,
      "Password of the Sentinels themselves. That of the primary stands in `REDIS_URL`.",
      { secret: true },
    ),
    tls: tlsClient("REDIS", "the Redis server"),
  },
  store: {
    shards: variable(
      "STATE_SHARDS",
      integer({ min: 1, max: 100 }),
      16,
      "Partitions of the job and run state. Fixed at the first start against a Redis, verified at every later one.",
    ),
    jobTtlMs: variable(
      "JOB_META_TTL",
      duration(keepRecordFor),
      7 * day,
      "How long the record of a finished job is kept, at most 30 days.",
      { aliases: [{ name: "JOB_META_TTL_SECONDS", kind: seconds(keepRecordFor) }] },
    ),
    dataTtlMs: variable("REDIS_DATA_TTL", duration(keepFor), day, "How long inputs and outputs of jobs are kept.", {
      aliases: [{ name: "REDIS_DATA_TTL_SECONDS", kind: seconds(keepFor) }],
    }),
  },
  artifacts: {
    ttlMs: {
      short: variable("ARTIFACT_TTL_SHORT", duration(keepFor), day, "How long `short` artifacts are kept."),
      standard: variable(
        "ARTIFACT_TTL_STANDARD",
        duration(keepFor),
        7 * day,
        "How long artifacts are kept that name no other class.",
      ),
      audit: variable("ARTIFACT_TTL_AUDIT", duration(keepFor), 30 * day, "How long `audit` artifacts are kept."),
    },
    maxBytes: variable(
      "ARTIFACT_MAX_BYTES",
      integer({ min: 1, max: 8 * 1024 * 1024 }),
      8 * 1024 * 1024,
      "Largest artifact that the API takes, bytes. Policy may allow the artifacts of a job less.",
    ),
  },
  gateway: {
    addr: variable("GATEWAY_HTTP_ADDR", address, { host: "", port: 8081 }, "The one port of every API."),
    metricsAddr: variable(
      "GATEWAY_METRICS_ADDR",
      address,
      { host: "", port: 9092 },
      "`/metrics`, `/healthz` and `/readyz` of the gateway.",
    ),
    tls: {
      certFile: optional("GRPC_TLS_CERT", text, "PEM file of the gateway's certificate. Needs `GRPC_TLS_KEY`."),
      keyFile: optional("GRPC_TLS_KEY", text, "PEM file of its private key. Set: the port speaks TLS only."),
    },
    allowedOrigins: optional(
      "CORDUM_ALLOWED_ORIGINS",
      list,
      "Origins of web pages that may call the API; `*` for all. Unset: localhost and the gateway's own host.",
      { aliases: ["CORDUM_CORS_ALLOW_ORIGINS", "CORS_ALLOW_ORIGINS"] },
    ),
    rateLimitRps: variable(
      "API_RATE_LIMIT_RPS",
      integer({ min: 1, max: 10_000_000 }),
      1_000,
      "Requests per second that one caller may make on average.",
    ),
    rateLimitBurst: variable(
      "API_RATE_LIMIT_BURST",
      integer({ min: 1, max: 10_000_000 }),
      2_000,
      "Requests that one caller may make at once.",
    ),
  },
  auth: {
    apiKeys: optional(
      "CORDUM_API_KEYS",
      text,
      'Keys: `key1,key2`, or `tenant:key[:role[+name...][:principal]]` separated by commas, or JSON such as `[{"key":"k","tenant":"t","role":"admin"}]`.',
      { secret: true },
    ),
    apiKey: optional("CORDUM_SUPER_SECRET_API_TOKEN", unquotedText, "One more key, with every right in `TENANT_ID`.", {
      aliases: ["CORDUM_API_KEY", "API_KEY"],
      secret: true,
    }),
    insecureNoAuth: variable(
      "CORDUM_INSECURE_NO_AUTH",
      flag,
      false,
      "Start without any key and let everybody in. Without it, a gateway that has no key refuses to start.",
    ),
    allowSelfApproval: variable(
      "CORDUM_ALLOW_SELF_APPROVAL",
      flag,
      false,
      "Whoever submits a job may approve it. For trying things out: `cordum dev` sets it.",
    ),
    tenantId: variable("TENANT_ID", text, "default", "The tenant of requests and keys that name none."),
  },
  policy: {
    path: variable("SAFETY_POLICY_PATH", text, "config/safety.yaml", "The policy document, YAML or JSON."),
    url: optional("SAFETY_POLICY_URL", text, "Where to fetch it instead: http(s), or a file's path.", { secret: true }),
    reloadIntervalMs: variable(
      "SAFETY_POLICY_RELOAD_INTERVAL",
      duration({ min: 100, max: day }),
      30 * second,
      "How often file, address and bundles are read again. Changed files and publications are noticed at once.",
    ),
    ignoreBundles: variable(
      "SAFETY_POLICY_CONFIG_DISABLE",
      flag,
      false,
      "Leave published policy bundles out: only the file or address decides.",
    ),
    sha256: optional("SAFETY_POLICY_SHA256", text, "SHA-256, in hex, that the file or document must have."),
    publicKey: optional(
      "SAFETY_POLICY_PUBLIC_KEY",
      text,
      "Ed25519 key of whoever signs policy: PEM, or 32 bytes in base64 or hex. Set: the file or document must be signed.",
    ),
    signature: optional(
      "SAFETY_POLICY_SIGNATURE",
      text,
      "Its signature, 64 bytes in base64 or hex. Unset: what lies at `SAFETY_POLICY_SIGNATURE_PATH`.",
    ),
    signaturePath: optional(
      "SAFETY_POLICY_SIGNATURE_PATH",
      text,
      "File with the signature, raw or as text. Unset: `<policy file>.sig`.",
    ),
    requireSignedBundles: variable(
      "SAFETY_POLICY_SIGNED_BUNDLES",
      flag,
      false,
      "Published bundles must be signed, too. Needs `SAFETY_POLICY_PUBLIC_KEY`.",
    ),
  },
  safetyKernel: {
    addr: variable(
      "SAFETY_KERNEL_ADDR",
      address,
      { host: "", port: 50_051 },
      "Where the safety kernel listens (gRPC).",
    ),
    metricsAddr: variable(
      "SAFETY_KERNEL_METRICS_ADDR",
      address,
      { host: "", port: 9091 },
      "`/metrics`, `/healthz` and `/readyz` of the kernel.",
    ),
    url: optional(
      "SAFETY_KERNEL_URL",
      url(["http", "https"]),
      "The kernel that schedulers and gateways ask, for example `http://safety-kernel:50051`. Unset: they evaluate the policy themselves.",
    ),
    tls: {
      caFile: optional(
        "SAFETY_KERNEL_TLS_CA",
        text,
        "PEM file of the authorities that sign the kernel's certificate (clients).",
      ),
      certFile: optional(
        "SAFETY_KERNEL_TLS_CERT",
        text,
        "PEM file of the kernel's certificate. Needs `SAFETY_KERNEL_TLS_KEY`.",
      ),
      keyFile: optional("SAFETY_KERNEL_TLS_KEY", text, "PEM file of its private key. Set: the kernel speaks TLS only."),
    },
  },
  contextEngine: {
    addr: variable(
      "CONTEXT_ENGINE_ADDR",
      address,
      { host: "", port: 50_070 },
      "Where the context engine listens (gRPC).",
    ),
    metricsAddr: variable(
      "CONTEXT_ENGINE_METRICS_ADDR",
      address,
      { host: "", port: 9094 },
      "`/metrics`, `/healthz` and `/readyz` of the context engine.",
    ),
    allowAnonymous: variable(
      "CONTEXT_ENGINE_ALLOW_ANONYMOUS",
      flag,
      false,
      "Serve callers without a key, as earlier versions did: whoever reaches the port reads and writes every memory. `cordum dev` sets it.",
    ),
    tls: {
      certFile: optional(
        "CONTEXT_ENGINE_TLS_CERT",
        text,
        "PEM file of the engine's certificate. Needs `CONTEXT_ENGINE_TLS_KEY`.",
      ),
      keyFile: optional(
        "CONTEXT_ENGINE_TLS_KEY",
        text,
        "PEM file of its private key. Set: the engine speaks TLS only.",
      ),
    },
    memoryTtlMs: variable(
      "CONTEXT_MEMORY_TTL",
      duration({ min: minute, max: 3650 * day }),
      30 * day,
      "How long the events of a memory are kept after the last one was added.",
    ),
  },
  workflowEngine: {
    metricsAddr: variable(
      "WORKFLOW_ENGINE_HTTP_ADDR",
      address,
      { host: "", port: 9093 },
      "`/metrics`, `/healthz` and `/readyz` of the workflow engine.",
    ),
    runTtlMs: variable(
      "WORKFLOW_RUN_TTL",
      duration({ min: minute, max: 3650 * day }),
      30 * day,
      "How long ended runs are kept, with their timelines.",
    ),
    timerIntervalMs: variable(
      "WORKFLOW_TIMER_INTERVAL",
      duration({ min: 10, max: 10 * second }),
      150,
      "How often timers of runs are looked for. A delay or a retry that is shorter may end later by so much.",
    ),
    sweepIntervalMs: variable(
      "WORKFLOW_ENGINE_SCAN_INTERVAL",
      duration({ min: 50, max: 10 * minute }),
      second,
      "How often effects that a run owes are looked for, those of processes that died.",
    ),
    watchAfterMs: variable(
      "WORKFLOW_WATCH_AFTER",
      duration({ min: second, max: day }),
      10 * minute,
      "Runs that are under way for so long are looked over: their steps' jobs and times are compared with their records. One after the other, at most 4 of a shard every `WORKFLOW_ENGINE_SCAN_INTERVAL` (64 a second); each again after half of the time, or once all others had their turn.",
    ),
    maxNestedRuns: variable(
      "WORKFLOW_MAX_NESTED_RUNS",
      integer({ min: 1, max: 10_000_000 }),
      10_000,
      "Runs that one run may begin in all: bodies, turns, branches, subworkflows.",
    ),
    maxUnits: variable("WORKFLOW_MAX_ITEMS", integer({ min: 1, max: 1_000_000 }), 100_000, "Items of one for_each."),
  },
  scheduler: {
    metricsAddr: variable(
      "SCHEDULER_METRICS_ADDR",
      address,
      { host: "", port: 9090 },
      "`/metrics`, `/healthz` and `/readyz` of the scheduler.",
    ),
    poolConfigPath: variable("POOL_CONFIG_PATH", text, "config/pools.yaml", "Topics and the pools that serve them."),
    timeoutConfigPath: variable("TIMEOUT_CONFIG_PATH", text, "config/timeouts.yaml", "Timeouts and retries per topic."),
    configReloadIntervalMs: variable(
      "SCHEDULER_CONFIG_RELOAD_INTERVAL",
      duration({ min: 100, max: day }),
      30 * second,
      "How often both files are read again.",
    ),
    acceptTimeoutMs: variable(
      "DISPATCH_ACCEPT_TIMEOUT",
      duration({ min: 10, max: minute }),
      second,
      "How long a worker may take to accept a job. Longer: a stalled worker delays its jobs more.",
    ),
    leaseMs: variable(
      "JOB_LEASE",
      duration({ min: second, max: day }),
      30 * second,
      "How long a job stays with a worker that no longer names it. Shorter: jobs of dead workers restart sooner.",
    ),
    maxRetries: variable(
      "JOB_MAX_RETRIES",
      integer({ min: 0, max: 100 }),
      3,
      "Further attempts of a job whose worker was lost, where neither policy nor topic says otherwise.",
    ),
    scheduleTimeoutMs: variable(
      "SCHEDULE_TIMEOUT",
      duration(anyDuration),
      hour,
      "How long a job may wait for a free worker before it ends TIMEOUT.",
    ),
    workerTtlMs: variable(
      "WORKER_TTL",
      duration({ min: second, max: day }),
      30 * second,
      "A worker is forgotten this long after its last heartbeat.",
    ),
    workerSnapshotIntervalMs: variable(
      "WORKER_SNAPSHOT_INTERVAL",
      duration({ min: 100, max: hour }),
      5 * second,
      "How often the list of workers is written to Redis.",
    ),
    outputQuarantineTtlMs: variable(
      "OUTPUT_QUARANTINE_TTL",
      duration({ min: minute, max: 30 * day }),
      7 * day,
      "How long outputs that policy quarantined are kept for those who may review them.",
    ),
    sweepIntervalMs: variable(
      "SWEEP_INTERVAL",
      duration({ min: 10, max: hour }),
      second,
      "How often overdue leases, deadlines and unpublished messages are looked for.",
    ),
    pendingReplayAfterMs: variable(
      "PENDING_REPLAY_AFTER",
      duration({ min: 100, max: day }),
      10 * second,
      "A submitted job that nobody admitted for this long is admitted by the sweeper.",
    ),
  },
  audit: {
    retentionMs: variable(
      "AUDIT_RETENTION",
      duration(keepFor),
      90 * day,
      "How long entries of the audit log are kept. The newest entry of a tenant is kept for ever.",
    ),
    maxEntries: variable(
      "AUDIT_MAX_ENTRIES",
      integer({ min: 1_000, max: 1_000_000_000 }),
      1_000_000,
      "Entries of the audit log that one tenant may have; the oldest make room. About 500 bytes of Redis each.",
    ),
  },
  signatures: {
    mode: variable(
      "CORDUM_SIGNATURES",
      oneOf(["off", "verify", "required"]),
      "off",
      "Packets on the bus: `verify` refuses wrong signatures, `required` also refuses missing ones.",
    ),
    privateKeyFile: optional(
      "CORDUM_SIGNATURE_KEY",
      text,
      "PKCS#8 PEM file of our private key, ECDSA P-256 or Ed25519. Set, and not `off`: packets that we send are signed.",
    ),
    publicKeysDir: optional(
      "CORDUM_SIGNATURE_PUBLIC_KEYS",
      text,
      "Folder with one SPKI PEM file per sender, `<sender id, percent-encoded>.pem`.",
    ),
  },
};

/** Variables of earlier versions, and what became of each. */
export const retired: Readonly<Record<string, string>> = {
  NATS_USE_JETSTREAM: "JetStream is always used",
  NATS_JS_ACK_WAIT: "a job that must wait is parked in Redis, so no message stays unacknowledged for long",
  SAFETY_POLICY_CONFIG_SCOPE: "policy bundles have a store of their own",
  SAFETY_POLICY_CONFIG_ID: "policy bundles have a store of their own",
  SAFETY_POLICY_CONFIG_KEY: "policy bundles have a store of their own",
  SAFETY_DECISION_CACHE_TTL: "making a decision takes less time than looking one up",
  GATEWAY_GRPC_ADDR: "gRPC is served on GATEWAY_HTTP_ADDR, with everything else",
};
