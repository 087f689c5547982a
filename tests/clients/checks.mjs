// What the Node scripts share: the list of checks, and the servers around the SDK under test.
//
//     node SCRIPT.mjs GATEWAY ADMIN CALLS KEYED PROVIDER...
//
// The arguments, and what a script prints, are those of checks.py.

import assert from "node:assert";

export const [GATEWAY, ADMIN, CALLS, KEYED, ...PROVIDERS] = process.argv.slice(2);
export const GOOD_KEY = "acme-test-key";
export const WRONG_KEYS = ["wrong-key", GOOD_KEY + "x", GOOD_KEY.slice(0, -1)];
const ADMIN_KEY = "clients-admin-key";
// The provider within the gateway's process: nothing is on the wire behind it.
const WITHIN = "simulated";
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

async function get(address, headers = {}) {
  const answer = await fetch(address, { headers });
  assert.ok(answer.ok, `${address} answered ${answer.status}`);
  return answer.json();
}

// How many calls the gateway has had, by how they ended, once this many are open.
export async function counts(areOpen = 0) {
  for (let tries = 0; tries < 600; tries++) {
    const { calls } = await get(`${ADMIN}/status`, { authorization: `Bearer ${ADMIN_KEY}` });
    if (calls.open === areOpen) return calls;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`there were not ${areOpen} calls open after half a minute`);
}

// How many calls have come through the gateway's doors, once none is open.
export async function callsBegun() {
  const calls = await counts();
  return calls.complete + calls.failed + calls.abandoned;
}

// Makes a call that is given up half-way, and expects gateway and provider to have noticed.
export async function expectLeft(model, call) {
  const before = (await counts()).abandoned;
  await call();
  expect((await counts()).abandoned, before + 1, "the number of calls given up");
  const [provider, name] = model.split("/");
  if (provider === WITHIN) return;
  const last = (await get(`${CALLS}/calls/${name}`)).at(-1);
  expect(last.ended, "caller left", `the end of ${model} as the provider saw it`);
  assert.ok(last.tokens < 200, `the provider had sent ${last.tokens} tokens by then`);
}
