// Vercel's AI SDK with its provider for OpenAI's chat models, unchanged, against the gateway. checks.py tells how it is
// called.

import assert from "node:assert";
import { createOpenAI } from "@ai-sdk/openai";
import { APICallError, Output, RetryError, embedMany, generateText, isStepCount, streamText, tool } from "ai";
import { z } from "zod";

import { checkCache } from "./cached.mjs";
import {
  BUDGETED,
  BUDGETED_ADMIN,
  BUDGETS,
  BUSY_KEY,
  CACHED,
  CACHED_CALLS,
  DOWN,
  FEW_KEY,
  GATEWAY,
  GOOD_KEY,
  KEYED,
  LATE,
  MALFORMED,
  MENDED,
  PNG,
  POOR_KEY,
  RESILIENT,
  RICH_KEY,
  ROUTED,
  ROUTED_ADMIN,
  SENSITIVE,
  SINGLE_KEY,
  SMALL_KEY,
  SMART,
  SORRY,
  SUPPORT_CHAT,
  THRIFTY,
  TOKEN,
  WRONG_KEYS,
  callsBegun,
  check,
  checkBehind,
  checkOnce,
  counts,
  expect,
  expectAllDown,
  expectAsked,
  expectBilled,
  expectCacheStatus,
  expectCached,
  expectCalls,
  expectCut,
  expectDegraded,
  expectGivenUp,
  expectHeaders,
  expectLeft,
  expectLimit,
  expectOpenCircuit,
  expectPartPaid,
  expectSetAside,
  expectSpent,
  expectSpentBudget,
  expectSubstitute,
  expectUnpriced,
  failUntilOpen,
  failure,
  forgetAnswers,
  forgetSpending,
  leftOfBudget,
  reconfigured,
  resetCircuit,
  run,
  seenOf,
  topUp,
  useUp,
} from "./checks.mjs";

const QUESTION = "Why is the sky blue?";
// The model calls every tool that is named.
const TOOL_QUESTION = "What are weather and time in Oslo?";
const City = z.object({ name: z.string(), inhabitants: z.number().int(), rivers: z.array(z.string()) });

const connect = (address, apiKey) => createOpenAI({ baseURL: `${address}/v1`, apiKey });
const openai = connect(GATEWAY, "any-key");
// Without retries: a check sees the first answer. Errors of a stream are read from it, and not printed besides.
const ask = (model, options = {}) => ({ model: openai.chat(model), prompt: QUESTION, maxRetries: 0, ...options });
const stream = (model, options = {}) => streamText({ onError: () => {}, ...ask(model, options) });
// Of the gateway with retries and circuits.
const resilient = connect(RESILIENT, "any-key");
const askResilient = (model, options = {}) => ask(model, { model: resilient.chat(model), ...options });
const streamResilient = (model, options = {}) => streamText({ onError: () => {}, ...askResilient(model, options) });
// Of the gateway with routes.
const routed = connect(ROUTED, GOOD_KEY);
const askRouted = (model, options = {}) => ask(model, { model: routed.chat(model), ...options });
const streamRouted = (model, options = {}) => streamText({ onError: () => {}, ...askRouted(model, options) });
// Of the gateway with budgets, with any of its keys.
const askBudgeted = (key, model, options = {}) => ask(model, { model: connect(BUDGETED, key).chat(model), ...options });
const streamBudgeted = (key, model, options) => streamText({ onError: () => {}, ...askBudgeted(key, model, options) });

// Reads a stream to its end.
async function read(streaming) {
  const all = { text: "", beginnings: 0, finishReasons: [], errors: [], calls: [], usage: undefined };
  for await (const part of streaming.fullStream) {
    if (part.type === "text-start") all.beginnings += 1;
    if (part.type === "text-delta") all.text += part.text;
    if (part.type === "tool-call") all.calls.push(part.toolName);
    if (part.type === "error") all.errors.push(part.error);
    if (part.type === "finish") {
      all.finishReasons.push(part.finishReason);
      all.usage = part.totalUsage;
    }
  }
  return all;
}

// Reads a stream to its end, after its headers.
async function readRaw(streaming) {
  const all = await read(streaming);
  return [(await streaming.response).headers, all];
}

function expectUsage(usage) {
  assert.ok(usage?.inputTokens > 0 && usage.outputTokens > 0, `the usage is ${JSON.stringify(usage)}`);
}

