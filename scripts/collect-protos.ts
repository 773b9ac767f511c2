/**
 * Collects the third-party proto files that ours import, from npm packages, into `.proto-deps/`, so that a clone
 * generates code without asking a schema registry. buf.validate has no .proto file in its package; its declarations
 * are printed from the descriptor that the package holds.
 */
import { cp, mkdir, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import type { DescEnum, DescExtension, DescField, DescFile, DescMessage } from "@bufbuild/protobuf";
import { isFieldSet, ScalarType } from "@bufbuild/protobuf";
import {
  FeatureSet_FieldPresence,
  FieldDescriptorProto_Label,
  FieldDescriptorProtoSchema,
} from "@bufbuild/protobuf/wkt";
import { file_buf_validate_validate } from "@bufbuild/protovalidate/gen/buf/validate/validate_pb.js";

const target = join(import.meta.dirname, "..", ".proto-deps");
const require = createRequire(import.meta.url);

const copies: [packageName: string, folder: string, files: string[]][] = [
  [
    "google-proto-files",
    "",
    [
      "google/api/annotations.proto",
      "google/api/http.proto",
      "google/rpc/error_details.proto",
      "google/rpc/status.proto",
    ],
  ],
  ["grpc-health-check", "proto", ["health/v1/health.proto"]],
  [
    "@grpc/reflection",
    "build/proto",
    ["grpc/reflection/v1/reflection.proto", "grpc/reflection/v1alpha/reflection.proto"],
  ],
];

await rm(target, { recursive: true, force: true });
for (const [packageName, folder, files] of copies) {
  const root = dirname(require.resolve(`${packageName}/package.json`));
  for (const file of files) {
    const to = join(target, file.startsWith("health/") ? `grpc/${file}` : file);
    await mkdir(dirname(to), { recursive: true });
    await cp(join(root, folder, file), to);
  }
}
await mkdir(join(target, "buf/validate"), { recursive: true });
await writeFile(join(target, "buf/validate/validate.proto"), printFile(file_buf_validate_validate));

function printFile(file: DescFile): string {
  const lines = ['syntax = "proto2";', `package ${file.proto.package};`];
  for (const dependency of file.dependencies) lines.push(`import "${dependency.name}.proto";`);
  for (const extension of file.extensions) lines.push(...printExtension(extension));
  for (const descEnum of file.enums) lines.push(...printEnum(descEnum));
  for (const message of file.messages) lines.push(...printMessage(message));
  return `${lines.join("\n")}\n`;
}

function printMessage(message: DescMessage): string[] {
  const lines = [`message ${message.name} {`];
  for (const range of message.proto.extensionRange) {
    lines.push(`extensions ${range.start} to ${range.end > 536_870_000 ? "max" : (range.end ?? 0) - 1};`);
  }
  for (const nested of message.nestedEnums) lines.push(...printEnum(nested));
  for (const nested of message.nestedMessages) if (!nested.proto.options?.mapEntry) lines.push(...printMessage(nested));
  for (const member of message.members) {
    if (member.kind === "field") {
      lines.push(printField(member));
      continue;
    }
    lines.push(`oneof ${member.name} {`, ...member.fields.map((field) => printDeclaration(field)), "}");
  }
  lines.push("}");
  return lines;
}

function printField(field: DescField): string {
  if (field.fieldKind === "map") return printDeclaration(field);
  if (field.fieldKind === "list") return `repeated ${printDeclaration(field)}`;
  return `${labelOf(field)} ${printDeclaration(field)}`;
}

function labelOf(field: DescField | DescExtension): string {
  if (field.presence === FeatureSet_FieldPresence.LEGACY_REQUIRED) return "required";
  const isRepeated =
    isFieldSet(field.proto, FieldDescriptorProtoSchema.field.label) &&
    field.proto.label === FieldDescriptorProto_Label.REPEATED;
  return isRepeated ? "repeated" : "optional";
}

function printDeclaration(field: DescField | DescExtension): string {
  return `${typeOf(field)} ${field.name} = ${field.number};`;
}

function typeOf(field: DescField | DescExtension): string {
  if (field.fieldKind === "map") {
    const value =
      field.mapKind === "scalar"
        ? scalarName(field.scalar)
        : `.${(field.mapKind === "enum" ? field.enum : field.message).typeName}`;
    return `map<${scalarName(field.mapKey)}, ${value}>`;
  }
  if (field.message) return `.${field.message.typeName}`;
  if (field.enum) return `.${field.enum.typeName}`;
  return scalarName(field.scalar as ScalarType);
}

function scalarName(scalar: ScalarType): string {
  return (ScalarType[scalar] ?? "").toLowerCase();
}

function printEnum(descEnum: DescEnum): string[] {
  return [`enum ${descEnum.name} {`, ...descEnum.values.map((value) => `${value.name} = ${value.number};`), "}"];
}

function printExtension(extension: DescExtension): string[] {
  const declaration = `${labelOf(extension)} ${printDeclaration(extension)}`;
  return [`extend .${extension.extendee.typeName} {`, declaration, "}"];
}
