"""The official Python client for OpenAI, unchanged, against the gateway. checks.py tells how it is called."""

import asyncio
import functools
import json
import time

import openai
import pydantic
from openai.lib.streaming.chat import ChatCompletionStreamState

from cached import check_cache
from checks import (
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
    calls_begun,
    check,
    check_behind,
    check_once,
    counts,
    expect,
    expect_all_down,
    expect_asked,
    expect_billed,
    expect_cache_status,
    expect_cached,
    expect_calls,
    expect_cut,
    expect_degraded,
    expect_given_up,
    expect_headers,
    expect_left,
    expect_limit,
    expect_open_circuit,
    expect_part_paid,
    expect_set_aside,
    expect_spent,
    expect_spent_budget,
    expect_substitute,
    expect_timeout,
    expect_unpriced,
    fail_until_open,
    forget_answers,
    forget_spending,
    left_of_budget,
    open_circuit,
    raises,
    reconfigured,
    refused,
    reset_circuit,
    run,
    seen_of,
    top_up,
    use_up,
)

QUESTION = [{"role": "user", "content": "Why is the sky blue?"}]
# The model calls every tool that is named.
TOOL_QUESTION = [{"role": "user", "content": "What are weather and time in Oslo?"}]


def tool(name, description):
    parameters = {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    }
    return {"type": "function", "function": {"name": name, "description": description, "parameters": parameters}}


WEATHER = tool("get_weather", "The weather in a city.")
TIME = tool("get_time", "The time of day in a city.")
CITY_SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "inhabitants": {"type": "integer"},
        "rivers": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["name", "inhabitants", "rivers"],
    "additionalProperties": False,
}


class City(pydantic.BaseModel):
    name: str
    inhabitants: int
    rivers: list[str]


def connect(address=GATEWAY, key="any-key", kind=openai.OpenAI, **options):
    # Without retries: a check sees the first answer.
    return kind(base_url=f"{address}/v1", api_key=key, **{"max_retries": 0, "timeout": 30, **options})


CLIENT = connect()
# Of the gateway with retries and circuits: a client that leaves retries to it, and one with its own.
LEAVING = connect(RESILIENT)
RETRYING = connect(RESILIENT, max_retries=openai.DEFAULT_MAX_RETRIES)
# Of the gateway with routes, and with retries of its own.
ROUTING = connect(ROUTED, GOOD_KEY, max_retries=openai.DEFAULT_MAX_RETRIES)
# Of the gateway with budgets: of either tenant, with retries of their own.
RICH = connect(BUDGETED, RICH_KEY, max_retries=openai.DEFAULT_MAX_RETRIES)
POOR = connect(BUDGETED, POOR_KEY, max_retries=openai.DEFAULT_MAX_RETRIES)


def ask(model, client=CLIENT, **options):
    return client.chat.completions.create(**{"model": model, "messages": QUESTION, **options})


def read(stream):
    """Reads a stream to its end: the text, the finish reasons and the usages of its chunks."""
    text, finish_reasons, usages = "", [], []
    for chunk in stream:
        expect(chunk.object, "chat.completion.chunk", "the object")
        if chunk.usage is not None:
            usages.append(chunk.usage)
        for choice in chunk.choices:
            text += choice.delta.content or ""
            if choice.finish_reason is not None:
                finish_reasons.append(choice.finish_reason)
    return text, finish_reasons, usages


def ask_raw(model, client, stream=False, **options):
    """Asks, and returns the headers and the answer; the chunks, once the last has come, if a stream is asked for."""
    create = client.chat.completions.with_raw_response.create
    raw = create(**{"model": model, "messages": QUESTION, "stream": stream, **options})
    return raw.headers, list(raw.parse()) if stream else raw.parse()


def expect_usage(usage):
    assert usage is not None, "there is no usage"
    assert usage.prompt_tokens > 0, f"the prompt has {usage.prompt_tokens} tokens"
    assert usage.completion_tokens > 0, f"the answer has {usage.completion_tokens} tokens"
    expect(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens, "the total")


@check
def chat(at):
    answer = ask(at("sim-chat"))
    expect(answer.object, "chat.completion", "the object")
    choice = answer.choices[0]
    expect(choice.message.role, "assistant", "the role")
    expect(choice.finish_reason, "stop", "the finish reason")
    assert choice.message.content, "the answer is empty"
    assert answer._request_id, "the answer has no request id"
    expect_usage(answer.usage)


@check
def length_limit(at):
    answer = ask(at("sim-chat"), max_completion_tokens=5)
    expect(answer.choices[0].finish_reason, "length", "the finish reason")
    expect(answer.usage.completion_tokens, 5, "the length of the answer")


