// The official Node client for OpenAI, unchanged, against the gateway. checks.py tells how it is called.

import assert from "node:assert";
import OpenAI from "openai";
import { zodResponseFormat } from "openai/helpers/zod";
import { ChatCompletionStream } from "openai/lib/ChatCompletionStream";
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
  expectTimeout,
  expectUnpriced,
  failUntilOpen,
  failure,
  forgetAnswers,
  forgetSpending,
  leftOfBudget,
  openCircuit,
  raises,
  reconfigured,
  refused,
  resetCircuit,
  run,
  seenOf,
  topUp,
  useUp,
} from "./checks.mjs";

const QUESTION = [{ role: "user", content: "Why is the sky blue?" }];
// The model calls every tool that is named.
const TOOL_QUESTION = [{ role: "user", content: "What are weather and time in Oslo?" }];

const tool = (name, description) => ({
  type: "function",
  function: {
    name,
    description,
    parameters: {
      type: "object",
      properties: { city: { type: "string" } },
      required: ["city"],
      additionalProperties: false,
    },
  },
});
const TOOLS = [tool("get_weather", "The weather in a city."), tool("get_time", "The time of day in a city.")];
const City = z.object({ name: z.string(), inhabitants: z.number().int(), rivers: z.array(z.string()) });

// Without retries: a check sees the first answer.
const connect = (options = {}) =>
  new OpenAI({ baseURL: `${GATEWAY}/v1`, apiKey: "any-key", maxRetries: 0, timeout: 30_000, ...options });
const client = connect();
// Of the gateway with retries and circuits: a client that leaves retries to it, and one with its own.
const leaving = connect({ baseURL: `${RESILIENT}/v1` });
const retrying = connect({ baseURL: `${RESILIENT}/v1`, maxRetries: 2 });
// Of the gateway with routes, and with retries of its own.
const routing = connect({ baseURL: `${ROUTED}/v1`, apiKey: GOOD_KEY, maxRetries: 2 });
// Of the gateway with budgets: of any key, and of either tenant with retries of their own.
const connectBudgeted = (apiKey, maxRetries = 0) => connect({ baseURL: `${BUDGETED}/v1`, apiKey, maxRetries });
const rich = connectBudgeted(RICH_KEY, 2);
const poor = connectBudgeted(POOR_KEY, 2);

const askWith = (asking, model, options = {}, requestOptions = {}) =>
  asking.chat.completions.create({ model, messages: QUESTION, ...options }, requestOptions);
const ask = (model, options, requestOptions) => askWith(client, model, options, requestOptions);

// Reads a stream to its end: the text, the finish reasons and the usages of its chunks.
async function read(stream) {
  const all = { text: "", finishReasons: [], usages: [] };
  for await (const chunk of stream) {
    expect(chunk.object, "chat.completion.chunk", "the object");
    if (chunk.usage) all.usages.push(chunk.usage);
    for (const choice of chunk.choices) {
      all.text += choice.delta.content ?? "";
      if (choice.finish_reason) all.finishReasons.push(choice.finish_reason);
    }
  }
  return all;
}

// Asks, and returns the headers and the answer; the chunks, once the last has come, if a stream is asked for.
async function askRaw(asking, model, options = {}, headers = {}) {
  const { data, response } = await askWith(asking, model, options, { headers }).withResponse();
  if (!options.stream) return [response.headers, data];
  const chunks = [];
  for await (const chunk of data) chunks.push(chunk);
  return [response.headers, chunks];
}

function expectUsage(usage) {
  assert.ok(usage?.prompt_tokens > 0 && usage.completion_tokens > 0, `the usage is ${JSON.stringify(usage)}`);
  expect(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens, "the total");
}

check("chat", async (at) => {
  const answer = await ask(at("sim-chat"));
  expect(answer.object, "chat.completion", "the object");
  expect(answer.choices[0].finish_reason, "stop", "the finish reason");
  expect(answer.choices[0].message.role, "assistant", "the role");
  assert.ok(answer.choices[0].message.content, "the answer is empty");
  assert.ok(answer._request_id, "the answer has no request id");
  expectUsage(answer.usage);
});

check("stream with usage", async (at) => {
  const all = await read(await ask(at("sim-chat"), { stream: true, stream_options: { include_usage: true } }));
  assert.ok(all.text, "the answer is empty");
  expect(all.finishReasons, ["stop"], "the finish reasons");
  expect(all.usages.length, 1, "the number of usages");
  expectUsage(all.usages[0]);
});

