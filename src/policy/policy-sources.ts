import type { KeyObject } from "node:crypto";
import type { Logger } from "pino";
import { DomainError } from "../errors/index.ts";
import { type BaseChecks, checkBase, readBase } from "./base-loader.ts";
import { type BaseDocument, type BuiltPolicy, buildPolicy } from "./build-policy.ts";
import type { ArchivedBase, BaseArchive, BundleSource, PublishedBundle } from "./ports.ts";
import { type PolicyProblem, PolicySourceError, sourceError } from "./problem.ts";
import { type PolicySource, policySource } from "./source.ts";

export interface PolicySourcesOptions extends BaseChecks {
  /** File to read. */
  path?: string | undefined;
  /** `http(s)` address to fetch instead, or a path; wins when it is not blank. */
  url?: string | undefined;
  /** Published bundles; without it there are none. */
  bundles?: BundleSource | undefined;
  /** Set: bundles must be signed by the owner of this key. */
  bundleKey?: KeyObject | undefined;
  /** Where the last good base document is kept for later starts. */
  archive?: BaseArchive | undefined;
  log: Logger;
}

/** What is wrong with the sources now. Whatever is named here decides as it did before, or not at all. */
export interface SourceFailures {
  readonly base: readonly PolicyProblem[];
  /** It is not known which bundles are live. */
  readonly store: readonly PolicyProblem[];
  /** Bundles that are left out, or decide as they did before. */
  readonly bundles: readonly PolicyProblem[];
}

interface Base {
  readonly archived: ArchivedBase;
  readonly document: BaseDocument;
}

/**
 * Base document and bundles, each as it was when it was last good.
 *
 * S1. A base with errors never decides: the one before stays, and bundles go on changing above it.
 * S2. As long as it was never known which bundles are live, there is no policy.
 * S3. A bundle with errors harms no other.
 */
export class PolicySources {
  readonly #options: PolicySourcesOptions;
  readonly #source: PolicySource;
  #base: Base;
  #published: readonly PublishedBundle[] | undefined;
  #used: readonly PublishedBundle[] = [];
  #failures: SourceFailures = { base: [], store: [], bundles: [] };
  #isArchived = false;

  private constructor(options: PolicySourcesOptions, source: PolicySource, base: Base) {
    this.#options = options;
    this.#source = source;
    this.#base = base;
  }

  /** @throws PolicySourceError when the base cannot be used, and neither can an archived one */
  static async open(options: PolicySourcesOptions, signal: AbortSignal): Promise<PolicySources> {
    const location = options.url?.trim() || options.path?.trim();
    if (!location) throw new DomainError("invalid_argument", "a policy needs a path or an address");
    const source = policySource(location);
    try {
      const archived = await readBase(source, options, undefined, signal);
      return new PolicySources(options, source, await toUsableBase(source.name, archived));
    } catch (reason) {
      const archived = await loadArchived(options, source.name, reason);
      const sources = new PolicySources(options, source, await toUsableBase(source.name, archived));
      sources.#isArchived = true;
      sources.#failures = { ...sources.#failures, base: problemsOf(source.name, reason) };
      return sources;
    }
  }

  /** Path or address of the base document. */
  get name(): string {
    return this.#source.name;
  }

  get base(): BaseDocument {
    return this.#base.document;
  }

  /** The bundles that decide. */
  get bundles(): readonly PublishedBundle[] {
    return this.#used;
  }

  get failures(): SourceFailures {
    return this.#failures;
  }