check("chat", async (at) => {
  const answer = await generateText(ask(at("sim-chat")));
  assert.ok(answer.text, "the answer is empty");
  expect(answer.finishReason, "stop", "the finish reason");
  expectUsage(answer.usage);
});

check("stream with usage", async (at) => {
  const all = await read(stream(at("sim-chat")));
  assert.ok(all.text, "the answer is empty");
  expect(all.errors, [], "the errors");
  expect(all.finishReasons, ["stop"], "the finish reasons");
  expectUsage(all.usage);
});

check("stream with a late start", async (at) => {
  const all = await read(stream(at("sim-late")));
  assert.ok(all.text, "the answer is empty");
  expect([all.errors, all.finishReasons], [[], ["stop"]], "the errors and finish reasons");
  // Its head has been sent by then, so the failure can only be told within the stream.
  const failed = await read(stream(at("sim-late-500")));
  expect([failed.text, failed.errors.length], ["", 1], "the text and number of errors");
});

const inCity = { inputSchema: z.object({ city: z.string() }) };
const tools = () => {
  const run = [];
  const answering = (name) => async ({ city }) => {
    run.push([name, typeof city]);
    return { celsius: 4 };
  };
  return {
    run,
    tools: {
      get_weather: tool({ description: "The weather in a city.", ...inCity, execute: answering("get_weather") }),
      get_time: tool({ description: "The time of day in a city.", ...inCity, execute: answering("get_time") }),
    },
  };
};

check("tool round trip", async (at) => {
  const { run, tools: offered } = tools();
  const options = { prompt: TOOL_QUESTION, tools: offered, stopWhen: isStepCount(3) };
  const answer = await generateText(ask(at("sim-chat"), options));
  expect(run.sort(), [["get_time", "string"], ["get_weather", "string"]], "what was run");
  expect(answer.steps.length, 2, "the number of steps");
  expect(answer.finishReason, "stop", "the finish reason after the tools' results");
  assert.ok(answer.text, "the answer after the tools' results is empty");
});

check("tool round trip in streams", async (at) => {
  const { run, tools: offered } = tools();
  const options = { prompt: TOOL_QUESTION, tools: offered, stopWhen: isStepCount(3) };
  const all = await read(stream(at("sim-chat"), options));
  expect(all.errors, [], "the errors");
  expect(run.sort(), [["get_time", "string"], ["get_weather", "string"]], "what was run");
  expect(all.calls.sort(), ["get_time", "get_weather"], "the called tools");
  assert.ok(all.text, "the answer after the tools' results is empty");
});

check("structured output", async (at) => {
  const { output } = await generateText(ask(at("sim-chat"), { output: Output.object({ schema: City }) }));
  City.parse(output);
});

check("structured output in a stream", async (at) => {
  const streaming = stream(at("sim-chat"), { output: Output.object({ schema: City }) });
  const all = await read(streaming);
  City.parse(JSON.parse(all.text));
  City.parse(await streaming.output);
});

check("vision", async (at) => {
  const image = { type: "file", mediaType: "image/png", data: PNG };
  const content = [{ type: "text", text: "What is this?" }, image];
  const options = { prompt: undefined, messages: [{ role: "user", content }] };
  assert.ok((await generateText(ask(at("sim-chat"), options))).text, "the answer is empty");
});

check("twenty streams at once", async (at) => {
  const one = () => read(stream(at("sim-chat")));
  for (const all of await Promise.all(Array.from({ length: 20 }, one))) {
    assert.ok(all.text, "an answer is empty");
    expect(all.finishReasons, ["stop"], "the finish reasons");
  }
});

check("cancel in mid stream", async (at) => {
  await expectLeft(at("sim-slow"), async () => {
    const controller = new AbortController();
    const streaming = stream(at("sim-slow"), { abortSignal: controller.signal });
    let chunks = 0;
    for await (const part of streaming.fullStream) {
      if (part.type === "text-delta" && ++chunks === 4) controller.abort();
    }
    assert.ok(chunks >= 4, `the stream ended after ${chunks} chunks`);
  });
});

check("cancel before the answer", async (at) => {
  await expectLeft(at("sim-hangs"), async () => {
    const controller = new AbortController();
    const ended = failure(() => generateText(ask(at("sim-hangs"), { abortSignal: controller.signal })));
    await counts(1);
    controller.abort();
    expect((await ended).name, "AbortError", "the error");
  });
});