@check
def several_choices(at):
    if at("").startswith("over-anthropic"):
        # Anthropic answers once, and a choice less would not be what was asked for.
        refused(openai.BadRequestError, 400, lambda: ask(at("sim-chat"), n=2))
        return
    answer = ask(at("sim-chat"), n=2)
    expect([choice.index for choice in answer.choices], [0, 1], "the choices")
    texts = {}
    for chunk in ask(at("sim-chat"), n=2, stream=True):
        for choice in chunk.choices:
            texts[choice.index] = texts.get(choice.index, "") + (choice.delta.content or "")
    assert texts[0] and texts[1] and len(texts) == 2, f"the choices of the stream are {sorted(texts)}"


@check
def reasoning(at):
    answer = ask(at("sim-reasons"), reasoning_effort="low")
    assert answer.choices[0].message.content, "the answer is empty"
    details = answer.usage.completion_tokens_details
    assert 0 < details.reasoning_tokens < answer.usage.completion_tokens, f"the usage is {answer.usage}"


@check
def fields_of_tomorrow(at):
    # Fields that nobody knows yet, and those that only advise, are no reason to refuse a request.
    answer = ask(at("sim-chat"), user="u-1", metadata={"a": "b"}, extra_body={"field_of_tomorrow": {"deep": [1.50]}})
    assert answer.choices[0].message.content, "the answer is empty"


@check
def stream_with_usage(at):
    text, finish_reasons, usages = read(ask(at("sim-chat"), stream=True, stream_options={"include_usage": True}))
    assert text, "the answer is empty"
    expect(finish_reasons, ["stop"], "the finish reasons")
    expect(len(usages), 1, "the number of usages")
    expect_usage(usages[0])


@check
def stream_without_usage_has_none(at):
    text, _, usages = read(ask(at("sim-chat"), stream=True))
    assert text, "the answer is empty"
    expect(usages, [], "the usages nobody asked for")


@check
def stream_in_single_bytes(at):
    text, finish_reasons, _ = read(ask(at("sim-bytewise"), stream=True))
    assert text, "the answer is empty"
    expect(finish_reasons, ["stop"], "the finish reasons")


@check
def stream_with_a_late_start(at):
    text, finish_reasons, _ = read(ask(at("sim-late"), stream=True))
    assert text, "the answer is empty"
    expect(finish_reasons, ["stop"], "the finish reasons")
    # Its head has been sent by then, so the failure can only be told within the stream.
    stream = ask(at("sim-late-500"), stream=True)
    raises(openai.APIError, lambda: read(stream))


@check
def where_an_answer_comes_from(at):
    raw = CLIENT.chat.completions.with_raw_response.create(model=at("sim-chat"), messages=QUESTION)
    expect(raw.headers["x-llm-target"], at("sim-chat"), "the target")
    assert float(raw.headers["x-llm-cost-usd"]) > 0, "the answer is free"
    assert raw.parse().choices[0].message.content, "the answer is empty"


@check
def tool_round_trip(at):
    # The model calls every tool that is named.
    messages = [{"role": "user", "content": "What are weather and time in Oslo?"}]
    first = ask(at("sim-chat"), messages=messages, tools=[WEATHER, TIME])
    expect(first.choices[0].finish_reason, "tool_calls", "the finish reason")
    calls = first.choices[0].message.tool_calls
    expect([call.function.name for call in calls], ["get_weather", "get_time"], "the called functions")
    assert len({call.id for call in calls}) == 2, "two calls have one id"
    messages.append(first.choices[0].message)
    for call in calls:
        expect(call.type, "function", "the kind of the call")
        assert isinstance(json.loads(call.function.arguments)["city"], str), "the city is not a string"
        messages.append({"role": "tool", "tool_call_id": call.id, "content": '{"celsius": 4}'})
    second = ask(at("sim-chat"), messages=messages, tools=[WEATHER, TIME])
    expect(second.choices[0].finish_reason, "stop", "the finish reason after the tools' results")
    assert second.choices[0].message.content, "the answer after the tools' results is empty"


@check
def tool_calls_in_a_stream(at):
    messages = [{"role": "user", "content": "What are weather and time in Oslo?"}]
    options = {"model": at("sim-chat"), "messages": messages, "tools": [WEATHER, TIME]}
    with CLIENT.chat.completions.stream(**options) as stream:
        for _event in stream:
            pass
        answer = stream.get_final_completion()
    expect(answer.choices[0].finish_reason, "tool_calls", "the finish reason")
    calls = answer.choices[0].message.tool_calls
    expect([call.function.name for call in calls], ["get_weather", "get_time"], "the called functions")
    assert all("city" in json.loads(call.function.arguments) for call in calls), "the arguments have no city"


