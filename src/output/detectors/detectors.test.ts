import { describe, expect, it } from "vitest";
import { passesLuhn } from "./cards.ts";
import { detect, kindsOf, knownDetectors } from "./registry.ts";

/** Written in parts, so that no scanner of this repository finds a secret. */
const glue = (...parts: string[]) => parts.join("");
const found = (text: string, names = ["secrets", "pii"]) =>
  detect(text, kindsOf(names)).map(({ start, end, kind }) => [kind, text.slice(start, end)]);

const b64 = "dGhlIHF1aWNrIGJyb3duIGZveCBqdW1wcw";
const jwt = glue("eyJhbGciOiJIUzI1NiJ9", ".eyJzdWIiOiIxMjM0In0", ".c2lnbmF0dXJlLWhlcmU");
const pem = glue("-----BEGIN RSA PRIVATE", " KEY-----\nMIIEowIBAAKCAQEA7\n-----END RSA PRIVATE", " KEY-----");

describe("secrets", () => {
  it.each([
    ["aws_access_key", glue("AKIA", "Q3EGRIQT7NB5YV2M")],
    ["aws_access_key", glue("ASIA", "Q3EGRIQT7NB5YV2M")],
    ["gcp_key", glue("AIza", "SyA1bcD2efG3hiJ4klM5noP6qrS7tuV8wxY")],
    ["github_token", glue("ghp_", "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0dE3fG6")],
    ["github_token", glue("github_pat_", "11ABCDEFG0aB3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0dE3")],
    ["gitlab_token", glue("glpat-", "aB3dE6gH9jK2mN5pQ8sT")],
    ["slack_token", glue("xoxb-", "123456789012-aB3dE6gH9jK2")],
    ["stripe_key", glue("sk_live_", "aB3dE6gH9jK2mN5pQ8sT1vW4")],
    ["openai_key", glue("sk-proj-", "aB3dE6gH9jK2mN5pQ8sT1vW4")],
    ["anthropic_key", glue("sk-ant-api03-", "aB3dE6gH9jK2mN5pQ8sT1vW4")],
    ["npm_token", glue("npm_", "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7bC0dE3fG6")],
    ["huggingface_token", glue("hf_", "aBcdEfgHijKlmnOpqRstuVwxyZabcdEfgh")],
    ["sendgrid_key", glue("SG.", "aB3dE6gH9jK2mN5pQ8sT1v.", "W4yZ7bC0dE3fG6hJ9kL2mN5pQ8")],
    ["jwt", jwt],
    ["private_key", pem],
  ])("%s is found, and nothing around it", (kind, secret) => {
    expect(found(`before ${secret} after`)).toEqual([[kind, secret]]);
    expect(found(secret)).toEqual([[kind, secret]]);
    expect(found(`"${secret}"`)).toEqual([[kind, secret]]);
  });

  it.each([
    ["password=hunter2!x", "hunter2!x"],
    ["DB_PASSWORD: 'tr0ub4dor&3'", "tr0ub4dor"],
    ['{"passwd":"s3cr3t-word"}', "s3cr3t-word"],
    [glue("api_key = ", "aB3dE6gH9jK2mN5p"), glue("aB3dE6gH9jK2", "mN5p")],
    [glue("client-secret=>", b64, "9"), glue(b64, "9")],
    [glue("Authorization: Bearer ", b64), b64],
  ])("%s holds a credential", (text, secret) => {
    expect(found(text)).toEqual([["credential", secret]]);
  });

  it("finds name and password in an address, and leaves the host", () => {
    const address = (text: string) => found(text, ["secrets"]);
    expect(address("postgres://app:pa55w0rd@db.internal:5432/x")).toEqual([["connection_string", "app:pa55w0rd"]]);
    expect(address("redis://:pa55w0rd@cache:6379")).toEqual([["connection_string", ":pa55w0rd"]]);
  });

  it("finds the key in a service account, also when its lines are escaped", () => {
    const json = `{"type":"service_account","private_key_id":"${"0123456789abcdef".repeat(3).slice(0, 40)}","private_key":"${pem.replaceAll("\n", "\\n")}"}`;

    expect(found(json).map(([kind]) => kind)).toEqual(["gcp_key", "private_key"]);
  });

  it("covers a key whose last line is missing as far as the key goes", () => {
    const cut = pem.slice(0, pem.indexOf("-----END"));

    expect(found(`${cut}\n\n- a list`)).toEqual([["private_key", `${cut}\n\n`]]);
  });

  it.each([
    "password: string",
    "password: required",
    glue("password=$", "{DB_PASSWORD}"),
    "password=********",
    "password = <your password>",
    "passwords must have eight characters",
    '"token_count": 4096, "max_tokens": 100000',
    "token: next-page",
    "the secret: be kind",
    "https://example.com:8080/path?x=1@2",
    "http://user@example.com",
    "AKIA is the prefix of a key",
    "xAKIAQ3EGRIQT7NB5YV2MZZZ",
    "risk-assessment-of-the-large-deployment-2024",
    "sk-learn-is-a-library-for-python",
    "eyJust.eyJust.one",
    "-----BEGIN PUBLIC KEY-----\nMIIBIjANBg\n-----END PUBLIC KEY-----",
    "0123456789abcdef0123456789abcdef01234567",
    "550e8400-e29b-41d4-a716-446655440000",
    "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
  ])("there is none in %j", (text) => {
    expect(found(text, ["secrets"])).toEqual([]);
  });
});