check("stream without usage has none", async (at) => {
  const all = await read(await ask(at("sim-chat"), { stream: true }));
  assert.ok(all.text, "the answer is empty");
  expect(all.usages, [], "the usages nobody asked for");
});

check("stream in single bytes", async (at) => {
  const all = await read(await ask(at("sim-bytewise"), { stream: true }));
  assert.ok(all.text, "the answer is empty");
  expect(all.finishReasons, ["stop"], "the finish reasons");
});

check("stream with a late start", async (at) => {
  const all = await read(await ask(at("sim-late"), { stream: true }));
  assert.ok(all.text, "the answer is empty");
  expect(all.finishReasons, ["stop"], "the finish reasons");
  // Its head has been sent by then, so the failure can only be told within the stream.
  const stream = await ask(at("sim-late-500"), { stream: true });
  await raises(OpenAI.APIError, () => read(stream));
});

check("tool round trip", async (at) => {
  const first = await ask(at("sim-chat"), { messages: TOOL_QUESTION, tools: TOOLS });
  expect(first.choices[0].finish_reason, "tool_calls", "the finish reason");
  const { message } = first.choices[0];
  const names = message.tool_calls.map((call) => call.function.name);
  expect(names, ["get_weather", "get_time"], "the called functions");
  const results = message.tool_calls.map((call) => {
    expect(typeof JSON.parse(call.function.arguments).city, "string", "the type of the city");
    return { role: "tool", tool_call_id: call.id, content: '{"celsius": 4}' };
  });
  const second = await ask(at("sim-chat"), { messages: [...TOOL_QUESTION, message, ...results], tools: TOOLS });
  expect(second.choices[0].finish_reason, "stop", "the finish reason after the tools' results");
  assert.ok(second.choices[0].message.content, "the answer after the tools' results is empty");
});

check("tools run by the client", async (at) => {
  const asked = [];
  const parse = JSON.parse;
  const runner = client.chat.completions.runTools({
    model: at("sim-chat"),
    messages: TOOL_QUESTION,
    stream: true,
    tools: TOOLS.map(({ type, function: declared }) => ({
      type,
      function: {
        ...declared,
        parse,
        function: ({ city }) => {
          asked.push([declared.name, typeof city]);
          return '{"celsius": 4}';
        },
      },
    })),
  });
  assert.ok(await runner.finalContent(), "the answer after the tools' results is empty");
  expect(asked.sort(), [["get_time", "string"], ["get_weather", "string"]], "what was run");
});

check("structured output", async (at) => {
  const format = zodResponseFormat(City, "city");
  const answer = await client.chat.completions.parse({
    model: at("sim-chat"),
    messages: QUESTION,
    response_format: format,
  });
  City.parse(answer.choices[0].message.parsed);
});

check("vision", async (at) => {
  const image = { type: "image_url", image_url: { url: `data:image/png;base64,${PNG}` } };
  const content = [{ type: "text", text: "What is this?" }, image];
  const answer = await ask(at("sim-chat"), { messages: [{ role: "user", content }] });
  assert.ok(answer.choices[0].message.content, "the answer is empty");
});

check("twenty streams at once", async (at) => {
  const one = async () => read(await ask(at("sim-chat"), { stream: true }));
  for (const all of await Promise.all(Array.from({ length: 20 }, one))) {
    assert.ok(all.text, "an answer is empty");
    expect(all.finishReasons, ["stop"], "the finish reasons");
  }
});

check("cancel in mid stream", async (at) => {
  await expectLeft(at("sim-slow"), async () => {
    const stream = await ask(at("sim-slow"), { stream: true });
    let chunks = 0;
    for await (const _chunk of stream) {
      if (++chunks === 4) break;
    }
    stream.controller.abort();
  });
});

check("cancel before the answer", async (at) => {
  await expectLeft(at("sim-hangs"), async () => {
    const controller = new AbortController();
    const call = ask(at("sim-hangs"), {}, { signal: controller.signal });
    const ended = raises(OpenAI.APIUserAbortError, () => call);
    await counts(1);
    controller.abort();
    await ended;
  });
});

