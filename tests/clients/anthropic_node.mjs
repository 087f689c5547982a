// The official Node client for Anthropic, unchanged, against the gateway. checks.py tells how it is called.

import assert from "node:assert";
import Anthropic from "@anthropic-ai/sdk";
import { zodOutputFormat } from "@anthropic-ai/sdk/helpers/zod";
import { z } from "zod";

import { checkCache } from "./cached.mjs";
import {
  BUDGETED,
  BUDGETED_ADMIN,
  BUDGETS,
  BUSY_KEY,
  CACHED,
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
  forgetSpending,
  leftOfBudget,
  openCircuit,
  raises,
  reconfigured,
  refused,
  resetCircuit,
  run,
  topUp,
  useUp,
} from "./checks.mjs";

const QUESTION = [{ role: "user", content: "Why is the sky blue?" }];
// The model calls every tool that is named.
const TOOL_QUESTION = [{ role: "user", content: "What are weather and time in Oslo?" }];

const tool = (name, description) => ({
  name,
  description,
  input_schema: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
});
const TOOLS = [tool("get_weather", "The weather in a city."), tool("get_time", "The time of day in a city.")];
const City = z.object({ name: z.string(), inhabitants: z.number().int(), rivers: z.array(z.string()) });

// Without retries: a check sees the first answer.
const connect = (options = {}) =>
  new Anthropic({ baseURL: GATEWAY, apiKey: "any-key", authToken: null, maxRetries: 0, timeout: 30_000, ...options });
const client = connect();
// Of the gateway with retries and circuits: a client that leaves retries to it, and one with its own.
const leaving = connect({ baseURL: RESILIENT });
const retrying = connect({ baseURL: RESILIENT, maxRetries: 2 });
// Of the gateway with routes, and with retries of its own.
const routing = connect({ baseURL: ROUTED, apiKey: GOOD_KEY, maxRetries: 2 });
// Of the gateway with budgets: of any key, and of either tenant with retries of their own.
const connectBudgeted = (apiKey, maxRetries = 0) => connect({ baseURL: BUDGETED, apiKey, maxRetries });
const rich = connectBudgeted(RICH_KEY, 2);
const poor = connectBudgeted(POOR_KEY, 2);

const asked = (model, options) => ({ model, messages: QUESTION, max_tokens: 1_000, ...options });
const askWith = (asking, model, options = {}, requestOptions = {}) =>
  asking.messages.create(asked(model, options), requestOptions);
const ask = (model, options, requestOptions) => askWith(client, model, options, requestOptions);
// Reads a stream to its end: the message that its events make.
const read = (model, options = {}) => client.messages.stream(asked(model, options)).finalMessage();

// Asks, and returns the headers and the message, which is made of the events if a stream is asked for.
async function askRaw(asking, model, { stream, ...options } = {}, headers = {}) {
  if (!stream) {
    const { data, response } = await askWith(asking, model, options, { headers }).withResponse();
    return [response.headers, data];
  }
  const streaming = asking.messages.stream(asked(model, options), { headers });
  const { response } = await streaming.withResponse();
  return [response.headers, await streaming.finalMessage()];
}

const textOf = (message) => message.content.map((block) => (block.type === "text" ? block.text : "")).join("");
const callsOf = (message) => message.content.filter((block) => block.type === "tool_use");
const tokensOf = (message) => message.usage.input_tokens + message.usage.output_tokens;

function expectAnswer(message) {
  expect([message.type, message.role, message.stop_reason], ["message", "assistant", "end_turn"], "the message");
  assert.ok(textOf(message), "the answer is empty");
  const { input_tokens: input, output_tokens: output } = message.usage;
  assert.ok(input > 0 && output > 0, `the usage is ${JSON.stringify(message.usage)}`);
}

check("chat", async (at) => {
  const message = await ask(at("sim-chat"), { system: "Be brief." });
  expectAnswer(message);
  assert.ok(message._request_id, "the answer has no request id");
});

check("stream with usage", async (at) => {
  expectAnswer(await read(at("sim-chat")));
});

check("stream in raw events", async (at) => {
  const events = [];
  for await (const event of await ask(at("sim-chat"), { stream: true })) events.push(event.type);
  expect(events[0], "message_start", "the first event");
  expect(events.slice(-2), ["message_delta", "message_stop"], "the last events");
  const count = (name) => events.filter((event) => event === name).length;
  expect([count("content_block_start"), count("content_block_stop")], [1, 1], "the number of blocks");
  assert.ok(count("content_block_delta") > 3, "the answer came in too few pieces");
});

