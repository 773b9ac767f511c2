import type { DescService } from "@bufbuild/protobuf";
import {
  type Client,
  createClient,
  createRouterTransport,
  type Interceptor,
  type ServiceImpl,
} from "@connectrpc/connect";
import { type Caller, callerKey, toConnectError } from "../../src/rpc/index.ts";

/** A caller of tenant `default` with role `user` who may do everything, unless told otherwise. */
export function callerOf(over: Partial<Caller> = {}): Caller {
  const base = { keyId: "test", tenant: "default", crossTenant: false, role: "user", principal: "ada" };
  return { ...base, allows: () => true, ...over };
}

/** Calls an implementation in memory as somebody, with errors mapped as the server maps them. */
export function clientAs<T extends DescService>(service: T, implementation: ServiceImpl<T>, caller: Caller): Client<T> {
  const authenticate: Interceptor = (next) => async (request) => {
    request.contextValues.set(callerKey, caller);
    try {
      const response = await next(request);
      return response.stream ? { ...response, message: mapErrors(response.message) } : response;
    } catch (error) {
      throw toConnectError(error);
    }
  };
  const transport = createRouterTransport((router) => router.service(service, implementation), {
    router: { interceptors: [authenticate] },
  });
  return createClient(service, transport);
}

async function* mapErrors<T>(messages: AsyncIterable<T>): AsyncIterable<T> {
  try {
    yield* messages;
  } catch (error) {
    throw toConnectError(error);
  }
}