@check
def one_tool_call_at_a_time(at):
    messages = [{"role": "user", "content": "What are weather and time in Oslo?"}]
    options = {"messages": messages, "tools": [WEATHER, TIME], "parallel_tool_calls": False}
    expect(len(ask(at("sim-chat"), **options).choices[0].message.tool_calls), 1, "the number of calls")


@check
def chosen_tool(at):
    choice = {"type": "function", "function": {"name": "get_time"}}
    calls = ask(at("sim-chat"), tools=[WEATHER, TIME], tool_choice=choice).choices[0].message.tool_calls
    expect([call.function.name for call in calls], ["get_time"], "the called functions")


@check
def structured_output(at):
    schema = {"name": "city", "strict": True, "schema": CITY_SCHEMA}
    answer = ask(at("sim-chat"), response_format={"type": "json_schema", "json_schema": schema})
    value = json.loads(answer.choices[0].message.content)
    expect(set(value), set(CITY_SCHEMA["required"]), "the set of fields")
    City.model_validate(value, strict=True)


@check
def structured_output_parsed(at):
    answer = CLIENT.chat.completions.parse(model=at("sim-chat"), messages=QUESTION, response_format=City)
    assert isinstance(answer.choices[0].message.parsed, City), "the answer is not a City"


@check
def vision(at):
    image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}
    messages = [{"role": "user", "content": [{"type": "text", "text": "What is this?"}, image]}]
    assert ask(at("sim-chat"), messages=messages).choices[0].message.content, "the answer is empty"


@check
def twenty_streams_at_once(at):
    async def one(client):
        stream = await client.chat.completions.create(model=at("sim-chat"), messages=QUESTION, stream=True)
        text, finish_reason = "", None
        async for chunk in stream:
            for choice in chunk.choices:
                text += choice.delta.content or ""
                finish_reason = choice.finish_reason or finish_reason
        assert text, "an answer is empty"
        expect(finish_reason, "stop", "the finish reason")

    async def all_of_them():
        async with connect(kind=openai.AsyncOpenAI) as client:
            await asyncio.gather(*(one(client) for _ in range(20)))

    asyncio.run(all_of_them())


@check
def cancel_in_mid_stream(at):
    def leave():
        stream = ask(at("sim-slow"), stream=True)
        for number, _chunk in enumerate(stream):
            if number == 3:
                break
        stream.close()

    expect_left(at("sim-slow"), leave)


@check
def cancel_before_the_answer(at):
    async def leave():
        async with connect(kind=openai.AsyncOpenAI) as client:
            call = asyncio.create_task(client.chat.completions.create(model=at("sim-hangs"), messages=QUESTION))
            await asyncio.to_thread(counts, are_open=1)
            call.cancel()
            await asyncio.gather(call, return_exceptions=True)

    expect_left(at("sim-hangs"), lambda: asyncio.run(leave()))


@check
def timeout_of_the_client(at):
    call = lambda: ask(at("sim-hangs"), timeout=1)
    expect_timeout(at("sim-hangs"), openai.APITimeoutError, call)


# What a provider's failure becomes. Its refusal of the gateway's key is no fault of the caller's.
FAILURES = [
    ("sim-400", 400, openai.BadRequestError),
    ("sim-401", 502, openai.InternalServerError),
    ("sim-402", 429, openai.RateLimitError),
    ("sim-403", 502, openai.InternalServerError),
    ("sim-404", 404, openai.NotFoundError),
    # The client has no class for this status.
    ("sim-413", 413, openai.APIStatusError),
    ("sim-429", 429, openai.RateLimitError),
    ("sim-500", 502, openai.InternalServerError),
    ("sim-503", 503, openai.InternalServerError),
    ("sim-504", 504, openai.InternalServerError),
    ("sim-529", 503, openai.InternalServerError),
    ("sim-small", 400, openai.BadRequestError),
    ("sim-policy", 400, openai.BadRequestError),
    ("sim-no-answer", 502, openai.InternalServerError),
    ("sim-not-there", 404, openai.NotFoundError),
]
CODES = {
    "sim-402": "insufficient_quota",
    "sim-404": "model_not_found",
    "sim-429": "rate_limit_exceeded",
    "sim-small": "context_length_exceeded",
    "sim-policy": "content_policy_violation",
    "sim-not-there": "model_not_found",
}


@check
def failures_before_content(at):
    for model, status, error_type in FAILURES:
        for stream in [False, True]:
            what = f"{model} (stream: {stream})"
            error = refused(error_type, status, lambda: ask(at(model), stream=stream), what)
            assert error.message and error.type and error.request_id, f"the error of {what} says too little"
            if model in CODES:
                expect(error.code, CODES[model], f"the code of {what}")