// What a provider's failure becomes, and whether the SDK calls it one that may pass. It goes by the status alone.
const FAILURES = [
  ["sim-400", 400, false],
  ["sim-401", 502, true],
  ["sim-402", 429, true],
  ["sim-403", 502, true],
  ["sim-404", 404, false],
  ["sim-413", 413, false],
  ["sim-429", 429, true],
  ["sim-500", 502, true],
  ["sim-503", 503, true],
  ["sim-504", 504, true],
  ["sim-529", 503, true],
  ["sim-small", 400, false],
  ["sim-policy", 400, false],
  ["sim-no-answer", 502, true],
  ["sim-not-there", 404, false],
];

function expectCallError(error, status, mayPass, what) {
  assert.ok(APICallError.isInstance(error), `the error of ${what} is ${error?.stack ?? error}`);
  expect(error.statusCode, status, `the status of ${what}`);
  expect(error.isRetryable, mayPass, `whether ${what} may pass`);
  assert.ok(error.message && error.data?.error?.type, `the error of ${what} says too little`);
}

check("failures before content", async (at) => {
  for (const [model, status, mayPass] of FAILURES) {
    const error = await failure(() => generateText(ask(at(model))), model);
    expectCallError(error, status, mayPass, model);
    const all = await read(stream(at(model)));
    expect(all.errors.length, 1, `the number of errors in the stream of ${model}`);
    expectCallError(all.errors[0], status, mayPass, `the stream of ${model}`);
    expect(all.text, "", `the answer of ${model}`);
  }
});

check("failures in mid stream", async (at) => {
  for (const model of ["sim-cut", "sim-reset", "sim-ends", "sim-garbage", "sim-error"]) {
    const streaming = stream(at(model));
    const all = await read(streaming);
    expect(all.errors.length, 1, `the number of errors in the stream of ${model}`);
    assert.ok(!all.finishReasons.includes("stop"), `the stream of ${model} has the end of a good answer`);
  }
});

check("a cut answer is no answer", async (at) => {
  for (const model of ["sim-cut", "sim-reset", "sim-ends", "sim-garbage", "sim-error"]) {
    expectCallError(await failure(() => generateText(ask(at(model))), model), 502, true, model);
  }
});

check("embeddings", async (at) => {
  const call = () =>
    embedMany({ model: openai.embedding(at("sim-embed")), values: ["the sky", "the sea"], maxRetries: 0 });
  if (at("").startsWith("over-anthropic")) {
    // Anthropic has no embeddings, so its provider refuses them as a fault of the request.
    expectCallError(await failure(call), 400, false, "embeddings");
    return;
  }
  const { embeddings, usage } = await call();
  expect(embeddings.map((embedding) => embedding.length), [64, 64], "the number of dimensions");
  assert.notDeepStrictEqual(embeddings[0], embeddings[1], "two texts have one embedding");
  assert.ok(usage.tokens > 0, "the input has no tokens");
});

checkOnce("retries that help", async (at) => {
  // Two refusals that ask for a second each, then an answer.
  const before = await callsBegun();
  const answer = await generateText(ask(at("sim-third-time"), { maxRetries: 2 }));
  assert.ok(answer.text, "the answer is empty");
  expect((await callsBegun()) - before, 3, "the number of requests");
});

checkOnce("retries only where they may help", async (at) => {
  for (const [model, wanted] of Object.entries({ "sim-400": 1, "sim-404": 1, "sim-413": 1, "sim-small": 1 })) {
    const before = await callsBegun();
    await failure(() => generateText(ask(at(model), { maxRetries: 2 })), model);
    expect((await callsBegun()) - before, wanted, `the number of requests to ${model}`);
  }
  const before = await callsBegun();
  const error = await failure(() => generateText(ask(at("sim-429"), { maxRetries: 2 })));
  assert.ok(RetryError.isInstance(error), `the error is ${error}`);
  expect(error.reason, "maxRetriesExceeded", "the reason");
  expect((await callsBegun()) - before, 3, "the number of requests to sim-429");
});

checkBehind("failures that the gateway mends", async (at) => {
  for (const name of MENDED) {
    const model = await resetCircuit(at(name));
    const answer = await expectCalls(model, 1, 3, () => generateText(askResilient(model)));
    expect(answer.response.headers["x-llm-attempts"], "3", "the number of attempts that the gateway tells of");
    assert.ok(answer.text, `the answer of ${model} is empty`);
    expectUsage(answer.usage);
  }
});

