// What the Node scripts share: the list of checks, and the servers around the SDK under test.
//
//     node SCRIPT.mjs GATEWAY ADMIN CALLS KEYED RESILIENT RESILIENT_ADMIN RESILIENT_CALLS
//         ROUTED ROUTED_ADMIN ROUTED_CALLS ROUTED_FILE ROUTED_PROCESS
//         BUDGETED BUDGETED_ADMIN BUDGETED_CALLS CACHED CACHED_ADMIN CACHED_CALLS PROVIDER...
//
// The arguments, and what a script prints, are those of checks.py.

import assert from "node:assert";
import { readFile, writeFile } from "node:fs/promises";

export const [GATEWAY, ADMIN, CALLS, KEYED, RESILIENT, RESILIENT_ADMIN, RESILIENT_CALLS, ...more] =
  process.argv.slice(2);
export const [ROUTED, ROUTED_ADMIN, ROUTED_CALLS, ROUTED_FILE, ROUTED_PROCESS, ...evenMore] = more;
export const [BUDGETED, BUDGETED_ADMIN, BUDGETED_CALLS, CACHED, CACHED_ADMIN, CACHED_CALLS, ...PROVIDERS] = evenMore;
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
// Keys of BUDGETED. The first tenant has money for everything, and the second for one answer of 30 tokens.
export const RICH_KEY = "rich-test-key";
export const POOR_KEY = "poor-test-key";
// More of the first tenant's: for two calls, for one every three seconds once twenty are used up, and for one at a time.
export const FEW_KEY = "few-test-key";
export const BUSY_KEY = "busy-test-key";
export const SINGLE_KEY = "single-test-key";
// The budgets of the tenants, and how much is in them, in nano-dollars, as are all amounts here.
export const BUDGETS = { rich: ["per-tenant", 1_000_000_000], poor: ["pocket-money", 64_000] };
// What a token costs.
export const TOKEN = 1_000;
// The budgets' window of an hour is kept by the minute.
const LONGEST_RESET = 3_660;
// The targets of BUDGETED's route `thrifty`, of which `poor` can pay the second.
export const THRIFTY = ["over-openai/sim-dear", "over-anthropic/sim-chat"];
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
export async function seenOf(model, calls = CALLS) {
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

// Has an operator reset a model's circuit, whatever other checks made of it, and returns the model.
export async function resetCircuit(model, admin = RESILIENT_ADMIN) {
  await control(model, "reset", admin);
  return model;
}

// Has an operator open a model's circuit, and returns the model.
export async function openCircuit(model, admin = RESILIENT_ADMIN) {
  await control(model, "force_open", admin);
  return model;
}

async function control(name, action, admin) {
  const [provider, model] = name.split("/");
  await fetchJson(`${admin}/circuits`, { key: ADMIN_KEY, order: { provider, model, action } });
}

// Makes a call, expects so many requests to ROUTED and attempts at each target, and returns what it returns.
export async function expectAsked(targets, attempts, call, requests = 1, admin = ROUTED_ADMIN, calls = ROUTED_CALLS) {
  const count = () => Promise.all(targets.map(async (target) => (await seenOf(target, calls)).length));
  const [begun, before] = [await callsBegun(admin), await count()];
  const returned = await call();
  expect((await callsBegun(admin)) - begun, requests, `the number of requests for ${targets.join(", ")}`);
  const asked = (await count()).map((after, at) => after - before[at]);
  expect(asked, attempts, `the number of attempts at ${targets.join(", ")}`);
  return returned;
}

// The same of RESILIENT and one model.
export function expectCalls(model, requests, attempts, call) {
  return expectAsked([model], [attempts], call, requests, RESILIENT_ADMIN, RESILIENT_CALLS);
}

// The same of BUDGETED.
export function expectBilled(targets, attempts, call, requests = 1) {
  return expectAsked(targets, attempts, call, requests, BUDGETED_ADMIN, BUDGETED_CALLS);
}

// The same of CACHED and one model.
export function expectCached(model, attempts, call) {
  return expectAsked([model], [attempts], call, 1, CACHED_ADMIN, CACHED_CALLS);
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

// Has an operator of BUDGETED reset the account of a tenant, whatever other checks have spent.
export function forgetSpending(tenant) {
  return changeAccount(tenant, { action: "reset" });
}

// Has an operator of BUDGETED add to the account of a tenant.
export function topUp(tenant, usd) {
  return changeAccount(tenant, { action: "top_up", usd });
}

async function changeAccount(tenant, change) {
  const [budget] = BUDGETS[tenant];
  // Calls that are still open would be settled later.
  await counts(0, BUDGETED_ADMIN);
  await fetchJson(`${BUDGETED_ADMIN}/spend`, { key: ADMIN_KEY, order: { budget, tenant, ...change } });
}

// What a tenant of BUDGETED has spent, has set aside and owes, once this many calls are open.
async function spending(tenant, areOpen = 0) {
  await counts(areOpen, BUDGETED_ADMIN);
  const { accounts } = await fetchJson(`${BUDGETED_ADMIN}/spend?tenant=${tenant}`, { key: ADMIN_KEY });
  expect([accounts.length, accounts[0]?.windows.length], [1, 1], `the number of accounts of ${tenant} and their windows`);
  const [window] = accounts[0].windows;
  return [window.spent_usd, window.reserved_usd, window.debt_usd].map(nanos);
}

const nanos = (dollars) => Math.round(Number(dollars) * 1_000_000_000);

// Expects a tenant to have paid for exactly so many tokens, and nothing to be set aside.
export async function expectSpent(tenant, tokens) {
  expect(await spending(tenant), [tokens * TOKEN, 0, 0], `what ${tenant} has spent, has set aside and owes`);
}

// Expects a tenant to have one call under way, for which money is set aside, and nothing spent yet.
export async function expectSetAside(tenant) {
  const [spent, reserved, debt] = await spending(tenant, 1);
  expect([spent, debt], [0, 0], `what ${tenant} has spent and owes`);
  assert.ok(reserved > 0, "nothing is set aside");
}

// Expects a tenant to have paid for what came of a stream that ended half-way, and its provider to have noticed.
export async function expectPartPaid(tenant, model) {
  const [spent, reserved, debt] = await spending(tenant);
  expect([reserved, debt], [0, 0], `what ${tenant} has set aside and owes`);
  const seen = (await seenOf(model, BUDGETED_CALLS)).at(-1);
  expect(seen.ended, "caller left", `the end of ${model} as the provider saw it`);
  // The whole of it would be two thousand tokens.
  assert.ok(0 < spent && spent < 500 * TOKEN && seen.tokens < 500, `${spent} was spent on ${seen.tokens} tokens`);
}

// What is left of a tenant's budget, as the headers of an answer tell.
export function leftOfBudget(tenant, headers) {
  const told = new Headers(headers).get("x-llm-budget");
  const [, name, left, cap, reset] = told?.match(/^"([^"]*)";left="([^"]*)";cap="([^"]*)";reset=([0-9]+)$/) ?? [];
  expect([name, nanos(cap)], BUDGETS[tenant], `the budget and its cap in ${told}`);
  assert.ok(Number(reset) <= LONGEST_RESET, `all of it is there again in ${reset} s`);
  return nanos(left);
}

// Expects an error to say that the budget of `poor` is spent, and until when, and not to come back before.
export function expectSpentBudget(message, headers) {
  const [budget, cap] = BUDGETS.poor;
  assert.ok(message.includes(`the budget \`${budget}\` has $`), `the error does not name the budget: ${message}`);
  expectHeaders(headers, { kind: "budget_exceeded", origin: "gateway", shouldRetry: "false" });
  expect(new Headers(headers).get("x-llm-attempts"), "0", "the number of attempts that the gateway tells of");
  const seconds = Number(new Headers(headers).get("retry-after"));
  assert.ok(0 < seconds && seconds <= LONGEST_RESET, `it is there again in ${seconds} s`);
  const left = leftOfBudget("poor", headers);
  assert.ok(0 < left && left < cap, "what is left is all or nothing");
}

// Expects an error within a stream to say that the budget of `poor` has cut it.
export function expectCut(message) {
  const [budget] = BUDGETS.poor;
  const sentence = `the answer was cut: the budget \`${budget}\` has $`;
  assert.ok(message.includes(sentence), `the error says: ${message}`);
}

// Expects an error to say that a model has no price, and whom that keeps from using it.
export function expectUnpriced(model, message, headers) {
  const [budget] = BUDGETS.rich;
  const sentence = `the price of \`${model}\` is not known, and the budget \`${budget}\` needs it`;
  assert.ok(message.includes(sentence), `the error says: ${message}`);
  expectHeaders(headers, { kind: "budget_exceeded", origin: "gateway", shouldRetry: "false" });
  expect(new Headers(headers).get("retry-after"), null, "the wait that would not help");
}

// Expects an error to say which limit is reached, and that waiting helps, and for how long if anybody knows.
export function expectLimit(limit, longestWait, message, headers) {
  assert.ok(message.includes(`the limit \`${limit}\` is reached`), `the error does not name the limit: ${message}`);
  expectHeaders(headers, { kind: "limit_exceeded", origin: "gateway", shouldRetry: "true" });
  expect(new Headers(headers).get("x-llm-attempts"), "0", "the number of attempts that the gateway tells of");
  const wait = new Headers(headers).get("retry-after");
  if (longestWait === null) {
    expect(wait, null, "the wait that nobody knows");
  } else {
    assert.ok(0 < Number(wait) && Number(wait) <= longestWait, `the wait is ${wait} s`);
  }
}

// Has an operator of CACHED make it forget every answer, whatever other checks have asked.
export async function forgetAnswers() {
  // Calls that are still open would be kept later.
  await counts(0, CACHED_ADMIN);
  await fetchJson(`${CACHED_ADMIN}/cache`, { key: ADMIN_KEY, order: { invalidate: "all" } });
}

// How many answers CACHED keeps, once no call is open.
export async function answersKept() {
  await counts(0, CACHED_ADMIN);
  return (await fetchJson(`${CACHED_ADMIN}/cache`, { key: ADMIN_KEY })).entries;
}

// Expects the headers of an answer to tell what the cache had to do with it, and how old it is if it was kept.
export function expectCacheStatus(answered, status) {
  const headers = new Headers(answered);
  expect(headers.get("x-llm-cache"), status, "what the cache says");
  const age = headers.get("age");
  if (["hit", "stale"].includes(status)) {
    assert.ok(/^[0-9]+$/.test(age) && Number(age) < 60, `the age is ${age}`);
  } else {
    expect(age, null, "the age of an answer that is new");
  }
}

// Makes calls of BUDGETED with a key until it has reached its limit.
export async function useUp(key) {
  const body = JSON.stringify({ model: "simulated/sim-chat", messages: [{ role: "user", content: "Why?" }] });
  const headers = { "x-api-key": key, "content-type": "application/json" };
  for (let calls = 0; calls < 100; calls++) {
    // Counting is free, and a call like any other.
    const answer = await fetch(`${BUDGETED}/v1/messages/count_tokens`, { method: "POST", headers, body });
    await answer.arrayBuffer();
    if (answer.ok) continue;
    expect(answer.status, 429, "the status of a call too many");
    return;
  }
  throw new Error("a hundred calls have not reached the limit");
}