check("stream in single bytes", async (at) => {
  expectAnswer(await read(at("sim-bytewise")));
});

check("stream with a late start", async (at) => {
  expectAnswer(await read(at("sim-late")));
  // Its head has been sent by then, so the failure can only be told within the stream.
  const error = await raises(Anthropic.APIError, () => read(at("sim-late-500")));
  expect(error.type, "api_error", "the type");
});

check("features in beta", async (at) => {
  expectAnswer(await client.beta.messages.create(asked(at("sim-chat"), { betas: ["context-1m-2025-08-07"] })));
});

check("tool round trip", async (at) => {
  const first = await ask(at("sim-chat"), { messages: TOOL_QUESTION, tools: TOOLS });
  expect(first.stop_reason, "tool_use", "the stop reason");
  expect(callsOf(first).map((call) => call.name), ["get_weather", "get_time"], "the called tools");
  const results = callsOf(first).map((call) => {
    expect(typeof call.input.city, "string", "the type of the city");
    return { type: "tool_result", tool_use_id: call.id, content: '{"celsius": 4}' };
  });
  const turns = [{ role: "assistant", content: first.content }, { role: "user", content: results }];
  expectAnswer(await ask(at("sim-chat"), { messages: [...TOOL_QUESTION, ...turns], tools: TOOLS }));
});

check("tool calls in a stream", async (at) => {
  const message = await read(at("sim-chat"), { messages: TOOL_QUESTION, tools: TOOLS });
  expect(message.stop_reason, "tool_use", "the stop reason");
  expect(callsOf(message).map((call) => call.name), ["get_weather", "get_time"], "the called tools");
  expect(callsOf(message).map((call) => typeof call.input.city), ["string", "string"], "the types of the cities");
});

check("chosen tool", async (at) => {
  const message = await ask(at("sim-chat"), { tools: TOOLS, tool_choice: { type: "tool", name: "get_time" } });
  expect(callsOf(message).map((call) => call.name), ["get_time"], "the called tools");
});

check("thinking", async (at) => {
  const options = { max_tokens: 4_000, thinking: { type: "enabled", budget_tokens: 1_024 } };
  for (const message of [await ask(at("sim-reasons"), options), await read(at("sim-reasons"), options)]) {
    expect(message.content.map((block) => block.type), ["thinking", "text"], "the blocks");
    assert.ok(message.content[0].thinking, "the thoughts are empty");
    // The thoughts go back with the rest, as clients do it.
    const turns = [{ role: "assistant", content: message.content }, { role: "user", content: "And the sea?" }];
    const second = await ask(at("sim-reasons"), { ...options, messages: [...QUESTION, ...turns] });
    assert.ok(textOf(second), "the second answer is empty");
  }
});

check("structured output", async (at) => {
  const format = zodOutputFormat(City);
  const message = await client.messages.parse(asked(at("sim-chat"), { output_config: { format } }));
  City.parse(message.parsed_output);
});

check("vision", async (at) => {
  const image = { type: "image", source: { type: "base64", media_type: "image/png", data: PNG } };
  const content = [image, { type: "text", text: "What is this?" }];
  expectAnswer(await ask(at("sim-chat"), { messages: [{ role: "user", content }] }));
});

check("token count", async (at) => {
  const count = async (content) => {
    const messages = [{ role: "user", content }];
    return (await client.messages.countTokens({ model: at("sim-chat"), messages })).input_tokens;
  };
  const [few, more] = [await count("Why?"), await count("Why is the sky blue, and the sea?")];
  assert.ok(0 < few && few < more, "a longer prompt has no more tokens");
});

check("twenty streams at once", async (at) => {
  const messages = await Promise.all(Array.from({ length: 20 }, () => read(at("sim-chat"))));
  messages.forEach(expectAnswer);
});

check("cancel in mid stream", async (at) => {
  await expectLeft(at("sim-slow"), async () => {
    const stream = await ask(at("sim-slow"), { stream: true, max_tokens: 10_000 });
    let events = 0;
    for await (const _event of stream) {
      if (++events === 6) break;
    }
    stream.controller.abort();
  });
});