describe("personal data", () => {
  it.each([
    ["email", "ada.lovelace+x@mail.example.co.uk"],
    ["phone", "+14155552671"],
    ["phone", "+49 30 901820"],
    ["phone", "+44 (0) 20 7946 0958"],
    ["phone", "(415) 555-2671"],
    ["phone", "415-555-2671"],
    ["phone", "01 23 45 67 89"],
    ["phone", "020 7946 0958"],
    ["phone", "030/901820"],
    ["iban", "DE89370400440532013000"],
    ["iban", "GB29 NWBK 6016 1331 9268 19"],
    ["iban", "FR1420041010050500013M02606"],
    ["credit_card", "4111 1111 1111 1111"],
    ["credit_card", "5500-0000-0000-0004"],
    ["credit_card", "378282246310005"],
    ["us_ssn", "078-05-1120"],
    ["us_ssn", "078 05 1120"],
  ])("%s %s is found, and nothing around it", (kind, text) => {
    expect(found(`call ${text}, please`)).toEqual([[kind, text]]);
    expect(found(text)).toEqual([[kind, text]]);
  });

  it.each([
    "user@localhost",
    "@mention and @another",
    "a@b",
    "version 1.2.3-4567",
    "2024-01-15T10:20:30.123Z",
    "1700000000000000",
    "4111 1111 1111 1112",
    "DE89370400440532013001",
    "XX89370400440532013000",
    "666-12-3456",
    "000-12-3456",
    "123-45-67890",
    "order 12345678901234567890123",
    "0.4111111111111111",
    "550e8400-e29b-41d4-a716-446655440000",
    "192.168.1.1",
  ])("there is none in %j", (text) => {
    expect(found(text, ["pii"])).toEqual([]);
  });

  it("takes an address of a machine for nothing, unless it is asked for", () => {
    expect(found("from 192.168.1.1 to 256.1.1.1", ["ipv4"])).toEqual([["ipv4", "192.168.1.1"]]);
    expect(knownDetectors).toContain("ipv4");
  });

  it("finds a card behind another group of digits, and the longest of several", () => {
    expect(found("1234 4111 1111 1111 1111")).toEqual([["credit_card", "4111 1111 1111 1111"]]);
    expect(passesLuhn("4111111111111111")).toBe(true);
    expect(passesLuhn("4111111111111112")).toBe(false);
  });
});

describe("kindsOf()", () => {
  it("knows groups and kinds, and refuses to look for what it does not know", () => {
    expect([...kindsOf(["pii"])]).toEqual(["email", "phone", "iban", "credit_card", "us_ssn"]);
    expect([...kindsOf(["jwt", "jwt"])]).toEqual(["jwt"]);
    expect(() => kindsOf(["constructor"])).toThrow('unknown detector "constructor"');
  });
});

describe("any text", () => {
  const size = 1_048_576;
  const fill = (unit: string) => unit.repeat(Math.ceil(size / unit.length)).slice(0, size);
  const look = (text: string) => {
    const startedMs = performance.now();
    detect(text, kindsOf(["secrets", "pii", "ipv4"]));
    return performance.now() - startedMs;
  };
  const worst = [
    ...["a", "1", "4", "1 ", "4-", "4444-", "4444 ", "@", "a@", "a.", "@a.", "eyJ", ".eyJ", "eyJ.eyJ.", "sk-", "ghp_"],
    ...["password=", "password:", "secret=", "token ", "://", "a://", "a://a:", "ab://a:b", "SG.", "DE89", "DE89 "],
    ...["-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----", "-----BEGIN PRIVATE KEY-----\0", "-----BEGIN "],
    ...["(415) ", "0 1 2 3 ", "+1", "00 ", "01 23 45 67 8", "1.1.1.1.", "Authorization: Basic ", "\\n", "\0", "\ud800"],
    ...["private_key_id: ", "hooks.slack.com/services/", "a-", "aB3", "é@", "SG.aaaaaaaaaaaaaaaaaaaaaaaaa."],
  ];

  it.each(worst)("of a megabyte takes time in proportion to it, also one of %j", (unit) => {
    const benign = fill("The quick brown fox jumps over the lazy dog. ");
    look(benign); // compiles the patterns
    const benignMs = Math.min(look(benign), look(benign)) + 5;

    // A pattern that backtracks would take thousands of times as long, or for ever.
    expect(Math.min(look(fill(unit)), look(fill(unit)))).toBeLessThan(benignMs * 100);
  });
});