check("timeout of the client", async (at) => {
  const call = () => ask(at("sim-hangs"), {}, { timeout: 1_000 });
  await expectTimeout(at("sim-hangs"), OpenAI.APIConnectionTimeoutError, call);
});

// What a provider's failure becomes. Its refusal of the gateway's key is no fault of the caller's.
const FAILURES = [
  ["sim-400", 400, OpenAI.BadRequestError],
  ["sim-401", 502, OpenAI.InternalServerError],
  ["sim-402", 429, OpenAI.RateLimitError, "insufficient_quota"],
  ["sim-403", 502, OpenAI.InternalServerError],
  ["sim-404", 404, OpenAI.NotFoundError, "model_not_found"],
  // The client has no class for this status.
  ["sim-413", 413, OpenAI.APIError],
  ["sim-429", 429, OpenAI.RateLimitError, "rate_limit_exceeded"],
  ["sim-500", 502, OpenAI.InternalServerError],
  ["sim-503", 503, OpenAI.InternalServerError],
  ["sim-504", 504, OpenAI.InternalServerError],
  ["sim-529", 503, OpenAI.InternalServerError],
  ["sim-small", 400, OpenAI.BadRequestError, "context_length_exceeded"],
  ["sim-policy", 400, OpenAI.BadRequestError, "content_policy_violation"],
  ["sim-no-answer", 502, OpenAI.InternalServerError],
  ["sim-not-there", 404, OpenAI.NotFoundError, "model_not_found"],
];

check("failures before content", async (at) => {
  for (const [model, status, errorType, code] of FAILURES) {
    for (const stream of [false, true]) {
      const what = `${model} (stream: ${stream})`;
      const error = await refused(errorType, status, () => ask(at(model), { stream }), what);
      assert.ok(error.message && error.type && error.requestID, `the error of ${what} says too little`);
      if (code) expect(error.code, code, `the code of ${what}`);
    }
  }
});

check("failures in mid stream", async (at) => {
  for (const model of ["sim-cut", "sim-reset", "sim-ends", "sim-garbage", "sim-error"]) {
    const stream = await ask(at(model), { stream: true });
    const error = await raises(OpenAI.APIError, () => read(stream), model);
    assert.ok(error.message, `the error of ${model} has no message`);
  }
});

check("a cut answer is no answer", async (at) => {
  for (const model of ["sim-cut", "sim-reset", "sim-ends", "sim-garbage", "sim-error"]) {
    await refused(OpenAI.InternalServerError, 502, () => ask(at(model)), model);
  }
});

check("embeddings", async (at) => {
  const embed = (options) => client.embeddings.create({ model: at("sim-embed"), input: ["the sky", "the sea"], ...options });
  if (at("").startsWith("over-anthropic")) {
    // Anthropic has no embeddings, so its provider refuses them as a fault of the request.
    await refused(OpenAI.BadRequestError, 400, () => embed({}));
    return;
  }
  // By default the client asks for base64 and decodes it itself.
  const decoded = await embed({});
  const floats = await embed({ encoding_format: "float" });
  expect(decoded.data.map((item) => item.index), [0, 1], "the order");
  decoded.data.forEach(({ embedding }, at) => {
    expect(embedding.length, 64, "the number of dimensions");
    const other = floats.data[at].embedding;
    assert.ok(embedding.every((value, n) => Math.abs(value - other[n]) < 1e-6), "base64 and float differ");
  });
});

checkOnce("retries that help", async (at) => {
  // Two refusals that ask for a second each, then an answer.
  const [before, started] = [await callsBegun(), performance.now()];
  const answer = await ask(at("sim-third-time"), {}, { maxRetries: 2 });
  const took = performance.now() - started;
  assert.ok(answer.choices[0].message.content, "the answer is empty");
  expect((await callsBegun()) - before, 3, "the number of requests");
  assert.ok(took >= 1_900, `the client did not wait as long as it was told to: it took ${took} ms`);
});

checkOnce("retries only where they may help", async (at) => {
  const requests = { "sim-400": 1, "sim-401": 1, "sim-402": 1, "sim-404": 1, "sim-413": 1, "sim-small": 1 };
  Object.assign(requests, { "sim-429": 3, "sim-500": 3, "sim-503": 3, "sim-no-answer": 3 });
  for (const [model, wanted] of Object.entries(requests)) {
    const before = await callsBegun();
    await failure(() => ask(at(model), {}, { maxRetries: 2 }), model);
    expect((await callsBegun()) - before, wanted, `the number of requests to ${model}`);
  }
});