checkBehind("streams that the gateway mends", async (at) => {
  for (const name of MENDED) {
    const model = await resetCircuit(at(name));
    const all = await expectCalls(model, 1, 3, () => read(streamResilient(model)));
    assert.ok(all.text, `the answer of ${model} is empty`);
    // Nothing is left of the streams that failed.
    expect([all.beginnings, all.errors, all.finishReasons], [1, [], ["stop"]], `the course of ${model}`);
  }
});

checkBehind("failures that nobody mends", async (at) => {
  // The SDK does not heed that the gateway has tried as often as makes sense: it goes by the status alone. What bounds
  // the attempts is the circuit, which the eighth failure opens.
  const model = await resetCircuit(at("sim-500"));
  const call = () => failure(() => generateText(askResilient(model, { maxRetries: 2 })));
  const error = await expectCalls(model, 3, 8, call);
  assert.ok(RetryError.isInstance(error), `the error is ${error}`);
  expect(error.errors.length, 3, "the number of errors");
  for (const failed of error.errors) {
    expectCallError(failed, 502, true, "the call");
    expectHeaders(failed.responseHeaders, { kind: "server", origin: "upstream", shouldRetry: "false" });
  }
});

checkBehind("answers that do not come", async (at) => {
  for (const [name, streams, kind] of LATE) {
    const model = await resetCircuit(at(name));
    const call = async () =>
      streams ? (await read(streamResilient(model))).errors[0] : failure(() => generateText(askResilient(model)));
    const error = await expectCalls(model, 1, 3, call);
    expectCallError(error, 504, true, model);
    expectHeaders(error.responseHeaders, { kind, origin: "upstream", shouldRetry: "false" });
    await expectGivenUp(model, 3);
  }
});

checkBehind("circuit that opens", async (at) => {
  const model = await resetCircuit(at("sim-down"));
  const call = () => generateText(askResilient(model));
  await failUntilOpen(model, call);
  const error = await expectCalls(model, 1, 0, () => failure(call));
  expectCallError(error, 503, true, model);
  expectOpenCircuit(error.responseHeaders);
  const all = await expectCalls(model, 1, 0, () => read(streamResilient(model)));
  expectCallError(all.errors[0], 503, true, `the stream of ${model}`);
  expectOpenCircuit(all.errors[0].responseHeaders);
});

checkBehind("circuit that closes", async (at) => {
  const model = await resetCircuit(at("sim-comes-back"));
  await failUntilOpen(model, () => generateText(askResilient(model)));
  // Refused at first, the SDK waits for as long as it is told, and is the first whom the circuit lets through.
  const answer = await expectCalls(model, 2, 1, () => generateText(askResilient(model, { maxRetries: 2 })));
  assert.ok(answer.text, "the answer is empty");
});

checkOnce("substitute for two that are down", async () => {
  const answer = await expectAsked(SMART, [1, 1, 1], () => generateText(askRouted("smart")));
  expectSubstitute(answer.response.headers, false);
  assert.ok(answer.text, "the answer is empty");
  expect(answer.finishReason, "stop", "the finish reason");
  expectUsage(answer.usage);
});

checkOnce("substitute in a stream", async () => {
  const [headers, all] = await expectAsked(SMART, [1, 1, 1], () => readRaw(streamRouted("smart")));
  expectSubstitute(headers, true);
  assert.ok(all.text, "the answer is empty");
  // Nothing is left of those that are down.
  expect([all.beginnings, all.errors, all.finishReasons], [1, [], ["stop"]], "the course");
  expectUsage(all.usage);
});

checkOnce("substitute that calls tools", async () => {
  // One step, which ends with the calls.
  const offered = () => ({ prompt: TOOL_QUESTION, tools: tools().tools, stopWhen: isStepCount(1) });
  const answer = await expectAsked(SMART, [1, 1, 1], () => generateText(askRouted("smart", offered())));
  expectSubstitute(answer.response.headers, false);
  expect(answer.toolCalls.map((call) => call.toolName), ["get_weather", "get_time"], "the called tools");
  expect(answer.finishReason, "tool-calls", "the finish reason");
  for (const { input } of answer.toolCalls) expect(typeof input.city, "string", "the type of the city");
  const [headers, all] = await expectAsked(SMART, [1, 1, 1], () => readRaw(streamRouted("smart", offered())));
  expectSubstitute(headers, true);
  expect(all.calls, ["get_weather", "get_time"], "the called tools of the stream");
  expect([all.errors, all.finishReasons], [[], ["tool-calls"]], "the errors and finish reasons");
});

