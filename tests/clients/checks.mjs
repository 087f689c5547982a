// What the Node scripts share: the list of checks, and the servers around the SDK under test.
//
//     node SCRIPT.mjs GATEWAY ADMIN CALLS KEYED RESILIENT RESILIENT_ADMIN RESILIENT_CALLS
//         ROUTED ROUTED_ADMIN ROUTED_CALLS ROUTED_FILE ROUTED_PROCESS PROVIDER...
//
// The arguments, and what a script prints, are those of checks.py.

import assert from "node:assert";
import { readFile, writeFile } from "node:fs/promises";

export const [GATEWAY, ADMIN, CALLS, KEYED, RESILIENT, RESILIENT_ADMIN, RESILIENT_CALLS, ...more] =
  process.argv.slice(2);
export const [ROUTED, ROUTED_ADMIN, ROUTED_CALLS, ROUTED_FILE, ROUTED_PROCESS, ...PROVIDERS] = more;
export const GOOD_KEY = "acme-test-key";
// Good for the models of ROUTED's local provider only.
export const SMALL_KEY = "acme-small-key";
export const WRONG_KEYS = ["wrong-key", GOOD_KEY + "x", GOOD_KEY.slice(0, -1)];
const ADMIN_KEY = "clients-admin-key";
// The provider within the gateway's process: nothing is on the wire behind it.
const WITHIN = "simulated";
// Models of RESILIENT that fail twice before content, each in a way of its own, and then answer.
export const MENDED = ["sim-third-503", "sim-third-429", "sim-third-cut", "sim-third-error"];
// Calls of its models that are never answered: the model, whether a stream is asked for, and what is given up.
export const LATE = [
  ["sim-hangs", false, "timeout_total"],
  ["sim-hangs", true, "timeout_first_content"],
  ["sim-pings", true, "timeout_first_content"],
];
// The targets of ROUTED's route `smart`, of which the third answers, and those of `down`, of which none does.
export const SMART = ["primary/sim-gpt", "second/sim-claude", "local/sim-llama"];
export const DOWN = ["primary/sim-gpt-down", "second/sim-claude-down", "local/sim-llama-down"];
// Headers of a request to `down` that is answered with this message instead of an error.
export const SUPPORT_CHAT = { "x-llm-workflow": "support-chat" };
export const SORRY = "We are busy. Please try again soon.";
// Headers of a request that may not leave the house.
export const SENSITIVE = { "x-llm-sensitivity": "sensitive" };
// Headers that say nothing that is understood.
export const MALFORMED = {
  "x-llm-sensitivity": "secret",
  "x-llm-intent": "two words",
  "x-llm-workflow": "x".repeat(65),
  "x-llm-tags": Array(17).fill("tag").join(","),
};
// A red dot, 1 x 1.
export const PNG =
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC";

const checks = [];

// Registers a check, to be made with each provider. It is handed a function from a model's name to its full one.
export function check(name, made) {
  checks.push(...PROVIDERS.map((provider) => [`${name} (${provider})`, made, provider]));
}

// Registers a check that is made once. It is handed the same function, for the provider within the gateway.
export function checkOnce(name, made) {
  checks.push([name, made, WITHIN]);
}

// Registers a check, to be made with each provider that is not within the gateway.
export function checkBehind(name, made) {
  const behind = PROVIDERS.filter((provider) => provider !== WITHIN);
  checks.push(...behind.map((provider) => [`${name} (${provider})`, made, provider]));
}

// Makes every check and ends the script.
export async function run() {
  let failed = false;
  for (const [name, made, provider] of checks) {
    try {
      await made((model) => `${provider}/${model}`);
      console.log(`ok ${name}`);
    } catch (error) {
      failed = true;
      console.log(`FAILED ${name}: ${String(error?.stack ?? error).split(/\s+/).join(" ").slice(0, 600)}`);
    }
  }
  process.exitCode = failed ? 1 : 0;
}

export function expect(actual, wanted, what) {
  assert.deepStrictEqual(actual, wanted, `${what} is ${JSON.stringify(actual)}, not ${JSON.stringify(wanted)}`);
}