checkBehind("failures that the gateway mends", async (at) => {
  for (const name of MENDED) {
    const model = await resetCircuit(at(name));
    const call = () => askWith(leaving, model).withResponse();
    const { data: answer, response } = await expectCalls(model, 1, 3, call);
    expect(response.headers.get("x-llm-attempts"), "3", "the number of attempts that the gateway tells of");
    assert.ok(answer.choices[0].message.content, `the answer of ${model} is empty`);
    expectUsage(answer.usage);
  }
});

checkBehind("streams that the gateway mends", async (at) => {
  for (const name of MENDED) {
    const model = await resetCircuit(at(name));
    const chunks = await expectCalls(model, 1, 3, async () => {
      const read = [];
      for await (const chunk of await askWith(leaving, model, { stream: true })) read.push(chunk);
      return read;
    });
    // Nothing is left of the streams that failed.
    const beginnings = chunks.filter((chunk) => chunk.choices[0]?.delta.role);
    expect(beginnings.length, 1, `the number of beginnings of ${model}`);
    expect(new Set(chunks.map((chunk) => chunk.id)).size, 1, `the number of answers of ${model}`);
    const all = await read(chunks);
    assert.ok(all.text, `the answer of ${model} is empty`);
    expect(all.finishReasons, ["stop"], `the finish reasons of ${model}`);
  }
});

checkBehind("failures that nobody mends", async (at) => {
  // The gateway has tried as often as makes sense, and says so. The client heeds it.
  const model = await resetCircuit(at("sim-500"));
  for (const stream of [false, true]) {
    const call = () => refused(OpenAI.InternalServerError, 502, () => askWith(retrying, model, { stream }));
    const error = await expectCalls(model, 1, 3, call);
    expectHeaders(error.headers, { kind: "server", origin: "upstream", shouldRetry: "false" });
  }
});

checkBehind("retries of the client count", async (at) => {
  // As a client calls that has retried once, or twice, already.
  const model = await resetCircuit(at("sim-500"));
  for (const [retries, attempts] of [["1", 2], ["2", 1]]) {
    const options = { headers: { "x-stainless-retry-count": retries } };
    const call = () => refused(OpenAI.InternalServerError, 502, () => askWith(leaving, model, {}, options));
    await expectCalls(model, 1, attempts, call);
  }
});

checkBehind("answers that do not come", async (at) => {
  for (const [name, stream, kind] of LATE) {
    const model = await resetCircuit(at(name));
    const call = () => refused(OpenAI.InternalServerError, 504, () => askWith(retrying, model, { stream }));
    const error = await expectCalls(model, 1, 3, call);
    expectHeaders(error.headers, { kind, origin: "upstream", shouldRetry: "false" });
    await expectGivenUp(model, 3);
  }
});

checkBehind("circuit that opens", async (at) => {
  const model = await resetCircuit(at("sim-down"));
  await failUntilOpen(model, () => askWith(leaving, model));
  for (const stream of [false, true]) {
    const call = () => refused(OpenAI.InternalServerError, 503, () => askWith(leaving, model, { stream }));
    const error = await expectCalls(model, 1, 0, call);
    expect(error.code, "circuit_open", "the code");
    expectOpenCircuit(error.headers);
  }
});

checkBehind("circuit that closes", async (at) => {
  const model = await resetCircuit(at("sim-comes-back"));
  await failUntilOpen(model, () => askWith(leaving, model));
  // Refused at first, the client waits for as long as it is told, and is the first whom the circuit lets through.
  const answer = await expectCalls(model, 2, 1, () => askWith(retrying, model));
  assert.ok(answer.choices[0].message.content, "the answer is empty");
});

checkBehind("circuit opened by hand", async (at) => {
  // Nobody knows for how long. The client comes back twice after times of its own, and the provider is left alone.
  const model = await openCircuit(at("sim-down"));
  const call = () => refused(OpenAI.InternalServerError, 503, () => askWith(retrying, model));
  const error = await expectCalls(model, 3, 0, call);
  expectHeaders(error.headers, { kind: "circuit_open", origin: "gateway" });
  expect(error.headers.get("retry-after"), null, "the wait that nobody knows");
});