check("cancel before the answer", async (at) => {
  await expectLeft(at("sim-hangs"), async () => {
    const controller = new AbortController();
    const call = ask(at("sim-hangs"), {}, { signal: controller.signal });
    const ended = raises(Anthropic.APIUserAbortError, () => call);
    await counts(1);
    controller.abort();
    await ended;
  });
});

check("timeout of the client", async (at) => {
  const call = () => ask(at("sim-hangs"), {}, { timeout: 1_000 });
  await expectTimeout(at("sim-hangs"), Anthropic.APIConnectionTimeoutError, call);
});

// What a provider's failure becomes. Its refusal of the gateway's key is no fault of the caller's.
const FAILURES = [
  ["sim-400", 400, Anthropic.BadRequestError, "invalid_request_error"],
  ["sim-401", 502, Anthropic.InternalServerError, "api_error"],
  ["sim-402", 429, Anthropic.RateLimitError, "rate_limit_error"],
  ["sim-403", 502, Anthropic.InternalServerError, "api_error"],
  ["sim-404", 404, Anthropic.NotFoundError, "not_found_error"],
  ["sim-413", 413, Anthropic.ContentTooLargeError, "request_too_large"],
  ["sim-429", 429, Anthropic.RateLimitError, "rate_limit_error"],
  ["sim-500", 502, Anthropic.InternalServerError, "api_error"],
  ["sim-503", 529, Anthropic.OverloadedError, "overloaded_error"],
  ["sim-504", 504, Anthropic.GatewayTimeoutError, "timeout_error"],
  ["sim-529", 529, Anthropic.OverloadedError, "overloaded_error"],
  ["sim-small", 400, Anthropic.BadRequestError, "invalid_request_error"],
  ["sim-policy", 400, Anthropic.BadRequestError, "invalid_request_error"],
  ["sim-no-answer", 502, Anthropic.InternalServerError, "api_error"],
  ["sim-not-there", 404, Anthropic.NotFoundError, "not_found_error"],
];

check("failures before content", async (at) => {
  for (const [model, status, errorType, type] of FAILURES) {
    for (const stream of [false, true]) {
      const what = `${model} (stream: ${stream})`;
      const error = await refused(errorType, status, () => ask(at(model), { stream }), what);
      assert.ok(error.message && error.requestID, `the error of ${what} says too little`);
      expect(error.type, type, `the type of ${what}`);
    }
  }
});

check("failures in mid stream", async (at) => {
  for (const model of ["sim-cut", "sim-reset", "sim-ends", "sim-garbage", "sim-error"]) {
    // A stream has no status by then, so the client has no class for the error, but its type.
    const error = await raises(Anthropic.APIError, () => read(at(model)), model);
    expect(error.type, "api_error", `the type of ${model}`);
  }
});

check("a cut answer is no answer", async (at) => {
  for (const model of ["sim-cut", "sim-reset", "sim-ends", "sim-garbage", "sim-error"]) {
    await refused(Anthropic.InternalServerError, 502, () => ask(at(model)), model);
  }
});

checkOnce("retries that help", async (at) => {
  // Two refusals that ask for a second each, then an answer.
  const [before, started] = [await callsBegun(), performance.now()];
  const answer = await ask(at("sim-third-time"), {}, { maxRetries: 2 });
  const took = performance.now() - started;
  assert.ok(textOf(answer), "the answer is empty");
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
    expectAnswer(answer);
  }
});

checkBehind("streams that the gateway mends", async (at) => {
  for (const name of MENDED) {
    const model = await resetCircuit(at(name));
    expectAnswer(await expectCalls(model, 1, 3, () => leaving.messages.stream(asked(model)).finalMessage()));
    const events = await expectCalls(model, 1, 3, async () => {
      const read = [];
      for await (const event of await askWith(leaving, model, { stream: true })) read.push(event.type);
      return read;
    });
    // Nothing is left of the streams that failed.
    for (const once of ["message_start", "content_block_start", "content_block_stop", "message_stop"]) {
      expect(events.filter((event) => event === once).length, 1, `the number of ${once} of ${model}`);
    }
  }
});

