// The libraries that a Node.js client is made of, against a running emulator: discovery and the
// client-credentials grant with openid-client, the three methods with @grpc/grpc-js. Trust comes
// from NODE_EXTRA_CA_CERTS and GRPC_DEFAULT_SSL_ROOTS_FILE_PATH alone.
import assert from "node:assert/strict";
import path from "node:path";
import grpc from "@grpc/grpc-js";
import protoLoader from "@grpc/proto-loader";
import * as openid from "openid-client";

const env = process.env;
const FRAME = 448 * 448 * 3;

async function token(secret) {
  const issuer = new URL("/", env.OAUTH_AUTH_URL);
  const config = await openid.discovery(issuer, env.OAUTH_CLIENT_ID, secret, openid.ClientSecretPost(secret));
  assert.equal(config.serverMetadata().token_endpoint, env.OAUTH_AUTH_URL);
  return openid.clientCredentialsGrant(config, { audience: env.OAUTH_AUDIENCE });
}

function connect(protos, accessToken) {
  const definition = protoLoader.loadSync("athena/athena.proto", { includeDirs: [protos], keepCase: true, enums: String });
  const { athena } = grpc.loadPackageDefinition(definition);
  const call = grpc.credentials.createFromMetadataGenerator((_, done) => {
    const metadata = new grpc.Metadata();
    metadata.set("authorization", `Bearer ${accessToken}`);
    metadata.set("x-client-language", "nodejs");
    done(null, metadata);
  });
  const credentials = grpc.credentials.combineChannelCredentials(grpc.credentials.createSsl(), call);
  return new athena.ClassifierService(env.ATHENA_HOST, credentials);
}

const unary = (client, method, request) =>
  new Promise((resolve, reject) => client[method](request, (error, answer) => (error ? reject(error) : resolve(answer))));

const input = (id) => ({
  affiliate: env.ATHENA_AFFILIATE,
  correlation_id: id,
  format: "IMAGE_FORMAT_RAW_UINT8_BGR",
  data: Buffer.alloc(FRAME, 127),
  hashes: [{ value: "0".repeat(40), type: "HASH_TYPE_SHA1" }],
});

const granted = await token(env.OAUTH_CLIENT_SECRET);
assert.equal(granted.token_type, "bearer");
await assert.rejects(token("wrong"), (error) => error.error === "invalid_client");
console.log("ok: discovery, a token by client credentials, a wrong secret refused");

const client = connect(path.resolve(process.argv[2]), granted.access_token);
const output = await unary(client, "ClassifySingle", input("single"));
assert.equal(output.error ?? null, null);
assert.equal(output.classifications[0].label, "KnownCSAM-SHA1");
assert.equal(output.classifications.length, 9);
console.log("ok: a single image");

const stream = client.Classify();
const ids = new Set();
const ended = new Promise((resolve, reject) => {
  stream.on("data", (response) => response.outputs.forEach((o) => ids.add(o.correlation_id)));
  stream.on("error", reject);
  stream.on("end", resolve);
});
stream.write({ deployment_id: "interop-node", inputs: [] });
stream.write({ deployment_id: "interop-node", inputs: ["a", "b", "c"].map(input) });
stream.end();
await ended;
assert.deepEqual([...ids].sort(), ["a", "b", "c"]);
console.log("ok: a stream of three");

const { deployments } = await unary(client, "ListDeployments", {});
assert.ok(deployments.some((deployment) => deployment.deployment_id === "interop-node"));
const stranger = connect(path.resolve(process.argv[2]), "not-a-token");
await assert.rejects(unary(stranger, "ListDeployments", {}), (error) => error.code === grpc.status.UNAUTHENTICATED);
console.log("ok: deployments are listed, a bad token is refused");
client.close();
stranger.close();
