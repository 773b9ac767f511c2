import { type DescFile, type DescMessage, type DescService, toBinary } from "@bufbuild/protobuf";
import { nestedTypes } from "@bufbuild/protobuf/reflect";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import { Code, type ServiceImpl } from "@connectrpc/connect";
import type {
  ServerReflection,
  ServerReflectionRequest,
  ServerReflectionResponse,
} from "@cordum/proto/grpc/reflection/v1/reflection_pb.js";

type Answer = ServerReflectionResponse["messageResponse"];
type MessageRequest = ServerReflectionRequest["messageRequest"];

interface Index {
  services: string[];
  /** By path, in the order in which a reader can load them. */
  files: Map<string, DescFile>;
  /** File that declares a fully qualified name. */
  bySymbol: Map<string, DescFile>;
  /** Extended type to extension number to declaring file. */
  extensions: Map<string, Map<number, DescFile>>;
}

/**
 * Server reflection from the descriptors in this process. The same object serves v1 and v1alpha: their messages are
 * alike field by field.
 */
export function createReflectionService(
  services: readonly DescService[],
): Pick<ServiceImpl<typeof ServerReflection>, "serverReflectionInfo"> {
  const index = buildIndex(services);
  return {
    async *serverReflectionInfo(requests) {
      for await (const { host, messageRequest } of requests) {
        const messageResponse = answer(index, messageRequest);
        const originalRequest = { host, messageRequest };
        yield { validHost: host, originalRequest, messageResponse } as ServerReflectionResponse;
      }
    },
  };
}

function answer(index: Index, request: MessageRequest): Answer {
  switch (request.case) {
    case "listServices":
      return { case: "listServicesResponse", value: { service: index.services.map((name) => ({ name })) } } as Answer;
    case "fileByFilename":
      return fileAnswer(index.files.get(request.value), request.value);
    case "fileContainingSymbol":
      return fileAnswer(index.bySymbol.get(request.value.replace(/^\./, "")), request.value);
    case "fileContainingExtension": {
      const { containingType, extensionNumber } = request.value;
      const file = index.extensions.get(containingType)?.get(extensionNumber);
      return fileAnswer(file, `extension ${extensionNumber} of ${containingType}`);
    }
    case "allExtensionNumbersOfType": {
      const numbers = [...(index.extensions.get(request.value)?.keys() ?? [])];
      if (numbers.length === 0 && !index.bySymbol.has(request.value)) return notFound(request.value);
      const value = { baseTypeName: request.value, extensionNumber: numbers };
      return { case: "allExtensionNumbersResponse", value } as Answer;
    }
    default:
      return errorAnswer(Code.InvalidArgument, "the request asks for nothing");
  }
}

/** A file and, after it, everything it imports, so that one answer is enough. */
function fileAnswer(file: DescFile | undefined, asked: string): Answer {
  if (!file) return notFound(asked);
  const wanted = new Set<DescFile>();
  const visit = (each: DescFile): void => {
    if (wanted.has(each)) return;
    wanted.add(each);
    each.dependencies.forEach(visit);
  };
  visit(file);
  const fileDescriptorProto = [...wanted].map(({ proto }) => toBinary(FileDescriptorProtoSchema, proto));
  return { case: "fileDescriptorResponse", value: { fileDescriptorProto } } as Answer;
}

function notFound(asked: string): Answer {
  return errorAnswer(Code.NotFound, `${asked.slice(0, 200)} is not known here`);
}

function errorAnswer(errorCode: Code, errorMessage: string): Answer {
  return { case: "errorResponse", value: { errorCode, errorMessage } } as Answer;
}

function buildIndex(services: readonly DescService[]): Index {
  const index: Index = {
    services: services.map(({ typeName }) => typeName).sort(),
    files: new Map(),
    bySymbol: new Map(),
    extensions: new Map(),
  };
  for (const { file } of services) addFile(index, file);
  return index;
}

function addFile(index: Index, file: DescFile): void {
  const path = file.proto.name;
  if (index.files.has(path)) return;
  for (const dependency of file.dependencies) addFile(index, dependency);
  index.files.set(path, file);
  for (const type of nestedTypes(file)) {
    index.bySymbol.set(type.typeName, file);
    if (type.kind === "extension") addExtension(index, type.extendee, type.number, file);
    if (type.kind === "service") {
      for (const { name } of type.methods) index.bySymbol.set(`${type.typeName}.${name}`, file);
    }
    if (type.kind === "message") {
      for (const { name } of type.fields) index.bySymbol.set(`${type.typeName}.${name}`, file);
    }
  }
}

function addExtension(index: Index, extendee: DescMessage, number: number, file: DescFile): void {
  const numbers = index.extensions.get(extendee.typeName) ?? new Map<number, DescFile>();
  numbers.set(number, file);
  index.extensions.set(extendee.typeName, numbers);
}