@check
def failures_in_mid_stream(at):
    for model in ["sim-cut", "sim-reset", "sim-ends", "sim-garbage", "sim-error"]:
        for options in [{}, {"stream_options": {"include_usage": True}}]:
            stream = ask(at(model), stream=True, **options)
            error = raises(openai.APIError, lambda: read(stream), model)
            assert error.message, f"the error of {model} has no message"


@check
def a_cut_answer_is_no_answer(at):
    for model in ["sim-cut", "sim-reset", "sim-ends", "sim-garbage", "sim-error"]:
        refused(openai.InternalServerError, 502, lambda: ask(at(model)), model)


@check
def embeddings(at):
    if at("").startswith("over-anthropic"):
        # Anthropic has no embeddings, so its provider refuses them as a fault of the request.
        refused(openai.BadRequestError, 400, lambda: CLIENT.embeddings.create(model=at("sim-embed"), input="the sky"))
        return
    texts = ["the sky", "the sea"]
    # By default the client asks for base64 and decodes it itself.
    decoded = CLIENT.embeddings.create(model=at("sim-embed"), input=texts)
    floats = CLIENT.embeddings.create(model=at("sim-embed"), input=texts, encoding_format="float")
    expect([item.index for item in decoded.data], [0, 1], "the order")
    assert decoded.data[0].embedding != decoded.data[1].embedding, "two texts have one embedding"
    assert decoded.usage.prompt_tokens > 0, "the input has no tokens"
    for from_base64, from_floats in zip(decoded.data, floats.data, strict=True):
        pairs = list(zip(from_base64.embedding, from_floats.embedding, strict=True))
        expect(len(pairs), 64, "the number of dimensions")
        assert all(abs(left - right) < 1e-6 for left, right in pairs), "base64 and float differ"


@check_once
def retries_that_help(at):
    # Two refusals that ask for a second each, then an answer.
    before, started = calls_begun(), time.monotonic()
    answer = ask(at("sim-third-time"), connect(max_retries=openai.DEFAULT_MAX_RETRIES))
    took = time.monotonic() - started
    assert answer.choices[0].message.content, "the answer is empty"
    expect(calls_begun() - before, 3, "the number of requests")
    assert took >= 1.9, f"the client did not wait as long as it was told to: it took {took} s"


@check_once
def retries_only_where_they_may_help(at):
    client = connect(max_retries=openai.DEFAULT_MAX_RETRIES)
    for model, requests in [("sim-400", 1), ("sim-401", 1), ("sim-402", 1), ("sim-404", 1), ("sim-413", 1),
                            ("sim-small", 1), ("sim-429", 3), ("sim-500", 3), ("sim-503", 3), ("sim-no-answer", 3)]:
        before = calls_begun()
        raises(openai.APIStatusError, lambda: ask(at(model), client), model, exactly=False)
        expect(calls_begun() - before, requests, f"the number of requests to {model}")


@check_behind
def failures_that_the_gateway_mends(at):
    for name in MENDED:
        model = reset_circuit(at(name))
        create = LEAVING.chat.completions.with_raw_response.create
        raw = expect_calls(model, 1, 3, lambda: create(model=model, messages=QUESTION))
        expect(raw.headers["x-llm-attempts"], "3", "the number of attempts that the gateway tells of")
        answer = raw.parse()
        assert answer.choices[0].message.content, f"the answer of {model} is empty"
        expect_usage(answer.usage)


@check_behind
def streams_that_the_gateway_mends(at):
    for name in MENDED:
        model = reset_circuit(at(name))
        chunks = expect_calls(model, 1, 3, lambda: list(ask(model, LEAVING, stream=True)))
        # Nothing is left of the streams that failed.
        expect([bool(chunk.choices[0].delta.role) for chunk in chunks].count(True), 1, f"the beginnings of {model}")
        expect(len({chunk.id for chunk in chunks}), 1, f"the number of answers of {model}")
        text, finish_reasons, _ = read(chunks)
        assert text, f"the answer of {model} is empty"
        expect(finish_reasons, ["stop"], f"the finish reasons of {model}")


@check_behind
def failures_that_nobody_mends(at):
    # The gateway has tried as often as makes sense, and says so. The client heeds it.
    model = reset_circuit(at("sim-500"))
    for stream in [False, True]:
        call = lambda: refused(openai.InternalServerError, 502, lambda: ask(model, RETRYING, stream=stream))
        error = expect_calls(model, 1, 3, call)
        expect_headers(error.response.headers, kind="server", origin="upstream", should_retry="false")