checkBehind("failures that nobody mends", async (at) => {
  // The gateway has tried as often as makes sense, and says so. The client heeds it.
  const model = await resetCircuit(at("sim-500"));
  for (const stream of [false, true]) {
    const call = () => refused(Anthropic.InternalServerError, 502, () => askWith(retrying, model, { stream }));
    const error = await expectCalls(model, 1, 3, call);
    expect(error.type, "api_error", "the type");
    expectHeaders(error.headers, { kind: "server", origin: "upstream", shouldRetry: "false" });
  }
});

checkBehind("retries of the client count", async (at) => {
  // As a client calls that has retried once, or twice, already.
  const model = await resetCircuit(at("sim-500"));
  for (const [retries, attempts] of [["1", 2], ["2", 1]]) {
    const options = { headers: { "x-stainless-retry-count": retries } };
    const call = () => refused(Anthropic.InternalServerError, 502, () => askWith(leaving, model, {}, options));
    await expectCalls(model, 1, attempts, call);
  }
});

checkBehind("answers that do not come", async (at) => {
  for (const [name, stream, kind] of LATE) {
    const model = await resetCircuit(at(name));
    const call = () => refused(Anthropic.GatewayTimeoutError, 504, () => askWith(retrying, model, { stream }));
    const error = await expectCalls(model, 1, 3, call);
    expect(error.type, "timeout_error", "the type");
    expectHeaders(error.headers, { kind, origin: "upstream", shouldRetry: "false" });
    await expectGivenUp(model, 3);
  }
});

checkBehind("circuit that opens", async (at) => {
  const model = await resetCircuit(at("sim-down"));
  await failUntilOpen(model, () => askWith(leaving, model));
  for (const stream of [false, true]) {
    const call = () => refused(Anthropic.ServiceUnavailableError, 503, () => askWith(leaving, model, { stream }));
    const error = await expectCalls(model, 1, 0, call);
    expect(error.type, "overloaded_error", "the type");
    expectOpenCircuit(error.headers);
  }
});

checkBehind("circuit that closes", async (at) => {
  const model = await resetCircuit(at("sim-comes-back"));
  await failUntilOpen(model, () => askWith(leaving, model));
  // Refused at first, the client waits for as long as it is told, and is the first whom the circuit lets through.
  expectAnswer(await expectCalls(model, 2, 1, () => askWith(retrying, model)));
});

checkBehind("circuit opened by hand", async (at) => {
  // Nobody knows for how long. The client comes back twice after times of its own, and the provider is left alone.
  const model = await openCircuit(at("sim-down"));
  const call = () => refused(Anthropic.ServiceUnavailableError, 503, () => askWith(retrying, model));
  const error = await expectCalls(model, 3, 0, call);
  expectHeaders(error.headers, { kind: "circuit_open", origin: "gateway" });
  expect(error.headers.get("retry-after"), null, "the wait that nobody knows");
});

checkOnce("substitute for two that are down", async () => {
  const [headers, message] = await expectAsked(SMART, [1, 1, 1], () => askRaw(routing, "smart"));
  expectSubstitute(headers, false);
  expectAnswer(message);
});

checkOnce("substitute in a stream", async () => {
  const [headers, message] = await expectAsked(SMART, [1, 1, 1], () => askRaw(routing, "smart", { stream: true }));
  expectSubstitute(headers, true);
  expectAnswer(message);
  const events = await expectAsked(SMART, [1, 1, 1], async () => {
    const types = [];
    for await (const event of await askWith(routing, "smart", { stream: true })) types.push(event.type);
    return types;
  });
  // Nothing is left of those that are down.
  for (const once of ["message_start", "content_block_start", "content_block_stop", "message_stop"]) {
    expect(events.filter((event) => event === once).length, 1, `the number of ${once}`);
  }
});

checkOnce("substitute that calls tools", async () => {
  for (const stream of [false, true]) {
    const call = () => askRaw(routing, "smart", { stream, messages: TOOL_QUESTION, tools: TOOLS });
    const [headers, message] = await expectAsked(SMART, [1, 1, 1], call);
    expectSubstitute(headers, stream);
    expect(message.stop_reason, "tool_use", "the stop reason");
    expect(callsOf(message).map((call) => call.name), ["get_weather", "get_time"], "the called tools");
    for (const { input } of callsOf(message)) expect(typeof input.city, "string", "the type of the city");
  }
});

