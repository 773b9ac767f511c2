import type { DescMethod } from "@bufbuild/protobuf";
import {
  Code,
  ConnectError,
  type ConnectRouter,
  createConnectRouter,
  type Interceptor,
  type MethodImpl,
} from "@connectrpc/connect";
import type { UniversalHandler, UniversalHandlerOptions } from "@connectrpc/connect/protocol";
import { compressionBrotli, compressionGzip } from "@connectrpc/connect-node";
import type { Gate } from "./gate.ts";
import type { MethodRules } from "./method-rules.ts";

/** Every implementation, twice: as clients reach it, and as the REST binding does. */
export interface Handlers {
  /** By request path, `/cordum.v1.JobService/GetJob`: gRPC, gRPC-web and Connect. */
  readonly byPath: ReadonlyMap<string, UniversalHandler>;
  /** Connect in process, binary, behind the gate already: what the REST binding calls. */
  readonly inProcess: ReadonlyMap<DescMethod, UniversalHandler>;
}

export interface HandlerDeps {
  routes: (router: ConnectRouter) => void;
  rulesOf: (method: DescMethod) => MethodRules;
  gate: Gate;
  interceptors: Interceptor[];
  /** Aborts when open-ended streams must end because the server stops. */
  streamStop: AbortSignal;
}

/** Compressing costs more than the bytes it saves on the networks that services share; clients elsewhere use pages. */
const compressMinBytes = 256 * 1024;

/** What Connect takes for "no limit". The REST binding has measured the body before. */
const unlimitedBytes = 0xffffffff;

/**
 * Registers the implementations method by method rather than service by service, because the limit on request size is
 * a property of the method.
 */
export function createHandlers({ routes, rulesOf, gate, interceptors, streamStop }: HandlerDeps): Handlers {
  const open = createConnectRouter({ acceptCompression: [compressionGzip, compressionBrotli] });
  const internal = createConnectRouter({ grpc: false, grpcWeb: false });
  const seen = new Set<DescMethod>();

  function register(method: DescMethod, implementation: MethodImpl<DescMethod>): void {
    if (seen.has(method)) throw new Error(`${rulesOf(method).name} is registered twice`);
    seen.add(method);
    const shared: Partial<UniversalHandlerOptions> = { interceptors };
    if (method.methodKind !== "unary") shared.shutdownSignal = streamStop;
    open.rpc(method, implementation, {
      ...shared,
      compressMinBytes,
      readMaxBytes: rulesOf(method).maxRequestBytes,
      requestGate: (context) => gate.admit(context),
    });
    internal.rpc(method, implementation, { ...shared, acceptCompression: [], readMaxBytes: unlimitedBytes });
  }

  const router: ConnectRouter = {
    handlers: open.handlers,
    service(service, implementation) {
      for (const method of service.methods) {
        const methods: Partial<Record<string, unknown>> = implementation;
        const found = methods[method.localName];
        const bound = typeof found === "function" ? found.bind(implementation) : unimplemented(method);
        register(method, bound as MethodImpl<DescMethod>);
      }
      return router;
    },
    rpc(method, implementation) {
      register(method, implementation as MethodImpl<DescMethod>);
      return router;
    },
  };
  routes(router);
  return {
    byPath: new Map(open.handlers.map((handler) => [handler.requestPath, handler])),
    inProcess: new Map(internal.handlers.map((handler) => [handler.method, handler])),
  };
}

function unimplemented(method: DescMethod): () => never {
  return () => {
    throw new ConnectError(`${method.parent.typeName}/${method.name} is not implemented`, Code.Unimplemented);
  };
}