checkOnce("message when all are down", async () => {
  const options = { headers: SUPPORT_CHAT };
  const answer = await expectAsked(DOWN, [1, 1, 1], () => generateText(askRouted("down", options)));
  expectDegraded(answer.response.headers);
  expect([answer.text, answer.finishReason], [SORRY, "stop"], "the text and finish reason");
  const [headers, all] = await expectAsked(DOWN, [1, 1, 1], () => readRaw(streamRouted("down", options)));
  expectDegraded(headers);
  expect([all.text, all.errors, all.finishReasons], [SORRY, [], ["stop"]], "the course of the stream");
});

checkOnce("error when all are down", async () => {
  // Without retries: the SDK would come back whatever it is told, as with failures that nobody mends.
  const whole = () => failure(() => generateText(askRouted("down")));
  const inStream = async () => (await read(streamRouted("down"))).errors[0];
  for (const call of [whole, inStream]) {
    const error = await expectAsked(DOWN, [1, 1, 1], call);
    expectCallError(error, 429, true, "the call");
    expectAllDown(error.message, error.responseHeaders);
  }
});

checkOnce("sensitive requests stay in the house", async () => {
  const options = { headers: SENSITIVE };
  const whole = async () => (await generateText(askRouted("smart", options))).response.headers;
  const inStream = async () => (await readRaw(streamRouted("smart", options)))[0];
  for (const call of [whole, inStream]) {
    const headers = await expectAsked(SMART, [0, 0, 1], call);
    expect([headers["x-llm-target"], headers["x-llm-attempts"]], [SMART[2], "1"], "the target and the attempts");
  }
  const call = () => failure(() => generateText(askRouted(SMART[0], options)));
  const error = await expectAsked(SMART, [0, 0, 0], call);
  expectCallError(error, 503, true, "the call");
  expectHeaders(error.responseHeaders, { kind: "no_route", origin: "gateway", shouldRetry: "false" });
});

checkOnce("key for some models", async () => {
  const small = connect(ROUTED, SMALL_KEY);
  const call = (model) => () => generateText(ask(model, { model: small.chat(model), maxRetries: 2 }));
  for (const model of SMART.slice(0, 2)) {
    const error = await expectAsked(SMART, [0, 0, 0], () => failure(call(model)));
    expectCallError(error, 403, false, model);
    expectHeaders(error.responseHeaders, { kind: "forbidden", origin: "caller", shouldRetry: "false" });
  }
  // Of a route it gets what it is good for.
  const answer = await expectAsked(SMART, [0, 0, 1], call("smart"));
  expect(answer.response.headers["x-llm-target"], SMART[2], "the target");
});

checkOnce("malformed hints", async () => {
  for (const [name, value] of Object.entries(MALFORMED)) {
    const options = { headers: { [name]: value }, maxRetries: 2 };
    const call = () => failure(() => generateText(askRouted("smart", options)));
    // It does not come through the doors.
    const error = await expectAsked(SMART, [0, 0, 0], call, 0);
    expectCallError(error, 400, false, name);
    assert.ok(error.message.includes(`${name}: expected`), `the error does not name ${name}: ${error.message}`);
  }
});

checkOnce("configuration read again in mid stream", async () => {
  let ended;
  await new Promise((begun) => {
    ended = read(streamRouted("local/sim-slow", { onChunk: begun }));
  });
  await reconfigured("[router.routes.smart]", "[router.routes.clever]", async () => {
    assert.ok((await generateText(askRouted("clever"))).text, "the answer is empty");
    expectCallError(await failure(() => generateText(askRouted("smart"))), 404, false, "the call");
    // The stream is still open.
    await counts(1, ROUTED_ADMIN);
    const all = await ended;
    assert.ok(all.text, "the answer is empty");
    expect([all.errors, all.finishReasons], [[], ["stop"]], "the errors and finish reasons");
  });
});

// Calls, whole and as a stream, and returns the errors.
const failures = (key, model, options) => [
  () => failure(() => generateText(askBudgeted(key, model, options))),
  async () => (await read(streamBudgeted(key, model, options))).errors[0],
];