checkOnce("substitute for two that are down", async () => {
  const [headers, answer] = await expectAsked(SMART, [1, 1, 1], () => askRaw(routing, "smart"));
  expectSubstitute(headers, false);
  expect([answer.object, answer.choices[0].finish_reason], ["chat.completion", "stop"], "the answer");
  assert.ok(answer.choices[0].message.content, "the answer is empty");
  expectUsage(answer.usage);
});

checkOnce("substitute in a stream", async () => {
  const options = { stream: true, stream_options: { include_usage: true } };
  const [headers, chunks] = await expectAsked(SMART, [1, 1, 1], () => askRaw(routing, "smart", options));
  expectSubstitute(headers, true);
  // Nothing is left of those that are down.
  expect(new Set(chunks.map((chunk) => chunk.id)).size, 1, "the number of answers");
  const roles = chunks.flatMap((chunk) => chunk.choices.map((choice) => choice.delta.role)).filter(Boolean);
  expect(roles, ["assistant"], "the beginnings");
  const all = await read(chunks);
  assert.ok(all.text, "the answer is empty");
  expect([all.finishReasons, all.usages.length], [["stop"], 1], "the finish reasons and the number of usages");
  expectUsage(all.usages[0]);
});

checkOnce("substitute that calls tools", async () => {
  const options = { messages: TOOL_QUESTION, tools: TOOLS };
  const [headers, answer] = await expectAsked(SMART, [1, 1, 1], () => askRaw(routing, "smart", options));
  expectSubstitute(headers, false);
  const stream = () => askRaw(routing, "smart", { stream: true, ...options });
  const [headersOfStream, chunks] = await expectAsked(SMART, [1, 1, 1], stream);
  expectSubstitute(headersOfStream, true);
  expect((await read(chunks)).finishReasons, ["tool_calls"], "the finish reasons of the stream");
  const streamed = [];
  for (const call of chunks.flatMap((chunk) => chunk.choices[0]?.delta.tool_calls ?? [])) {
    streamed[call.index] ??= { function: { name: call.function.name, arguments: "" } };
    streamed[call.index].function.arguments += call.function.arguments ?? "";
  }
  expect(answer.choices[0].finish_reason, "tool_calls", "the finish reason");
  for (const calls of [answer.choices[0].message.tool_calls, streamed]) {
    expect(calls.map((call) => call.function.name), ["get_weather", "get_time"], "the called functions");
    for (const call of calls) {
      expect(typeof JSON.parse(call.function.arguments).city, "string", "the type of the city");
    }
  }
});

checkOnce("routes are models", async () => {
  const listed = [];
  for await (const model of routing.models.list()) listed.push(model.id);
  for (const name of ["smart", "down"]) assert.ok(listed.includes(name), `${name} is not listed`);
  expect((await routing.models.retrieve("smart")).id, "smart", "the model");
});

checkOnce("message when all are down", async () => {
  const call = (options) => () => askRaw(routing, "down", options, SUPPORT_CHAT);
  const [headers, answer] = await expectAsked(DOWN, [1, 1, 1], call({}));
  expectDegraded(headers);
  expect([answer.object, answer.choices[0].finish_reason], ["chat.completion", "stop"], "the answer");
  expect(answer.choices[0].message.content, SORRY, "the text");
  const [headersOfStream, chunks] = await expectAsked(DOWN, [1, 1, 1], call({ stream: true }));
  expectDegraded(headersOfStream);
  const { text, finishReasons } = await read(chunks);
  expect([text, finishReasons], [SORRY, ["stop"]], "the text of the stream and its finish reasons");
});

checkOnce("error when all are down", async () => {
  for (const stream of [false, true]) {
    const call = () => refused(OpenAI.RateLimitError, 429, () => askWith(routing, "down", { stream }));
    // The client would come back, and is told not to.
    const error = await expectAsked(DOWN, [1, 1, 1], call);
    expect(error.code, "rate_limit_exceeded", "the code");
    expectAllDown(error.message, error.headers);
  }
});

checkOnce("sensitive requests stay in the house", async () => {
  for (const stream of [false, true]) {
    const call = () => askRaw(routing, "smart", { stream }, SENSITIVE);
    const [headers] = await expectAsked(SMART, [0, 0, 1], call);
    const told = [headers.get("x-llm-target"), headers.get("x-llm-attempts")];
    expect(told, [SMART[2], "1"], "the target and the attempts");
  }
  const call = () => refused(OpenAI.InternalServerError, 503, () => askRaw(routing, SMART[0], {}, SENSITIVE));
  const error = await expectAsked(SMART, [0, 0, 0], call);
  expectHeaders(error.headers, { kind: "no_route", origin: "gateway", shouldRetry: "false" });
});

