import type { DescMethod, Message } from "@bufbuild/protobuf";
import { type ConnectError, type ContextValues, createContextKey, type Interceptor } from "@connectrpc/connect";
import { toConnectError } from "./errors.ts";
import type { MethodRules } from "./method-rules.ts";

/** What a handler tells about its call, for the audit log. */
export interface AuditNotes {
  /** What is acted on, for example `job/<id>`. */
  resource?: string;
  /** Whose log gets the entry. Default: the caller's tenant. */
  tenant?: string;
  /** SHA-256 of the resource, lower-case hex. */
  beforeHash?: string;
  afterHash?: string;
  /** Small facts, never payloads and never secrets. Later ones are added to earlier ones. */
  details?: Readonly<Record<string, string>>;
}

/** A call of a method whose proto says `audited`. */
export interface AuditedCall {
  /** `cordum.v1.JobService/CancelJob` */
  readonly method: string;
  readonly header: Headers;
  /** Caller and call. */
  readonly values: ContextValues;
  /** Undefined when the call was refused before its body was read. */
  readonly message: Message | undefined;
  /** What the handler has told so far. */
  readonly notes: AuditNotes;
}

/** Whoever keeps the audit log. */
export interface CallAuditor {
  /** A call that never came to its handler: it is not permitted, or not valid. */
  refused(call: AuditedCall, error: ConnectError): Promise<void>;
  /**
   * Called before the handler. A throw refuses the call.
   * @returns called when the handler is done, with its error or without; a throw then fails a call that went well
   */
  begin(call: AuditedCall): Promise<(error: ConnectError | undefined) => Promise<void>>;
}

const notesKey = createContextKey<AuditNotes | undefined>(undefined, { description: "audit notes" });
const begunKey = createContextKey(false, { description: "audited call has begun" });

/** For handlers: says what the call is about. Called as soon as it is known, so that failures name it, too. */
export function auditDetail(context: { readonly values: ContextValues }, notes: AuditNotes): void {
  const earlier = context.values.get(notesKey);
  if (earlier) Object.assign(earlier, notes, { details: { ...earlier.details, ...notes.details } });
}

/**
 * Two interceptors, one around the validation of requests and one within: a refused request is told apart from one that
 * came to its handler.
 */
export function auditCalls(
  auditor: CallAuditor,
  rulesOf: (method: DescMethod) => MethodRules,
): { around: Interceptor; within: Interceptor } {
  const around: Interceptor = (next) => async (request) => {
    const { name, audited } = rulesOf(request.method);
    if (!audited || request.stream) return await next(request);
    const { contextValues: values, header, message } = request;
    const notes: AuditNotes = {};
    values.set(notesKey, notes);
    try {
      return await next(request);
    } catch (reason) {
      if (values.get(begunKey)) throw reason;
      await auditor.refused({ method: name, header, values, message, notes }, toConnectError(reason));
      throw reason;
    }
  };
  const within: Interceptor = (next) => async (request) => {
    const { name, audited } = rulesOf(request.method);
    if (!audited || request.stream) return await next(request);
    const { contextValues: values, header, message } = request;
    const notes = values.get(notesKey) ?? {};
    values.set(begunKey, true);
    const end = await auditor.begin({ method: name, header, values, message, notes });
    let response: Awaited<ReturnType<typeof next>>;
    try {
      response = await next(request);
    } catch (reason) {
      await end(toConnectError(reason));
      throw reason;
    }
    await end(undefined);
    return response;
  };
  return { around, within };
}