checkOnce("routes are models", async () => {
  const listed = [];
  for await (const model of routing.models.list()) listed.push(model.id);
  for (const name of ["smart", "down"]) assert.ok(listed.includes(name), `${name} is not listed`);
  const model = await routing.models.retrieve("smart");
  expect([model.id, model.type], ["smart", "model"], "the model");
});

checkOnce("message when all are down", async () => {
  for (const stream of [false, true]) {
    const call = () => askRaw(routing, "down", { stream }, SUPPORT_CHAT);
    const [headers, message] = await expectAsked(DOWN, [1, 1, 1], call);
    expectDegraded(headers);
    expect([message.type, message.role, message.stop_reason], ["message", "assistant", "end_turn"], "the message");
    expect(message.content.map(({ type, text }) => [type, text]), [["text", SORRY]], "the blocks");
  }
});

checkOnce("error when all are down", async () => {
  for (const stream of [false, true]) {
    const call = () => refused(Anthropic.RateLimitError, 429, () => askWith(routing, "down", { stream }));
    // The client would come back, and is told not to.
    const error = await expectAsked(DOWN, [1, 1, 1], call);
    expect(error.type, "rate_limit_error", "the type");
    expectAllDown(error.message, error.headers);
  }
});

checkOnce("sensitive requests stay in the house", async () => {
  for (const stream of [false, true]) {
    const [headers, message] = await expectAsked(SMART, [0, 0, 1], () => askRaw(routing, "smart", { stream }, SENSITIVE));
    const told = [headers.get("x-llm-target"), headers.get("x-llm-attempts")];
    expect(told, [SMART[2], "1"], "the target and the attempts");
    expectAnswer(message);
  }
  const call = () => refused(Anthropic.ServiceUnavailableError, 503, () => askRaw(routing, SMART[0], {}, SENSITIVE));
  const error = await expectAsked(SMART, [0, 0, 0], call);
  expectHeaders(error.headers, { kind: "no_route", origin: "gateway", shouldRetry: "false" });
});

checkOnce("key for some models", async () => {
  const small = connect({ baseURL: ROUTED, apiKey: SMALL_KEY, maxRetries: 2 });
  for (const model of SMART.slice(0, 2)) {
    const call = () => refused(Anthropic.PermissionDeniedError, 403, () => askWith(small, model));
    const error = await expectAsked(SMART, [0, 0, 0], call);
    expect(error.type, "permission_error", "the type");
    expectHeaders(error.headers, { kind: "forbidden", origin: "caller", shouldRetry: "false" });
  }
  // Of a route it gets what it is good for.
  const [headers, message] = await expectAsked(SMART, [0, 0, 1], () => askRaw(small, "smart"));
  expect(headers.get("x-llm-target"), SMART[2], "the target");
  expectAnswer(message);
});

checkOnce("malformed hints", async () => {
  for (const [name, value] of Object.entries(MALFORMED)) {
    const asking = () => askRaw(routing, "smart", {}, { [name]: value });
    const call = () => refused(Anthropic.BadRequestError, 400, asking, name);
    // It does not come through the doors.
    const error = await expectAsked(SMART, [0, 0, 0], call, 0);
    expect(error.type, "invalid_request_error", `the type for ${name}`);
    assert.ok(error.message.includes(`${name}: expected`), `the error does not name ${name}: ${error.message}`);
  }
});

checkOnce("configuration read again in mid stream", async () => {
  const stream = routing.messages.stream(asked("local/sim-slow"));
  let pieces = 0;
  const begun = new Promise((resolve) => stream.on("text", () => ++pieces === 3 && resolve()));
  const ended = stream.finalMessage();
  await Promise.race([begun, ended]);
  await reconfigured("[router.routes.smart]", "[router.routes.clever]", async () => {
    expectAnswer(await askWith(routing, "clever"));
    await refused(Anthropic.NotFoundError, 404, () => askWith(routing, "smart"));
    // The stream is still open.
    await counts(1, ROUTED_ADMIN);
    expectAnswer(await ended);
  });
});

// What an error's details say of which refusal of the gateway's it is: the client keeps the body.
const codeOf = (error) => error.error.error.details?.error_code;