@check_behind
def retries_of_the_client_count(at):
    # As a client calls that has retried once, or twice, already.
    model = reset_circuit(at("sim-500"))
    for retries, attempts in [("1", 2), ("2", 1)]:
        options = {"extra_headers": {"x-stainless-retry-count": retries}}
        call = lambda: refused(openai.InternalServerError, 502, lambda: ask(model, LEAVING, **options))
        expect_calls(model, 1, attempts, call)


@check_behind
def answers_that_do_not_come(at):
    for name, stream, kind in LATE:
        model = reset_circuit(at(name))
        call = lambda: refused(openai.InternalServerError, 504, lambda: ask(model, RETRYING, stream=stream))
        error = expect_calls(model, 1, 3, call)
        expect_headers(error.response.headers, kind=kind, origin="upstream", should_retry="false")
        expect_given_up(model, 3)


@check_behind
def circuit_that_opens(at):
    model = reset_circuit(at("sim-down"))
    fail_until_open(model, lambda: raises(openai.InternalServerError, lambda: ask(model, LEAVING)))
    for stream in [False, True]:
        call = lambda: refused(openai.InternalServerError, 503, lambda: ask(model, LEAVING, stream=stream))
        error = expect_calls(model, 1, 0, call)
        expect(error.code, "circuit_open", "the code")
        expect_open_circuit(error.response.headers)


@check_behind
def circuit_that_closes(at):
    model = reset_circuit(at("sim-comes-back"))
    fail_until_open(model, lambda: raises(openai.InternalServerError, lambda: ask(model, LEAVING)))
    # Refused at first, the client waits for as long as it is told, and is the first whom the circuit lets through.
    answer = expect_calls(model, 2, 1, lambda: ask(model, RETRYING))
    assert answer.choices[0].message.content, "the answer is empty"


@check_behind
def circuit_opened_by_hand(at):
    # Nobody knows for how long. The client comes back twice after times of its own, and the provider is left alone.
    model = open_circuit(at("sim-down"))
    error = expect_calls(model, 3, 0, lambda: refused(openai.InternalServerError, 503, lambda: ask(model, RETRYING)))
    expect_headers(error.response.headers, kind="circuit_open", origin="gateway")
    assert "retry-after" not in error.response.headers, "the gateway knows what nobody knows"


@check_once
def substitute_for_two_that_are_down(_):
    headers, answer = expect_asked(SMART, [1, 1, 1], lambda: ask_raw("smart", ROUTING))
    expect_substitute(headers, stream=False)
    expect((answer.object, answer.choices[0].finish_reason), ("chat.completion", "stop"), "the answer")
    assert answer.choices[0].message.content, "the answer is empty"
    expect_usage(answer.usage)


@check_once
def substitute_in_a_stream(_):
    options = {"stream": True, "stream_options": {"include_usage": True}}
    headers, chunks = expect_asked(SMART, [1, 1, 1], lambda: ask_raw("smart", ROUTING, **options))
    expect_substitute(headers, stream=True)
    # Nothing is left of those that are down.
    expect(len({chunk.id for chunk in chunks}), 1, "the number of answers")
    roles = [choice.delta.role for chunk in chunks for choice in chunk.choices if choice.delta.role]
    expect(roles, ["assistant"], "the beginnings")
    text, finish_reasons, usages = read(chunks)
    assert text, "the answer is empty"
    expect(finish_reasons, ["stop"], "the finish reasons")
    expect(len(usages), 1, "the number of usages")
    expect_usage(usages[0])


@check_once
def substitute_that_calls_tools(_):
    # The model calls every tool that is named.
    messages = [{"role": "user", "content": "What are weather and time in Oslo?"}]
    options = {"messages": messages, "tools": [WEATHER, TIME]}
    headers, answer = expect_asked(SMART, [1, 1, 1], lambda: ask_raw("smart", ROUTING, **options))
    expect_substitute(headers, stream=False)
    call = lambda: ask_raw("smart", ROUTING, stream=True, **options)
    headers, chunks = expect_asked(SMART, [1, 1, 1], call)
    expect_substitute(headers, stream=True)
    state = ChatCompletionStreamState()
    for chunk in chunks:
        state.handle_chunk(chunk)
    for choice in [answer.choices[0], state.get_final_completion().choices[0]]:
        expect(choice.finish_reason, "tool_calls", "the finish reason")
        calls = choice.message.tool_calls
        expect([call.function.name for call in calls], ["get_weather", "get_time"], "the called functions")
        assert all("city" in json.loads(call.function.arguments) for call in calls), "the arguments have no city"