checkOnce("key for some models", async () => {
  const small = connect({ baseURL: `${ROUTED}/v1`, apiKey: SMALL_KEY, maxRetries: 2 });
  for (const model of SMART.slice(0, 2)) {
    const call = () => refused(OpenAI.PermissionDeniedError, 403, () => askWith(small, model));
    const error = await expectAsked(SMART, [0, 0, 0], call);
    expectHeaders(error.headers, { kind: "forbidden", origin: "caller", shouldRetry: "false" });
  }
  // Of a route it gets what it is good for.
  const [headers] = await expectAsked(SMART, [0, 0, 1], () => askRaw(small, "smart"));
  expect(headers.get("x-llm-target"), SMART[2], "the target");
});

checkOnce("malformed hints", async () => {
  for (const [name, value] of Object.entries(MALFORMED)) {
    const asking = () => askRaw(routing, "smart", {}, { [name]: value });
    const call = () => refused(OpenAI.BadRequestError, 400, asking, name);
    // It does not come through the doors.
    const error = await expectAsked(SMART, [0, 0, 0], call, 0);
    expect(error.type, "invalid_request_error", `the type for ${name}`);
    assert.ok(error.message.includes(`${name}: expected`), `the error does not name ${name}: ${error.message}`);
  }
});

checkOnce("configuration read again in mid stream", async () => {
  const chunks = (await askWith(routing, "local/sim-slow", { stream: true }))[Symbol.asyncIterator]();
  const seen = [];
  const next = async () => {
    const { done, value } = await chunks.next();
    if (!done) seen.push(value);
    return !done;
  };
  for (let begun = 0; begun < 3; begun++) assert.ok(await next(), "the stream ended at its beginning");
  await reconfigured("[router.routes.smart]", "[router.routes.clever]", async () => {
    assert.ok((await askWith(routing, "clever")).choices[0].message.content, "the answer is empty");
    await refused(OpenAI.NotFoundError, 404, () => askWith(routing, "smart"));
    // The stream is still open.
    await counts(1, ROUTED_ADMIN);
    while (await next());
  });
  const all = await read(seen);
  assert.ok(all.text, "the answer is empty");
  expect(all.finishReasons, ["stop"], "the finish reasons");
});

checkBehind("budget that is spent", async (at) => {
  await forgetSpending("poor");
  const model = at("sim-chat");
  const spend = (stream = false) => askWith(poor, model, { max_tokens: 30, stream });
  await expectSpent("poor", (await expectBilled([model], [1], () => spend())).usage.total_tokens);
  for (const stream of [false, true]) {
    // The client has no class for this status. It is told not to come back, and does not.
    const error = await expectBilled([model], [0], () => refused(OpenAI.APIError, 402, () => spend(stream)));
    expect([error.type, error.code], ["insufficient_quota", "budget_exceeded"], "the type and code");
    expectSpentBudget(error.message, error.headers);
  }
  assert.ok((await askWith(rich, model)).choices[0].message.content, "another tenant's answer is empty");
  await topUp("poor", "0.0001");
  assert.ok((await spend()).choices[0].message.content, "the answer is empty");
});

checkBehind("stream that the budget cuts", async (at) => {
  const model = at("sim-long");
  await forgetSpending("poor");
  const chunks = [];
  const readUntilError = async () => {
    for await (const chunk of await askWith(poor, model, { stream: true })) chunks.push(chunk);
  };
  const error = await expectBilled([model], [1], () => raises(OpenAI.APIError, readUntilError));
  expectCut(error.message);
  expect([error.type, error.code], ["insufficient_quota", "budget_exceeded"], "the type and code");
  const { text, finishReasons, usages } = await read(chunks);
  assert.ok(text, "nothing came before the error");
  expect([finishReasons, usages], [[], []], "the finish reasons and usages");
  await expectPartPaid("poor", model);

  // The error is the last event: nothing is called done.
  await forgetSpending("poor");
  const raw = await askWith(poor, model, { stream: true }).asResponse();
  const last = (await raw.text()).split("\n").filter(Boolean).at(-1);
  assert.ok(last.startsWith('data: {"error":'), `the last event is ${last}`);
});