// Calls, expects exactly this error, no class below it, and returns it.
export async function raises(errorType, call, what = "the call") {
  const error = await failure(call, what);
  if (error.constructor !== errorType) {
    throw new Error(`the error of ${what} is no ${errorType.name}`, { cause: error });
  }
  return error;
}

// Calls, expects this error and status, and returns the error.
export async function refused(errorType, status, call, what = "the call") {
  const error = await raises(errorType, call, what);
  expect(error.status, status, `the status of ${what}`);
  return error;
}

// Calls, and returns the error.
export async function failure(call, what = "the call") {
  try {
    await call();
  } catch (error) {
    return error;
  }
  throw new Error(`${what} succeeded, an error was expected`);
}

async function fetchJson(address, { key, order } = {}) {
  const headers = key ? { authorization: `Bearer ${key}` } : {};
  const answer = await fetch(address, order ? { method: "POST", headers, body: JSON.stringify(order) } : { headers });
  assert.ok(answer.ok, `${address} answered ${answer.status}`);
  return answer.json();
}

// How many calls the gateway has had, by how they ended, once this many are open.
export async function counts(areOpen = 0, admin = ADMIN) {
  for (let tries = 0; tries < 600; tries++) {
    const { calls } = await fetchJson(`${admin}/status`, { key: ADMIN_KEY });
    if (calls.open === areOpen) return calls;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`there were not ${areOpen} calls open after half a minute`);
}

// How many calls have come through the gateway's doors, once none is open.
export async function callsBegun(admin = ADMIN) {
  const calls = await counts(0, admin);
  return calls.complete + calls.failed + calls.abandoned;
}

// What the provider saw of a model's calls, once all of them have ended; nothing of the one within the gateway.
async function seenOf(model, calls = CALLS) {
  const [provider, name] = model.split("/");
  return provider === WITHIN ? undefined : fetchJson(`${calls}/calls/${name}`);
}

// Makes a call that is given up half-way, and expects gateway and provider to have noticed.
export async function expectLeft(model, call) {
  const before = await counts();
  await call();
  const after = await counts();
  expect(after.abandoned - before.abandoned, 1, "the number of calls given up");
  const last = (await seenOf(model))?.at(-1);
  if (!last) return;
  expect(last.ended, "caller left", `the end of ${model} as the provider saw it`);
  assert.ok(last.tokens < 200, `the provider had sent ${last.tokens} tokens by then`);
}

// Makes a call that the client gives up by itself, and expects everybody to have noticed.
export async function expectTimeout(model, timeoutType, call) {
  await expectLeft(model, async () => expect((await failure(call)).constructor, timeoutType, "the error"));
}

// Has an operator of RESILIENT reset a model's circuit, whatever other checks made of it, and returns the model.
export async function resetCircuit(model) {
  await control(model, "reset");
  return model;
}

// Has an operator of RESILIENT open a model's circuit, and returns the model.
export async function openCircuit(model) {
  await control(model, "force_open");
  return model;
}

async function control(name, action) {
  const [provider, model] = name.split("/");
  await fetchJson(`${RESILIENT_ADMIN}/circuits`, { key: ADMIN_KEY, order: { provider, model, action } });
}

// Makes a call, expects so many requests to RESILIENT and attempts at its provider, and returns what it returns.
export async function expectCalls(model, requests, attempts, call) {
  const begun = await callsBegun(RESILIENT_ADMIN);
  const seen = (await seenOf(model, RESILIENT_CALLS)).length;
  const returned = await call();
  expect((await callsBegun(RESILIENT_ADMIN)) - begun, requests, `the number of requests for ${model}`);
  expect((await seenOf(model, RESILIENT_CALLS)).length - seen, attempts, `the number of attempts at ${model}`);
  return returned;
}

// Makes a call, expects so many requests to ROUTED and attempts at each target, and returns what it returns.
export async function expectAsked(targets, attempts, call, requests = 1) {
  const count = () => Promise.all(targets.map(async (target) => (await seenOf(target, ROUTED_CALLS)).length));
  const [begun, before] = [await callsBegun(ROUTED_ADMIN), await count()];
  const returned = await call();
  expect((await callsBegun(ROUTED_ADMIN)) - begun, requests, "the number of requests");
  const asked = (await count()).map((after, at) => after - before[at]);
  expect(asked, attempts, `the number of attempts at ${targets.join(", ")}`);
  return returned;
}