@check_once
def routes_are_models(_):
    missing = {"smart", "down"} - {model.id for model in ROUTING.models.list()}
    assert not missing, f"not listed: {sorted(missing)}"
    model = ROUTING.models.retrieve("smart")
    expect((model.id, model.object), ("smart", "model"), "the model")


@check_once
def message_when_all_are_down(_):
    options = {"extra_headers": SUPPORT_CHAT}
    headers, answer = expect_asked(DOWN, [1, 1, 1], lambda: ask_raw("down", ROUTING, **options))
    expect_degraded(headers)
    expect((answer.object, answer.choices[0].finish_reason), ("chat.completion", "stop"), "the answer")
    expect(answer.choices[0].message.content, SORRY, "the text")
    headers, chunks = expect_asked(DOWN, [1, 1, 1], lambda: ask_raw("down", ROUTING, stream=True, **options))
    expect_degraded(headers)
    text, finish_reasons, _usages = read(chunks)
    expect((text, finish_reasons), (SORRY, ["stop"]), "the text of the stream and its finish reasons")


@check_once
def error_when_all_are_down(_):
    for stream in [False, True]:
        call = lambda: refused(openai.RateLimitError, 429, lambda: ask("down", ROUTING, stream=stream))
        # The client would come back, and is told not to.
        error = expect_asked(DOWN, [1, 1, 1], call)
        expect(error.code, "rate_limit_exceeded", "the code")
        expect_all_down(error.message, error.response.headers)


@check_once
def sensitive_requests_stay_in_the_house(_):
    for stream in [False, True]:
        options = {"stream": stream, "extra_headers": SENSITIVE}
        headers, _answer = expect_asked(SMART, [0, 0, 1], lambda: ask_raw("smart", ROUTING, **options))
        expect((headers["x-llm-target"], headers["x-llm-attempts"]), (SMART[2], "1"), "the target and the attempts")
    call = lambda: refused(
        openai.InternalServerError, 503, lambda: ask(SMART[0], ROUTING, max_tokens=5, extra_headers=SENSITIVE)
    )
    error = expect_asked(SMART, [0, 0, 0], call)
    expect_headers(error.response.headers, kind="no_route", origin="gateway", should_retry="false")


@check_once
def key_for_some_models(_):
    client = connect(ROUTED, SMALL_KEY, max_retries=openai.DEFAULT_MAX_RETRIES)
    for model in SMART[:2]:
        call = lambda: refused(openai.PermissionDeniedError, 403, lambda: ask(model, client))
        error = expect_asked(SMART, [0, 0, 0], call)
        expect_headers(error.response.headers, kind="forbidden", origin="caller", should_retry="false")
    # Of a route it gets what it is good for.
    headers, _answer = expect_asked(SMART, [0, 0, 1], lambda: ask_raw("smart", client))
    expect(headers["x-llm-target"], SMART[2], "the target")


@check_once
def malformed_hints(_):
    for name, value in MALFORMED.items():
        options = {"extra_headers": {name: value}}
        call = lambda: refused(openai.BadRequestError, 400, lambda: ask("smart", ROUTING, **options), name)
        # It does not come through the doors.
        error = expect_asked(SMART, [0, 0, 0], call, requests=0)
        expect(error.type, "invalid_request_error", f"the type for {name}")
        assert f"{name}: expected" in error.message, f"the error does not name {name}: {error.message}"


@check_once
def configuration_read_again_in_mid_stream(_):
    stream = iter(ask("local/sim-slow", ROUTING, stream=True))
    beginning = [next(stream) for _ in range(3)]
    with reconfigured("[router.routes.smart]", "[router.routes.clever]"):
        assert ask("clever", ROUTING).choices[0].message.content, "the answer is empty"
        refused(openai.NotFoundError, 404, lambda: ask("smart", ROUTING))
        # The stream is still open.
        counts(are_open=1, admin=ROUTED_ADMIN)
        text, finish_reasons, _usages = read(beginning + list(stream))
    assert text, "the answer is empty"
    expect(finish_reasons, ["stop"], "the finish reasons")


@check_behind
def budget_that_is_spent(at):
    forget_spending("poor")
    model = at("sim-chat")
    spend = lambda stream=False: ask(model, POOR, max_tokens=30, stream=stream)
    expect_spent("poor", expect_billed([model], [1], spend).usage.total_tokens)
    for stream in [False, True]:
        # The client has no class for this status. It is told not to come back, and does not.
        call = lambda: refused(openai.APIStatusError, 402, lambda: spend(stream))
        error = expect_billed([model], [0], call)
        expect((error.type, error.code), ("insufficient_quota", "budget_exceeded"), "the type and code")
        expect_spent_budget(error.message, error.response.headers)
    assert ask(model, RICH).choices[0].message.content, "another tenant's answer is empty"
    top_up("poor", "0.0001")
    assert spend().choices[0].message.content, "the answer is empty"


