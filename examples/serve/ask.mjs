// Asks about one image. Prints the decision; the exit code is 0 only when it is `allow`.
import { readFile } from "node:fs/promises";

const server = process.env.ATHENA_SERVER ?? "http://127.0.0.1:8080";
const answer = await fetch(`${server}/v1/classify`, {
  method: "POST",
  headers: { "Content-Type": "application/octet-stream" },
  body: await readFile(process.argv[2]),
  signal: AbortSignal.timeout(90_000),
});
await answer.arrayBuffer();
const decision = answer.headers.get("athena-decision") ?? "none";
console.log(decision);
process.exitCode = decision === "allow" ? 0 : 1;