  /** Calls back when a source may have changed. Answers how to stop. */
  watch(onTouched: () => void): () => void {
    const { log, bundles } = this.#options;
    const stopBase = this.#source.watch(onTouched, (err) =>
      log.warn({ err, source: this.name }, "cannot watch the policy, reading it at intervals only"),
    );
    const stopBundles = bundles?.watch(onTouched) ?? (() => {});
    return () => {
      stopBase();
      stopBundles();
    };
  }

  /**
   * Reads both sources. What fails is told by `failures`.
   * @returns the policy that they make; undefined when it is the same as before, or not known yet
   */
  async refresh(signal: AbortSignal): Promise<BuiltPolicy | undefined> {
    const [base, published] = await Promise.all([this.#readBase(signal), this.#readBundles()]);
    if (published === undefined) return undefined;
    if (base === this.#base && published === this.#published) {
      await this.#archive();
      return undefined;
    }
    const built = await this.#build(base, published);
    if (built.policy !== undefined) return this.#accept(base, published, built);
    this.#failures = { ...this.#failures, base: built.problems.filter(({ severity }) => severity === "error") };
    if (published === this.#published) return undefined;
    const above = await this.#build(this.#base, published);
    if (above.policy !== undefined) return this.#accept(this.#base, published, above);
    this.#failures = { ...this.#failures, bundles: above.problems };
    return undefined;
  }

  async #accept(base: Base, published: readonly PublishedBundle[], built: BuiltPolicy): Promise<BuiltPolicy> {
    if (base !== this.#base) this.#isArchived = false;
    this.#base = base;
    this.#published = published;
    this.#used = built.bundles;
    const ids = new Set(published.map(({ id }) => id));
    const errors = built.problems.filter(({ severity, source }) => severity === "error" && ids.has(source));
    this.#failures = { ...this.#failures, bundles: errors };
    await this.#archive();
    return built;
  }

  #build(base: Base, published: readonly PublishedBundle[]): Promise<BuiltPolicy> {
    return buildPolicy(base.document, published, { bundleKey: this.#options.bundleKey, lastGood: this.#used });
  }

  /** The base as it is now, or as it was when that cannot be used. */
  async #readBase(signal: AbortSignal): Promise<Base> {
    const known = this.#base.archived.bytes;
    try {
      const archived = await readBase(this.#source, this.#options, known, signal);
      if (Buffer.compare(archived.bytes, known) === 0) {
        this.#failures = { ...this.#failures, base: [] };
        return this.#base;
      }
      // an emptied file is more often an accident than the wish to allow everything
      if (archived.bytes.byteLength === 0)
        throw sourceError(this.name, "has become empty; to mean that, write `rules: []`");
      const base = toBase(this.name, archived);
      this.#failures = { ...this.#failures, base: [] };
      return base;
    } catch (reason) {
      signal.throwIfAborted();
      this.#failures = { ...this.#failures, base: problemsOf(this.name, reason) };
      return this.#base;
    }
  }

  async #readBundles(): Promise<readonly PublishedBundle[] | undefined> {
    const { bundles } = this.#options;
    try {
      const read = (await bundles?.read()) ?? [];
      this.#failures = { ...this.#failures, store: [] };
      return this.#published && isSameSet(read, this.#published) ? this.#published : read;
    } catch (reason) {
      this.#failures = { ...this.#failures, store: problemsOf("bundles", reason) };
      return this.#published;
    }
  }

  async #archive(): Promise<void> {
    const { archive, log } = this.#options;
    if (this.#isArchived || archive === undefined) return;
    try {
      await archive.save(this.name, this.#base.archived);
      this.#isArchived = true;
    } catch (err) {
      log.warn({ err, source: this.name }, "the policy could not be kept for a later start; it will be tried again");
    }
  }
}

function toBase(name: string, archived: ArchivedBase): Base {
  return { archived, document: { name, bytes: archived.bytes } };
}

/** @throws PolicySourceError when the document has errors */
async function toUsableBase(name: string, archived: ArchivedBase): Promise<Base> {
  const base = toBase(name, archived);
  const { policy, problems } = await buildPolicy(base.document, []);
  if (policy === undefined) throw new PolicySourceError(problems);
  return base;
}

/** @throws the reason why the source itself cannot be used, when there is nothing better */
async function loadArchived(options: PolicySourcesOptions, name: string, reason: unknown): Promise<ArchivedBase> {
  const { archive, log } = options;
  const archived = await archive?.load(name).catch((err: unknown) => {
    log.warn({ err, source: name }, "the last good policy cannot be read either");
    return undefined;
  });
  if (archived === undefined) throw reason;
  checkBase(name, archived, options);
  return archived;
}

function problemsOf(name: string, reason: unknown): readonly PolicyProblem[] {
  if (reason instanceof PolicySourceError) return reason.problems;
  return sourceError(name, reason instanceof Error ? reason.message : String(reason)).problems;
}

function isSameSet(a: readonly PublishedBundle[], b: readonly PublishedBundle[]): boolean {
  return a === b || JSON.stringify(a) === JSON.stringify(b);
}