checkBehind("budget that is spent", async (at) => {
  await forgetSpending("poor");
  const model = at("sim-chat");
  const spend = (stream = false) => askWith(poor, model, { max_tokens: 30, stream });
  await expectSpent("poor", tokensOf(await expectBilled([model], [1], () => spend())));
  for (const stream of [false, true]) {
    // The client is told not to come back, and does not.
    const call = () => refused(Anthropic.PaymentRequiredError, 402, () => spend(stream));
    const error = await expectBilled([model], [0], call);
    expect([error.type, codeOf(error)], ["billing_error", "budget_exceeded"], "the type and code");
    expectSpentBudget(error.message, error.headers);
  }
  // Counting is free.
  const { input_tokens: counted } = await poor.messages.countTokens({ model, messages: QUESTION });
  assert.ok(counted > 0, "the prompt has no tokens");
  expectAnswer(await askWith(rich, model));
  await topUp("poor", "0.0001");
  assert.ok(textOf(await spend()), "the answer is empty");
});

checkBehind("stream that the budget cuts", async (at) => {
  const model = at("sim-long");
  const readEvents = async (came) => {
    for await (const event of await askWith(poor, model, { stream: true })) came.push(event.type);
  };
  const readText = (came) =>
    poor.messages
      .stream(asked(model))
      .on("text", (piece) => came.push(piece))
      .finalMessage();
  for (const readAll of [readEvents, readText]) {
    await forgetSpending("poor");
    const came = [];
    // A stream has no status by then, so the client has no class for the error, but its type.
    const error = await expectBilled([model], [1], () => raises(Anthropic.APIError, () => readAll(came)));
    expectCut(error.message);
    expect([error.type, codeOf(error)], ["billing_error", "budget_exceeded"], "the type and code");
    assert.ok(came.length > 3, "too little came before the error");
    // There is no stop reason, and nothing is called done.
    const ends = ["content_block_stop", "message_delta", "message_stop"].filter((end) => came.includes(end));
    expect(ends, [], "the ends");
    await expectPartPaid("poor", model);
  }
});

checkBehind("leaving half-way is paid for", async (at) => {
  const model = at("sim-slow");
  await forgetSpending("rich");
  const stream = await askWith(rich, model, { stream: true, max_tokens: 10_000 });
  let events = 0;
  for await (const _event of stream) {
    if (++events < 6) continue;
    await expectSetAside("rich");
    break;
  }
  stream.controller.abort();
  await expectPartPaid("rich", model);
});

checkBehind("model without a price", async (at) => {
  const model = at("sim-unpriced");
  for (const stream of [false, true]) {
    const call = () => refused(Anthropic.PaymentRequiredError, 402, () => askWith(rich, model, { stream }));
    const error = await expectBilled([model], [0], call);
    expect([error.type, codeOf(error)], ["billing_error", "budget_exceeded"], "the type and code");
    expectUnpriced(model, error.message, error.headers);
  }
});

checkBehind("what is left of a budget", async (at) => {
  await forgetSpending("rich");
  const [headers, message] = await askRaw(rich, at("sim-chat"));
  const used = tokensOf(message);
  const left = leftOfBudget("rich", headers);
  expect(left, BUDGETS.rich[1] - used * TOKEN, "what is left after an answer");
  const [headersOfStream, streamed] = await askRaw(rich, at("sim-chat"), { stream: true });
  assert.ok(leftOfBudget("rich", headersOfStream) < left, "nothing was set aside when the stream began");
  await expectSpent("rich", used + tokensOf(streamed));
});

checkOnce("cheap model instead of a dear one", async () => {
  await forgetSpending("poor");
  const [headers, message] = await expectBilled(THRIFTY, [0, 1], () => askRaw(poor, "thrifty", { max_tokens: 30 }));
  const told = [headers.get("x-llm-target"), headers.get("x-llm-attempts")];
  expect(told, [THRIFTY[1], "1"], "the target and the attempts");
  await expectSpent("poor", tokensOf(message));
});

checkOnce("what is left of a limit", async () => {
  const [model, few] = [THRIFTY[1], connectBudgeted(FEW_KEY)];
  const told = (headers) => ["limit", "remaining"].map((what) => headers.get(`anthropic-ratelimit-requests-${what}`));
  for (const [stream, left] of [[false, "1"], [true, "0"]]) {
    const [headers] = await askRaw(few, model, { stream });
    expect(told(headers), ["2", left], "the limit and what is left of it");
  }
  for (const stream of [false, true]) {
    const call = () => refused(Anthropic.RateLimitError, 429, () => askWith(few, model, { stream }));
    const error = await expectBilled([model], [0], call);
    expect([error.type, codeOf(error)], ["rate_limit_error", "limit_exceeded"], "the type and code");
    expectLimit("few-calls", 30, error.message, error.headers);
    expect(told(error.headers), ["2", "0"], "the limit and what is left of it");
  }
});

