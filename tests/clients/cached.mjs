// What the Node scripts check of CACHED. The answers are the cache's, and reading them is up to the SDK under test.

import assert from "node:assert";

import {
  CACHED_ADMIN,
  GOOD_KEY,
  answersKept,
  checkBehind,
  expect,
  expectCacheStatus,
  expectCached,
  failure,
  forgetAnswers,
  openCircuit,
  resetCircuit,
} from "./checks.mjs";

// Of another tenant than GOOD_KEY.
const ZETA_KEY = "zeta-test-key";

// Registers the checks of an SDK. `ask(model, key, { stream, tools, temperature, headers })` returns the headers of the
// answer, and what it said: `text`, the `reason` for its end, the `calls` of tools, each by its name and with parsed
// arguments, and `usage`, its tokens of input and output.
export function checkCache(ask) {
  const settled = (options) => ({ stream: false, tools: false, temperature: 0, headers: {}, ...options });

  // Asks, expects so many attempts and this of the cache, and returns what the answer said.
  async function asked(model, status, attempts, { key = GOOD_KEY, ...options } = {}) {
    const [headers, said] = await expectCached(model, attempts, () => ask(model, key, settled(options)));
    expectCacheStatus(headers, status);
    assert.ok(options.tools ? said.calls.length : said.text, "the answer is empty");
    assert.ok(said.usage.length === 2 && said.usage.every((tokens) => tokens > 0), `the usage is ${said.usage}`);
    if (status === "hit" && !options.stream) expect(Number(new Headers(headers).get("x-llm-cost-usd")), 0, "the cost");
    return said;
  }

  // Asks, expects the answer to be given again whole and as a stream, and returns what it said.
  async function expectGivenAgain(model, firstStreams, tools = false) {
    await forgetAnswers();
    const said = await asked(model, "miss", 1, { stream: firstStreams, tools });
    for (const stream of [false, true]) {
      expect(await asked(model, "hit", 0, { stream, tools }), said, `what is said again (stream: ${stream})`);
    }
    return said;
  }

  checkBehind("answer given again", (at) => expectGivenAgain(at("sim-chat"), false));

  checkBehind("stream given again", (at) => expectGivenAgain(at("sim-chat"), true));

  checkBehind("tool calls given again", async (at) => {
    for (const firstStreams of [false, true]) {
      const { calls } = await expectGivenAgain(at("sim-chat"), firstStreams, true);
      expect(calls.map(([name]) => name), ["get_weather", "get_time"], "the called tools");
      expect(calls.map(([, { city }]) => typeof city), ["string", "string"], "the types of the cities");
    }
  });

  checkBehind("answer that leaves no trace", async (at) => {
    await forgetAnswers();
    for (const stream of [false, true]) {
      await asked(at("sim-chat"), null, 1, { stream, headers: { "cache-control": "no-store" } });
      expect(await answersKept(), 0, "the number of answers that are kept");
    }
    await asked(at("sim-chat"), "miss", 1);
    expect(await answersKept(), 1, "the number of answers that are kept");
  });

  checkBehind("answers of another tenant", async (at) => {
    await forgetAnswers();
    for (const stream of [false, true]) {
      // What either of them has asked before is known to that one only.
      const [status, attempts] = stream ? ["hit", 0] : ["miss", 1];
      for (const key of [GOOD_KEY, ZETA_KEY]) await asked(at("sim-chat"), status, attempts, { key, stream });
    }
    expect(await answersKept(), 2, "the number of answers that are kept");
  });

  checkBehind("answers in an outage", async (at) => {
    await forgetAnswers();
    const model = await resetCircuit(at("sim-half-down"), CACHED_ADMIN);
    let said;
    for (const stream of [false, true]) {
      said = await asked(model, "miss", 1, { stream });
      // The provider fails now, and what has expired is better than that.
      expect(await asked(model, "stale", 1, { stream }), said, `what stands in (stream: ${stream})`);
    }
    await openCircuit(model, CACHED_ADMIN);
    for (const stream of [false, true]) {
      expect(await asked(model, "stale", 0, { stream }), said, `what stands in (stream: ${stream})`);
      // Of another tenant nothing is kept.
      const error = await expectCached(model, 0, () => failure(() => ask(model, ZETA_KEY, settled({ stream }))));
      expect(error.status ?? error.statusCode, 503, "the status");
    }
    await resetCircuit(model, CACHED_ADMIN);
  });

  checkBehind("answers that differ each time", async (at) => {
    await forgetAnswers();
    const model = at("sim-chat");
    const forced = { temperature: 1, headers: { "x-llm-cache": "force" } };
    for (const stream of [false, true]) await asked(model, null, 1, { stream, temperature: 1 });
    expect(await answersKept(), 0, "the number of answers that are kept");
    const said = await asked(model, "miss", 1, forced);
    for (const stream of [false, true]) {
      expect(await asked(model, "hit", 0, { stream, ...forced }), said, `what is said again (stream: ${stream})`);
    }
    // Who does not want it gets another.
    await asked(model, null, 1, { temperature: 1 });
  });
}