checkBehind("budget that is spent", async (at) => {
  await forgetSpending("poor");
  const [model, options] = [at("sim-chat"), { maxOutputTokens: 30, maxRetries: 2 }];
  const spend = () => generateText(askBudgeted(POOR_KEY, model, options));
  await expectSpent("poor", (await expectBilled([model], [1], spend)).usage.totalTokens);
  for (const call of failures(POOR_KEY, model, options)) {
    // The SDK goes by the status, and does not come back.
    const error = await expectBilled([model], [0], call);
    expectCallError(error, 402, false, model);
    expect(error.data.error.code, "budget_exceeded", "the code");
    expectSpentBudget(error.message, error.responseHeaders);
  }
  assert.ok((await generateText(askBudgeted(RICH_KEY, model))).text, "another tenant's answer is empty");
  await topUp("poor", "0.0001");
  assert.ok((await spend()).text, "the answer is empty");
});

checkBehind("stream that the budget cuts", async (at) => {
  const model = at("sim-long");
  await forgetSpending("poor");
  const all = await expectBilled([model], [1], () => read(streamBudgeted(POOR_KEY, model, { maxRetries: 2 })));
  assert.ok(all.text, "nothing came before the error");
  expect([all.errors.length, all.finishReasons], [1, ["error"]], "the number of errors, and the finish reasons");
  expectCut(`${all.errors[0]?.message}`);
  await expectPartPaid("poor", model);
});

checkBehind("leaving half-way is paid for", async (at) => {
  const model = at("sim-slow");
  await forgetSpending("rich");
  const controller = new AbortController();
  let chunks = 0;
  for await (const part of streamBudgeted(RICH_KEY, model, { abortSignal: controller.signal }).fullStream) {
    if (part.type !== "text-delta" || ++chunks !== 4) continue;
    await expectSetAside("rich");
    controller.abort();
  }
  assert.ok(chunks >= 4, `the stream ended after ${chunks} chunks`);
  await expectPartPaid("rich", model);
});

checkBehind("model without a price", async (at) => {
  const model = at("sim-unpriced");
  for (const call of failures(RICH_KEY, model, { maxRetries: 2 })) {
    const error = await expectBilled([model], [0], call);
    expectCallError(error, 402, false, model);
    expectUnpriced(model, error.message, error.responseHeaders);
  }
});

checkBehind("what is left of a budget", async (at) => {
  await forgetSpending("rich");
  const answer = await generateText(askBudgeted(RICH_KEY, at("sim-chat")));
  const used = answer.usage.totalTokens;
  const left = leftOfBudget("rich", answer.response.headers);
  expect(left, BUDGETS.rich[1] - used * TOKEN, "what is left after an answer");
  const [headers, all] = await readRaw(streamBudgeted(RICH_KEY, at("sim-chat")));
  assert.ok(leftOfBudget("rich", headers) < left, "nothing was set aside when the stream began");
  await expectSpent("rich", used + all.usage.totalTokens);
});

checkOnce("cheap model instead of a dear one", async () => {
  await forgetSpending("poor");
  const call = () => generateText(askBudgeted(POOR_KEY, "thrifty", { maxOutputTokens: 30 }));
  const { response, usage } = await expectBilled(THRIFTY, [0, 1], call);
  const told = [response.headers["x-llm-target"], response.headers["x-llm-attempts"]];
  expect(told, [THRIFTY[1], "1"], "the target and the attempts");
  await expectSpent("poor", usage.totalTokens);
});

checkOnce("what is left of a limit", async () => {
  const model = THRIFTY[1];
  const told = (headers) => ["limit", "remaining"].map((what) => headers[`x-ratelimit-${what}-requests`]);
  const whole = async () => (await generateText(askBudgeted(FEW_KEY, model))).response.headers;
  const inStream = async () => (await readRaw(streamBudgeted(FEW_KEY, model)))[0];
  for (const [call, left] of [[whole, "1"], [inStream, "0"]]) {
    expect(told(await call()), ["2", left], "the limit and what is left of it");
  }
  for (const call of failures(FEW_KEY, model)) {
    const error = await expectBilled([model], [0], call);
    expectCallError(error, 429, true, model);
    expectLimit("few-calls", 30, error.message, error.responseHeaders);
    expect(told(error.responseHeaders), ["2", "0"], "the limit and what is left of it");
  }
});