checkOnce("limit that is waited for", async () => {
  const [model, busy] = [THRIFTY[1], connectBudgeted(BUSY_KEY, 2)];
  await useUp(BUSY_KEY);
  for (const stream of [false, true]) {
    // Left to itself the client would be back too early, twice.
    const [, message] = await expectBilled([model], [1], () => askRaw(busy, model, { stream }), 2);
    expectAnswer(message);
  }
});

checkOnce("one stream at a time", async () => {
  const single = connectBudgeted(SINGLE_KEY);
  const stream = await askWith(single, "over-openai/sim-slow", { stream: true, max_tokens: 10_000 });
  const error = await refused(Anthropic.RateLimitError, 429, () => askWith(single, THRIFTY[1]));
  expectLimit("one-at-a-time", null, error.message, error.headers);
  stream.controller.abort();
  await counts(0, BUDGETED_ADMIN);
  expectAnswer(await askWith(single, THRIFTY[1]));
});

checkCache(async (model, key, { tools, headers, ...options }) => {
  if (tools) Object.assign(options, { messages: TOOL_QUESTION, tools: TOOLS });
  const asking = connect({ baseURL: CACHED, apiKey: key });
  const [answered, message] = await askRaw(asking, model, options, headers);
  const calls = callsOf(message).map(({ name, input }) => [name, input]);
  const usage = [message.usage.input_tokens, message.usage.output_tokens];
  return [answered, { text: textOf(message), reason: message.stop_reason, calls, usage }];
});

checkOnce("provider out of reach", async () => {
  await refused(Anthropic.InternalServerError, 502, () => ask("nobody/nothing"));
});

checkOnce("models", async () => {
  const list = async (options) => {
    const names = [];
    for await (const model of client.models.list(options)) names.push(model.id);
    return names.sort();
  };
  const listed = await list({});
  for (const name of ["sim-chat", "sim-slow", "sim-embed"]) assert.ok(listed.includes(name), `${name} is not listed`);
  // In pages, of which the client fetches the next by itself.
  expect(await list({ limit: 2 }), listed, "what is listed in small pages");
  const model = await client.models.retrieve("sim-chat");
  expect([model.id, model.type], ["sim-chat", "model"], "the model");
  assert.ok(model.display_name && model.created_at, "the model says too little");
  await refused(Anthropic.NotFoundError, 404, () => client.models.retrieve("no-such-model"));
});

checkOnce("wrong key", async () => {
  for (const key of WRONG_KEYS) {
    for (const options of [{ apiKey: key }, { apiKey: null, authToken: key }]) {
      const stranger = connect({ baseURL: KEYED, ...options });
      const call = () => stranger.messages.create(asked("sim-chat"));
      const error = await refused(Anthropic.AuthenticationError, 401, call);
      expect(error.type, "authentication_error", "the type");
      assert.ok(!error.message.includes(key), "the error repeats the key");
      await refused(Anthropic.AuthenticationError, 401, () => stranger.models.list());
    }
  }
});

checkOnce("right key", async () => {
  for (const options of [{ apiKey: GOOD_KEY }, { apiKey: null, authToken: GOOD_KEY }]) {
    expectAnswer(await connect({ baseURL: KEYED, ...options }).messages.create(asked("sim-chat")));
  }
});

checkOnce("unknown model", async () => {
  await refused(Anthropic.NotFoundError, 404, () => ask("no-such-model"));
});

checkOnce("too large a request", async () => {
  const messages = [{ role: "user", content: "a".repeat(2_000_000) }];
  const error = await refused(Anthropic.ContentTooLargeError, 413, () => ask("sim-chat", { messages }));
  expect(error.type, "request_too_large", "the type");
});

checkOnce("bad request", async () => {
  const error = await refused(Anthropic.BadRequestError, 400, () => ask("sim-chat", { max_tokens: -2 }));
  expect(error.type, "invalid_request_error", "the type");
});

await run();