checkBehind("leaving half-way is paid for", async (at) => {
  const model = at("sim-slow");
  await forgetSpending("rich");
  const stream = await askWith(rich, model, { stream: true });
  let chunks = 0;
  for await (const _chunk of stream) {
    if (++chunks < 4) continue;
    await expectSetAside("rich");
    break;
  }
  stream.controller.abort();
  await expectPartPaid("rich", model);
});

checkBehind("model without a price", async (at) => {
  const model = at("sim-unpriced");
  for (const stream of [false, true]) {
    const call = () => refused(OpenAI.APIError, 402, () => askWith(rich, model, { stream }));
    const error = await expectBilled([model], [0], call);
    expect([error.type, error.code], ["insufficient_quota", "budget_exceeded"], "the type and code");
    expectUnpriced(model, error.message, error.headers);
  }
});

checkBehind("what is left of a budget", async (at) => {
  await forgetSpending("rich");
  const [headers, answer] = await askRaw(rich, at("sim-chat"));
  const used = answer.usage.total_tokens;
  const left = leftOfBudget("rich", headers);
  expect(left, BUDGETS.rich[1] - used * TOKEN, "what is left after an answer");
  const options = { stream: true, stream_options: { include_usage: true } };
  const [headersOfStream, chunks] = await askRaw(rich, at("sim-chat"), options);
  assert.ok(leftOfBudget("rich", headersOfStream) < left, "nothing was set aside when the stream began");
  await expectSpent("rich", used + (await read(chunks)).usages[0].total_tokens);
});

checkOnce("cheap model instead of a dear one", async () => {
  await forgetSpending("poor");
  const [headers, answer] = await expectBilled(THRIFTY, [0, 1], () => askRaw(poor, "thrifty", { max_tokens: 30 }));
  const told = [headers.get("x-llm-target"), headers.get("x-llm-attempts")];
  expect(told, [THRIFTY[1], "1"], "the target and the attempts");
  await expectSpent("poor", answer.usage.total_tokens);
});

checkOnce("what is left of a limit", async () => {
  const [model, few] = [THRIFTY[1], connectBudgeted(FEW_KEY)];
  const told = (headers) => ["limit", "remaining"].map((what) => headers.get(`x-ratelimit-${what}-requests`));
  for (const [stream, left] of [[false, "1"], [true, "0"]]) {
    const [headers] = await askRaw(few, model, { stream });
    expect(told(headers), ["2", left], "the limit and what is left of it");
  }
  for (const stream of [false, true]) {
    const call = () => refused(OpenAI.RateLimitError, 429, () => askWith(few, model, { stream }));
    const error = await expectBilled([model], [0], call);
    expect([error.type, error.code], ["rate_limit_error", "limit_exceeded"], "the type and code");
    expectLimit("few-calls", 30, error.message, error.headers);
    expect(told(error.headers), ["2", "0"], "the limit and what is left of it");
  }
});

checkOnce("limit that is waited for", async () => {
  const [model, busy] = [THRIFTY[1], connectBudgeted(BUSY_KEY, 2)];
  await useUp(BUSY_KEY);
  for (const stream of [false, true]) {
    // Left to itself the client would be back too early, twice.
    const [headers] = await expectBilled([model], [1], () => askRaw(busy, model, { stream }), 2);
    expect(headers.get("x-llm-target"), model, "the target");
  }
});

checkOnce("one stream at a time", async () => {
  const single = connectBudgeted(SINGLE_KEY);
  const stream = await askWith(single, "over-openai/sim-slow", { stream: true });
  const error = await refused(OpenAI.RateLimitError, 429, () => askWith(single, THRIFTY[1]));
  expectLimit("one-at-a-time", null, error.message, error.headers);
  stream.controller.abort();
  await counts(0, BUDGETED_ADMIN);
  assert.ok((await askWith(single, THRIFTY[1])).choices[0].message.content, "the answer is empty");
});