@check_behind
def stream_that_the_budget_cuts(at):
    model = at("sim-long")

    def read_until_error(chunks):
        for chunk in ask(model, POOR, stream=True):
            chunks.append(chunk)

    forget_spending("poor")
    chunks = []
    call = lambda: raises(openai.APIError, lambda: read_until_error(chunks))
    error = expect_billed([model], [1], call)
    expect_cut(error.message)
    expect((error.type, error.code), ("insufficient_quota", "budget_exceeded"), "the type and code")
    text, finish_reasons, usages = read(chunks)
    assert text, "nothing came before the error"
    expect((finish_reasons, usages), ([], []), "the finish reasons and usages")
    expect_part_paid("poor", model)

    # The error is the last event: nothing is called done.
    forget_spending("poor")
    create = POOR.chat.completions.with_streaming_response.create
    with create(model=model, messages=QUESTION, stream=True) as raw:
        events = [line for line in raw.iter_lines() if line]
    assert events[-1].startswith('data: {"error":'), f"the last event is {events[-1]}"


@check_behind
def leaving_half_way_is_paid_for(at):
    forget_spending("rich")
    stream = ask(at("sim-slow"), RICH, stream=True)
    for number, _chunk in enumerate(stream):
        if number == 3:
            break
    expect_set_aside("rich")
    stream.close()
    expect_part_paid("rich", at("sim-slow"))


@check_behind
def model_without_a_price(at):
    model = at("sim-unpriced")
    for stream in [False, True]:
        call = lambda: refused(openai.APIStatusError, 402, lambda: ask(model, RICH, stream=stream))
        error = expect_billed([model], [0], call)
        expect((error.type, error.code), ("insufficient_quota", "budget_exceeded"), "the type and code")
        expect_unpriced(model, error.message, error.response.headers)


@check_behind
def what_is_left_of_a_budget(at):
    forget_spending("rich")
    headers, answer = ask_raw(at("sim-chat"), RICH)
    used = answer.usage.total_tokens
    _budget, cap = BUDGETS["rich"]
    left = left_of_budget("rich", headers)
    expect(left, cap - used * TOKEN, "what is left after an answer")
    headers, chunks = ask_raw(at("sim-chat"), RICH, stream=True, stream_options={"include_usage": True})
    assert left_of_budget("rich", headers) < left, "nothing was set aside when the stream began"
    expect_spent("rich", used + read(chunks)[2][0].total_tokens)


@check_once
def cheap_model_instead_of_a_dear_one(_):
    forget_spending("poor")
    call = lambda: ask_raw("thrifty", POOR, max_tokens=30)
    headers, answer = expect_billed(THRIFTY, [0, 1], call)
    expect((headers["x-llm-target"], headers["x-llm-attempts"]), (THRIFTY[1], "1"), "the target and the attempts")
    expect_spent("poor", answer.usage.total_tokens)


@check_once
def what_is_left_of_a_limit(_):
    model, client = THRIFTY[1], connect(BUDGETED, FEW_KEY)
    told = lambda headers: [headers[f"x-ratelimit-{what}-requests"] for what in ["limit", "remaining"]]
    for stream, left in [(False, "1"), (True, "0")]:
        headers, _answer = ask_raw(model, client, stream=stream)
        expect(told(headers), ["2", left], "the limit and what is left of it")
    for stream in [False, True]:
        call = lambda: refused(openai.RateLimitError, 429, lambda: ask(model, client, stream=stream))
        error = expect_billed([model], [0], call)
        expect((error.type, error.code), ("rate_limit_error", "limit_exceeded"), "the type and code")
        expect_limit("few-calls", 30, error.message, error.response.headers)
        expect(told(error.response.headers), ["2", "0"], "the limit and what is left of it")


@check_once
def limit_that_is_waited_for(_):
    model, client = THRIFTY[1], connect(BUDGETED, BUSY_KEY, max_retries=openai.DEFAULT_MAX_RETRIES)
    use_up(BUSY_KEY)
    for stream in [False, True]:
        # Left to itself the client would be back too early, twice.
        headers, _answer = expect_billed([model], [1], lambda: ask_raw(model, client, stream=stream), requests=2)
        expect(headers["x-llm-target"], model, "the target")