checkOnce("limit that is waited for", async () => {
  const [model, options] = [THRIFTY[1], { maxRetries: 2 }];
  await useUp(BUSY_KEY);
  const whole = async () => (await generateText(askBudgeted(BUSY_KEY, model, options))).text;
  const inStream = async () => (await read(streamBudgeted(BUSY_KEY, model, options))).text;
  for (const call of [whole, inStream]) {
    // Left to itself the SDK would be back too early.
    assert.ok(await expectBilled([model], [1], call, 2), "the answer is empty");
  }
});

checkOnce("one stream at a time", async () => {
  const controller = new AbortController();
  let ended;
  await new Promise((begun) => {
    const onChunk = ({ chunk }) => chunk.type === "text-delta" && begun();
    const options = { onChunk, abortSignal: controller.signal };
    ended = read(streamBudgeted(SINGLE_KEY, "over-openai/sim-slow", options));
  });
  const error = await failure(() => generateText(askBudgeted(SINGLE_KEY, THRIFTY[1])));
  expectCallError(error, 429, true, "the call");
  expectLimit("one-at-a-time", null, error.message, error.responseHeaders);
  controller.abort();
  await ended;
  await counts(0, BUDGETED_ADMIN);
  assert.ok((await generateText(askBudgeted(SINGLE_KEY, THRIFTY[1]))).text, "the answer is empty");
});

checkCache(async (model, key, { stream, tools: offersTools, ...options }) => {
  // One step, which ends with the calls.
  const offered = offersTools ? { prompt: TOOL_QUESTION, tools: tools().tools, stopWhen: isStepCount(1) } : {};
  const asked = ask(model, { model: connect(CACHED, key).chat(model), ...options, ...offered });
  let failed;
  const answer = stream ? streamText({ onError: ({ error }) => (failed = error), ...asked }) : await generateText(asked);
  if (stream) await answer.consumeStream({ onError: (error) => (failed = error) });
  if (failed) throw failed;
  const calls = (await answer.toolCalls).map(({ toolName, input }) => [toolName, input]);
  const { inputTokens, outputTokens } = await answer.usage;
  const said = { text: await answer.text, reason: await answer.finishReason, calls, usage: [inputTokens, outputTokens] };
  return [(await answer.response).headers, said];
});

checkOnce("embeddings of which one is known", async () => {
  const name = "over-openai/sim-embed";
  const model = connect(CACHED, GOOD_KEY).embedding(name);
  // Expects so many attempts and this of the cache, and returns the vector of each text.
  const embed = async (status, attempts, values) => {
    const call = () => embedMany({ model, values, maxRetries: 0 });
    const { embeddings, usage, responses } = await expectCached(name, attempts, call);
    expectCacheStatus(responses[0].headers, status);
    assert.ok(usage.tokens > 0, "the input has no tokens");
    return embeddings;
  };
  await forgetAnswers();
  const [known] = await embed("miss", 1, ["the sea"]);
  const allThree = await embed("miss", 1, ["the sky", "the sea", "the wind"]);
  const { inputs } = (await seenOf(name, CACHED_CALLS)).at(-1);
  expect(inputs, 2, "the number of texts that the provider was asked for");
  expect(allThree[1], known, "the vector of the text that is known");
  expect(new Set(allThree.map(String)).size, 3, "the number of different vectors");
  const again = await embed("hit", 0, ["the wind", "the sea", "the sky"]);
  expect(again, allThree.toReversed(), "the vectors of texts that are known");
});

checkOnce("provider out of reach", async () => {
  expectCallError(await failure(() => generateText(ask("nobody/nothing"))), 502, true, "the call");
});

checkOnce("wrong key", async () => {
  for (const key of WRONG_KEYS) {
    const model = connect(KEYED, key).chat("sim-chat");
    const error = await failure(() => generateText({ model, prompt: QUESTION, maxRetries: 0 }));
    expectCallError(error, 401, false, "the call");
    assert.ok(!`${error}${error.responseBody}`.includes(key), "the error repeats the key");
  }
});

checkOnce("right key", async () => {
  const model = connect(KEYED, GOOD_KEY).chat("sim-chat");
  assert.ok((await generateText({ model, prompt: QUESTION, maxRetries: 0 })).text, "the answer is empty");
});

checkOnce("too large a request", async () => {
  const call = () => generateText(ask("sim-chat", { prompt: "a".repeat(2_000_000) }));
  expectCallError(await failure(call), 413, false, "the call");
});

checkOnce("unknown model", async () => {
  expectCallError(await failure(() => generateText(ask("no-such-model"))), 404, false, "the call");
});

await run();