checkCache(async (model, key, { stream, tools, temperature, headers }) => {
  const asking = connect({ baseURL: `${CACHED}/v1`, apiKey: key });
  const options = { model, messages: QUESTION, temperature };
  if (tools) Object.assign(options, { messages: TOOL_QUESTION, tools: TOOLS });
  const told = (answer) => {
    const [{ message, finish_reason: reason }] = answer.choices;
    const calls = (message.tool_calls ?? []).map(({ function: called }) => [called.name, JSON.parse(called.arguments)]);
    expectUsage(answer.usage);
    const usage = [answer.usage.prompt_tokens, answer.usage.completion_tokens];
    // With calls there is no text, which answers tell as null, and streams as a piece without any.
    return { text: message.content ?? "", reason, calls, usage };
  };
  if (!stream) {
    const { data, response } = await asking.chat.completions.create(options, { headers }).withResponse();
    return [response.headers, told(data)];
  }
  const withUsage = { ...options, stream: true, stream_options: { include_usage: true } };
  const { data, response } = await asking.chat.completions.create(withUsage, { headers }).withResponse();
  const answer = await ChatCompletionStream.fromReadableStream(data.toReadableStream()).finalChatCompletion();
  return [response.headers, told(answer)];
});

checkOnce("embeddings of which one is known", async () => {
  const [model, asking] = ["over-openai/sim-embed", connect({ baseURL: `${CACHED}/v1`, apiKey: GOOD_KEY })];
  // Expects so many attempts and this of the cache, and returns the vector of each text.
  const embed = async (status, attempts, input) => {
    const call = () => asking.embeddings.create({ model, input }).withResponse();
    const { data: answer, response } = await expectCached(model, attempts, call);
    expectCacheStatus(response.headers, status);
    expect(answer.data.map((item) => item.index), [...input.keys()], "the order");
    assert.ok(answer.usage.prompt_tokens > 0, "the input has no tokens");
    return answer.data.map((item) => item.embedding);
  };
  await forgetAnswers();
  const [known] = await embed("miss", 1, ["the sea"]);
  const allThree = await embed("miss", 1, ["the sky", "the sea", "the wind"]);
  const { inputs } = (await seenOf(model, CACHED_CALLS)).at(-1);
  expect(inputs, 2, "the number of texts that the provider was asked for");
  expect(allThree[1], known, "the vector of the text that is known");
  expect(new Set(allThree.map(String)).size, 3, "the number of different vectors");
  const again = await embed("hit", 0, ["the wind", "the sea", "the sky"]);
  expect(again, allThree.toReversed(), "the vectors of texts that are known");
});

checkOnce("provider out of reach", async () => {
  await refused(OpenAI.InternalServerError, 502, () => ask("nobody/nothing"));
});

checkOnce("models", async () => {
  const listed = [];
  for await (const model of client.models.list()) listed.push(model.id);
  for (const name of ["sim-chat", "sim-slow", "sim-embed"]) assert.ok(listed.includes(name), `${name} is not listed`);
  expect((await client.models.retrieve("sim-chat")).id, "sim-chat", "the model");
  await refused(OpenAI.NotFoundError, 404, () => client.models.retrieve("no-such-model"));
});

checkOnce("wrong key", async () => {
  for (const apiKey of WRONG_KEYS) {
    const stranger = connect({ baseURL: `${KEYED}/v1`, apiKey });
    const call = () => stranger.chat.completions.create({ model: "sim-chat", messages: QUESTION });
    const error = await refused(OpenAI.AuthenticationError, 401, call);
    assert.ok(!error.message.includes(apiKey), "the error repeats the key");
    await refused(OpenAI.AuthenticationError, 401, () => stranger.models.list());
  }
});

checkOnce("right key", async () => {
  const known = connect({ baseURL: `${KEYED}/v1`, apiKey: GOOD_KEY });
  const answer = await known.chat.completions.create({ model: "sim-chat", messages: QUESTION });
  assert.ok(answer.choices[0].message.content, "the answer is empty");
});

checkOnce("unknown model", async () => {
  const error = await refused(OpenAI.NotFoundError, 404, () => ask("no-such-model"));
  expect(error.code, "model_not_found", "the code");
});

checkOnce("too large a request", async () => {
  // The client has no class for this status.
  const messages = [{ role: "user", content: "a".repeat(2_000_000) }];
  const error = await refused(OpenAI.APIError, 413, () => ask("sim-chat", { messages }));
  expect(error.code, "request_too_large", "the code");
});

checkOnce("bad request", async () => {
  const error = await refused(OpenAI.BadRequestError, 400, () => ask("sim-chat", { max_tokens: -2 }));
  expect(error.type, "invalid_request_error", "the type");
});

await run();