@check_once
def one_stream_at_a_time(_):
    client = connect(BUDGETED, SINGLE_KEY)
    stream = ask("over-openai/sim-slow", client, stream=True)
    next(iter(stream))
    error = refused(openai.RateLimitError, 429, lambda: ask(THRIFTY[1], client))
    expect_limit("one-at-a-time", None, error.message, error.response.headers)
    stream.close()
    counts(admin=BUDGETED_ADMIN)
    assert ask(THRIFTY[1], client).choices[0].message.content, "the answer is empty"


# Of the gateway with a cache, with either of its keys. Making a client takes longer than most calls.
connect_cached = functools.cache(lambda key: connect(CACHED, key))


def ask_cached(model, key, stream, tools, temperature, headers):
    options = {"temperature": temperature, "extra_headers": headers}
    if tools:
        options |= {"messages": TOOL_QUESTION, "tools": [WEATHER, TIME]}
    if stream:
        options["stream_options"] = {"include_usage": True}
    answered, answer = ask_raw(model, connect_cached(key), stream, **options)
    if stream:
        state = ChatCompletionStreamState()
        for chunk in answer:
            state.handle_chunk(chunk)
        answer = state.get_final_completion()
    [choice] = answer.choices
    calls = [call.function for call in choice.message.tool_calls or []]
    calls = [(call.name, json.loads(call.arguments)) for call in calls]
    expect_usage(answer.usage)
    usage = (answer.usage.prompt_tokens, answer.usage.completion_tokens)
    # With calls there is no text, which answers tell as null, and streams as a piece without any.
    return answered, (choice.message.content or "", choice.finish_reason, calls, *usage)


check_cache(ask_cached, openai.APIStatusError)


@check_once
def embeddings_of_which_one_is_known(_):
    model, client = "over-openai/sim-embed", connect_cached(GOOD_KEY)

    def embed(status, attempts, *texts):
        """Expects so many attempts and this of the cache, and returns the vector of each text."""
        create = client.embeddings.with_raw_response.create
        raw = expect_cached(model, attempts, lambda: create(model=model, input=list(texts)))
        expect_cache_status(raw.headers, status)
        answer = raw.parse()
        expect([item.index for item in answer.data], list(range(len(texts))), "the order")
        assert answer.usage.prompt_tokens > 0, "the input has no tokens"
        return [item.embedding for item in answer.data]

    forget_answers()
    [known] = embed("miss", 1, "the sea")
    all_three = embed("miss", 1, "the sky", "the sea", "the wind")
    expect(seen_of(model, CACHED_CALLS)[-1]["inputs"], 2, "the number of texts that the provider was asked for")
    expect(all_three[1], known, "the vector of the text that is known")
    assert all_three[0] != known != all_three[2] != all_three[0], "two texts have one embedding"
    expect(embed("hit", 0, "the wind", "the sea", "the sky"), all_three[::-1], "the vectors of texts that are known")


@check_once
def provider_out_of_reach(_):
    refused(openai.InternalServerError, 502, lambda: ask("nobody/nothing"))


@check_once
def models(at):
    listed = {model.id for model in CLIENT.models.list()}
    missing = {"sim-chat", "sim-slow", "sim-embed"} - listed
    assert not missing, f"not listed: {sorted(missing)}"
    model = CLIENT.models.retrieve("sim-chat")
    expect((model.id, model.object), ("sim-chat", "model"), "the model")
    refused(openai.NotFoundError, 404, lambda: CLIENT.models.retrieve("no-such-model"))


@check_once
def wrong_key(_):
    for key in WRONG_KEYS:
        stranger = connect(KEYED, key)
        error = refused(openai.AuthenticationError, 401, lambda: ask("sim-chat", stranger))
        assert key not in str(error), "the error repeats the key"
        refused(openai.AuthenticationError, 401, lambda: stranger.models.list())


@check_once
def right_key(_):
    assert ask("sim-chat", connect(KEYED, GOOD_KEY)).choices[0].message.content, "the answer is empty"


@check_once
def page_of_a_stranger(_):
    stranger = connect(default_headers={"origin": "http://evil.example"})
    refused(openai.PermissionDeniedError, 403, lambda: ask("sim-chat", stranger))


@check_once
def unknown_model(_):
    error = refused(openai.NotFoundError, 404, lambda: ask("no-such-model"))
    expect(error.code, "model_not_found", "the code")


@check_once
def too_large_a_request(_):
    # The client has no class for this status.
    messages = [{"role": "user", "content": "a" * 2_000_000}]
    error = refused(openai.APIStatusError, 413, lambda: ask("sim-chat", messages=messages))
    expect(error.code, "request_too_large", "the code")


@check_once
def bad_request(_):
    error = refused(openai.BadRequestError, 400, lambda: ask("sim-chat", max_tokens=-2))
    expect(error.type, "invalid_request_error", "the type")


run()