// Has ROUTED read a configuration with `next` in place of `old` for the time of a call, and then the one as it was.
export async function reconfigured(old, next, call) {
  const config = await readFile(ROUTED_FILE, "utf8");
  assert.ok(config.includes(old), `${old} is not in the configuration`);
  await reload(config.replaceAll(old, next));
  try {
    await call();
  } finally {
    await reload(config);
  }
}

async function reload(config) {
  const taken = async () => (await fetchJson(`${ROUTED_ADMIN}/status`, { key: ADMIN_KEY })).reloads.taken;
  const before = await taken();
  await writeFile(ROUTED_FILE, config);
  process.kill(Number(ROUTED_PROCESS), "SIGHUP");
  for (let tries = 0; tries < 600; tries++) {
    if ((await taken()) > before) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error("the configuration was not taken within half a minute");
}

// Makes a call that fails, three times: the eighth failure, in the midst of the third call, opens the circuit.
export async function failUntilOpen(model, call) {
  await expectCalls(model, 3, 8, async () => {
    for (let calls = 0; calls < 3; calls++) await failure(call);
  });
}

// Expects RESILIENT to have left in the middle of each of its last attempts at a model.
export async function expectGivenUp(model, attempts) {
  const ends = (await seenOf(model, RESILIENT_CALLS)).slice(-attempts).map((call) => call.ended);
  expect(ends, Array(attempts).fill("caller left"), `the ends of ${model} as the provider saw them`);
}

// Expects these headers of an error: `kind` is x-llm-error-kind, and so on.
export function expectHeaders(headers, wanted) {
  const names = { kind: "x-llm-error-kind", origin: "x-llm-error-origin", shouldRetry: "x-should-retry" };
  for (const [name, value] of Object.entries(wanted)) {
    expect(new Headers(headers).get(names[name]), value, `the header ${names[name]}`);
  }
}

// Expects the headers of an answer to tell that the third target of SMART gave it.
export function expectSubstitute(answered, stream) {
  const headers = new Headers(answered);
  expect(headers.get("x-llm-served"), "substitute", "what served");
  expect(headers.get("x-llm-target"), SMART[2], "the target");
  expect(headers.get("x-llm-attempts"), "3", "the number of attempts that the gateway tells of");
  const [first, second, third] = SMART;
  // The head of a stream goes out before its end is known.
  const end = stream ? "" : ";end=complete";
  const attempts = [`"${first}";end=overloaded`, `"${second}";why=failover;end=overloaded`, `"${third}";why=failover${end}`];
  expect(headers.get("x-llm-trail"), attempts.join(", "), "the trail");
}

// Expects the headers of an answer to tell that it is none of a model's.
export function expectDegraded(answered) {
  const headers = new Headers(answered);
  expect(headers.get("x-llm-served"), "degraded", "what served");
  expect(headers.get("x-llm-attempts"), "3", "the number of attempts that the gateway tells of");
}

// Expects an error to list the attempts at DOWN, and to tell the shortest wait, and that waiting is the caller's.
export function expectAllDown(message, headers) {
  const ends = ["rate_limited", "overloaded", "rate_limited"];
  const listed = `attempts: ${DOWN.map((target, at) => `${target} ${ends[at]}`).join(", ")}`;
  assert.ok(message.includes(listed), `"${listed}" is not in "${message}"`);
  expectHeaders(headers, { kind: "rate_limited", origin: "upstream", shouldRetry: "false" });
  expect(new Headers(headers).get("retry-after"), "4", "the shortest wait");
  expect(new Headers(headers).get("x-llm-attempts"), "3", "the number of attempts that the gateway tells of");
}

// Expects the headers of an error to tell of an open circuit, and how long it is open for.
export function expectOpenCircuit(headers) {
  expectHeaders(headers, { kind: "circuit_open", origin: "gateway", shouldRetry: "true" });
  const seconds = Number(new Headers(headers).get("retry-after"));
  assert.ok(0 < seconds && seconds <= 120, `the circuit is open for ${seconds} s`);
}
