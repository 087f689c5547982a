"""The official Python client for Anthropic, unchanged, against the gateway. checks.py tells how it is called."""

import asyncio
import functools
import time

import anthropic
import pydantic

from cached import check_cache
from checks import (
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
    calls_begun,
    check,
    check_behind,
    check_once,
    counts,
    expect,
    expect_all_down,
    expect_asked,
    expect_billed,
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
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    return {"name": name, "description": description, "input_schema": schema}


TOOLS = [tool("get_weather", "The weather in a city."), tool("get_time", "The time of day in a city.")]


class City(pydantic.BaseModel):
    name: str
    inhabitants: int
    rivers: list[str]


def connect(address=GATEWAY, kind=anthropic.Anthropic, **options):
    # Without retries: a check sees the first answer.
    options = {"api_key": "any-key", "max_retries": 0, "timeout": 30, **options}
    return kind(base_url=address, **options)


CLIENT = connect()
# Of the gateway with retries and circuits: a client that leaves retries to it, and one with its own.
LEAVING = connect(RESILIENT)
RETRYING = connect(RESILIENT, max_retries=anthropic.DEFAULT_MAX_RETRIES)
# Of the gateway with routes, and with retries of its own.
ROUTING = connect(ROUTED, api_key=GOOD_KEY, max_retries=anthropic.DEFAULT_MAX_RETRIES)
# Of the gateway with budgets: of either tenant, with retries of their own.
RICH = connect(BUDGETED, api_key=RICH_KEY, max_retries=anthropic.DEFAULT_MAX_RETRIES)
POOR = connect(BUDGETED, api_key=POOR_KEY, max_retries=anthropic.DEFAULT_MAX_RETRIES)


def ask(model, client=CLIENT, **options):
    return client.messages.create(**{"model": model, "messages": QUESTION, "max_tokens": 1_000, **options})


def read(model, client=CLIENT, **options):
    """Reads a stream to its end: the message that its events make."""
    return read_raw(model, client, **options)[1]


def read_raw(model, client, **options):
    """Reads a stream to its end: the headers, and the message that its events make."""
    options = {"model": model, "messages": QUESTION, "max_tokens": 1_000, **options}
    with client.messages.stream(**options) as stream:
        text = "".join(stream.text_stream)
        message = stream.get_final_message()
        headers = stream.response.headers
    expect(text, text_of(message), "the text in pieces")
    return headers, message


def ask_raw(model, client, **options):
    """Asks, and returns the headers and the answer."""
    options = {"model": model, "messages": QUESTION, "max_tokens": 1_000, **options}
    raw = client.messages.with_raw_response.create(**options)
    return raw.headers, raw.parse()


def text_of(message):
    return "".join(block.text for block in message.content if block.type == "text")


def calls_of(message):
    return [block for block in message.content if block.type == "tool_use"]


def tokens_of(message):
    return message.usage.input_tokens + message.usage.output_tokens


def expect_answer(message):
    expect((message.type, message.role, message.stop_reason), ("message", "assistant", "end_turn"), "the message")
    assert text_of(message), "the answer is empty"
    assert message.usage.input_tokens > 0, f"the prompt has {message.usage.input_tokens} tokens"
    assert message.usage.output_tokens > 0, f"the answer has {message.usage.output_tokens} tokens"


@check
def chat(at):
    message = ask(at("sim-chat"), system="Be brief.")
    expect_answer(message)
    assert message._request_id, "the answer has no request id"


@check
def length_limit(at):
    message = ask(at("sim-chat"), max_tokens=5)
    expect(message.stop_reason, "max_tokens", "the stop reason")
    expect(message.usage.output_tokens, 5, "the length of the answer")


@check
def stream_with_usage(at):
    expect_answer(read(at("sim-chat")))


@check
def stream_in_raw_events(at):
    events = [event.type for event in ask(at("sim-chat"), stream=True)]
    expect(events[0], "message_start", "the first event")
    expect(events[-2:], ["message_delta", "message_stop"], "the last events")
    for name in ["content_block_start", "content_block_stop"]:
        expect(events.count(name), 1, f"the number of {name}")
    assert events.count("content_block_delta") > 3, "the answer came in too few pieces"


@check
def stream_in_single_bytes(at):
    expect_answer(read(at("sim-bytewise")))


@check
def stream_with_a_late_start(at):
    expect_answer(read(at("sim-late")))
    # Its head has been sent by then, so the failure can only be told within the stream.
    error = raises(anthropic.APIStatusError, lambda: read(at("sim-late-500")))
    expect(error.type, "api_error", "the type")


@check
def features_in_beta(at):
    beta = "context-1m-2025-08-07"
    options = {"model": at("sim-chat"), "messages": QUESTION, "max_tokens": 1_000, "betas": [beta]}
    expect_answer(CLIENT.beta.messages.create(**options))
    if at("").startswith("over-anthropic"):
        expect(seen_of(at("sim-chat"))[-1]["betas"], [beta], "the features that the provider was asked for")


@check
def where_an_answer_comes_from(at):
    options = {"model": at("sim-chat"), "messages": QUESTION, "max_tokens": 1_000}
    raw = CLIENT.messages.with_raw_response.create(**options)
    expect(raw.headers["x-llm-target"], at("sim-chat"), "the target")
    assert float(raw.headers["x-llm-cost-usd"]) > 0, "the answer is free"
    expect_answer(raw.parse())


@check
def tool_round_trip(at):
    first = ask(at("sim-chat"), messages=TOOL_QUESTION, tools=TOOLS)
    expect(first.stop_reason, "tool_use", "the stop reason")
    calls = calls_of(first)
    expect([call.name for call in calls], ["get_weather", "get_time"], "the called tools")
    assert len({call.id for call in calls}) == 2, "two calls have one id"
    assert all(isinstance(call.input["city"], str) for call in calls), "the city is not a string"
    results = [{"type": "tool_result", "tool_use_id": call.id, "content": '{"celsius": 4}'} for call in calls]
    turns = [{"role": "assistant", "content": first.content}, {"role": "user", "content": results}]
    expect_answer(ask(at("sim-chat"), messages=TOOL_QUESTION + turns, tools=TOOLS))


@check
def tool_calls_in_a_stream(at):
    message = read(at("sim-chat"), messages=TOOL_QUESTION, tools=TOOLS)
    expect(message.stop_reason, "tool_use", "the stop reason")
    expect([call.name for call in calls_of(message)], ["get_weather", "get_time"], "the called tools")
    assert all(isinstance(call.input["city"], str) for call in calls_of(message)), "the city is not a string"


@check
def one_tool_call_at_a_time(at):
    choice = {"type": "auto", "disable_parallel_tool_use": True}
    message = ask(at("sim-chat"), messages=TOOL_QUESTION, tools=TOOLS, tool_choice=choice)
    expect(len(calls_of(message)), 1, "the number of calls")


@check
def chosen_tool(at):
    message = ask(at("sim-chat"), tools=TOOLS, tool_choice={"type": "tool", "name": "get_time"})
    expect([call.name for call in calls_of(message)], ["get_time"], "the called tools")


@check
def thinking(at):
    options = {"max_tokens": 4_000, "thinking": {"type": "enabled", "budget_tokens": 1_024}}
    for message in [ask(at("sim-reasons"), **options), read(at("sim-reasons"), **options)]:
        expect([block.type for block in message.content], ["thinking", "text"], "the blocks")
        assert message.content[0].thinking, "the thoughts are empty"
        # The thoughts go back with the rest, as clients do it.
        turns = [{"role": "assistant", "content": message.content}, {"role": "user", "content": "And the sea?"}]
        assert text_of(ask(at("sim-reasons"), messages=QUESTION + turns, **options)), "the second answer is empty"


@check
def structured_output(at):
    options = {"model": at("sim-chat"), "messages": QUESTION, "max_tokens": 1_000, "output_format": City}
    message = CLIENT.messages.parse(**options)
    assert isinstance(message.parsed_output, City), "the answer is not a City"


@check
def vision(at):
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
    expect_answer(
        ask(at("sim-chat"), messages=[{"role": "user", "content": [image, {"type": "text", "text": "What is this?"}]}])
    )


@check
def prompt_cache_breakpoints_are_taken(at):
    system = [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}]
    expect_answer(ask(at("sim-chat"), system=system))


@check
def token_count(at):
    def count(text):
        messages = [{"role": "user", "content": text}]
        return CLIENT.messages.count_tokens(model=at("sim-chat"), messages=messages).input_tokens

    assert 0 < count("Why?") < count("Why is the sky blue, and the sea?"), "a longer prompt has no more tokens"


@check
def twenty_streams_at_once(at):
    async def one(client):
        async with client.messages.stream(model=at("sim-chat"), messages=QUESTION, max_tokens=1_000) as stream:
            expect_answer(await stream.get_final_message())

    async def all_of_them():
        async with connect(kind=anthropic.AsyncAnthropic) as client:
            await asyncio.gather(*(one(client) for _ in range(20)))

    asyncio.run(all_of_them())


@check
def cancel_in_mid_stream(at):
    def leave():
        with CLIENT.messages.stream(model=at("sim-slow"), messages=QUESTION, max_tokens=10_000) as stream:
            for number, _text in enumerate(stream.text_stream):
                if number == 3:
                    break

    expect_left(at("sim-slow"), leave)


@check
def cancel_before_the_answer(at):
    async def leave():
        async with connect(kind=anthropic.AsyncAnthropic) as client:
            options = {"model": at("sim-hangs"), "messages": QUESTION, "max_tokens": 10}
            call = asyncio.create_task(client.messages.create(**options))
            await asyncio.to_thread(counts, are_open=1)
            call.cancel()
            await asyncio.gather(call, return_exceptions=True)

    expect_left(at("sim-hangs"), lambda: asyncio.run(leave()))


@check
def timeout_of_the_client(at):
    call = lambda: ask(at("sim-hangs"), timeout=1)
    expect_timeout(at("sim-hangs"), anthropic.APITimeoutError, call)


# What a provider's failure becomes. Its refusal of the gateway's key is no fault of the caller's.
FAILURES = [
    ("sim-400", 400, anthropic.BadRequestError, "invalid_request_error"),
    ("sim-401", 502, anthropic.InternalServerError, "api_error"),
    ("sim-402", 429, anthropic.RateLimitError, "rate_limit_error"),
    ("sim-403", 502, anthropic.InternalServerError, "api_error"),
    ("sim-404", 404, anthropic.NotFoundError, "not_found_error"),
    ("sim-413", 413, anthropic.RequestTooLargeError, "request_too_large"),
    ("sim-429", 429, anthropic.RateLimitError, "rate_limit_error"),
    ("sim-500", 502, anthropic.InternalServerError, "api_error"),
    ("sim-503", 529, anthropic.OverloadedError, "overloaded_error"),
    ("sim-504", 504, anthropic.DeadlineExceededError, "timeout_error"),
    ("sim-529", 529, anthropic.OverloadedError, "overloaded_error"),
    ("sim-small", 400, anthropic.BadRequestError, "invalid_request_error"),
    ("sim-policy", 400, anthropic.BadRequestError, "invalid_request_error"),
    ("sim-no-answer", 502, anthropic.InternalServerError, "api_error"),
    ("sim-not-there", 404, anthropic.NotFoundError, "not_found_error"),
]


@check
def failures_before_content(at):
    for model, status, error_type, name in FAILURES:
        for stream in [False, True]:
            what = f"{model} (stream: {stream})"
            error = refused(error_type, status, lambda: ask(at(model), stream=stream), what)
            assert error.message and error.request_id, f"the error of {what} says too little"
            expect(error.type, name, f"the type of {what}")


@check
def failures_in_mid_stream(at):
    for model in ["sim-cut", "sim-reset", "sim-ends", "sim-garbage", "sim-error"]:
        # The status of a stream is good by then, so the client has no class for the error, but its type.
        error = raises(anthropic.APIStatusError, lambda: read(at(model)), model)
        expect(error.type, "api_error", f"the type of {model}")


@check
def a_cut_answer_is_no_answer(at):
    for model in ["sim-cut", "sim-reset", "sim-ends", "sim-garbage", "sim-error"]:
        refused(anthropic.InternalServerError, 502, lambda: ask(at(model)), model)


@check_once
def retries_that_help(at):
    # Two refusals that ask for a second each, then an answer.
    before, started = calls_begun(), time.monotonic()
    answer = ask(at("sim-third-time"), connect(max_retries=anthropic.DEFAULT_MAX_RETRIES))
    took = time.monotonic() - started
    assert text_of(answer), "the answer is empty"
    expect(calls_begun() - before, 3, "the number of requests")
    assert took >= 1.9, f"the client did not wait as long as it was told to: it took {took} s"


@check_once
def retries_only_where_they_may_help(at):
    client = connect(max_retries=anthropic.DEFAULT_MAX_RETRIES)
    requests = {"sim-400": 1, "sim-401": 1, "sim-402": 1, "sim-404": 1, "sim-413": 1, "sim-small": 1}
    requests |= {"sim-429": 3, "sim-500": 3, "sim-503": 3, "sim-no-answer": 3}
    for model, wanted in requests.items():
        before = calls_begun()
        raises(anthropic.APIStatusError, lambda: ask(at(model), client), model, exactly=False)
        expect(calls_begun() - before, wanted, f"the number of requests to {model}")


@check_behind
def failures_that_the_gateway_mends(at):
    for name in MENDED:
        model = reset_circuit(at(name))
        options = {"model": model, "messages": QUESTION, "max_tokens": 1_000}
        raw = expect_calls(model, 1, 3, lambda: LEAVING.messages.with_raw_response.create(**options))
        expect(raw.headers["x-llm-attempts"], "3", "the number of attempts that the gateway tells of")
        expect_answer(raw.parse())


@check_behind
def streams_that_the_gateway_mends(at):
    for name in MENDED:
        model = reset_circuit(at(name))
        expect_answer(expect_calls(model, 1, 3, lambda: read(model, LEAVING)))
        # Nothing is left of the streams that failed.
        events = expect_calls(model, 1, 3, lambda: [event.type for event in ask(model, LEAVING, stream=True)])
        for once in ["message_start", "content_block_start", "content_block_stop", "message_stop"]:
            expect(events.count(once), 1, f"the number of {once} of {model}")


@check_behind
def failures_that_nobody_mends(at):
    # The gateway has tried as often as makes sense, and says so. The client heeds it.
    model = reset_circuit(at("sim-500"))
    for stream in [False, True]:
        call = lambda: refused(anthropic.InternalServerError, 502, lambda: ask(model, RETRYING, stream=stream))
        error = expect_calls(model, 1, 3, call)
        expect(error.type, "api_error", "the type")
        expect_headers(error.response.headers, kind="server", origin="upstream", should_retry="false")


@check_behind
def retries_of_the_client_count(at):
    # As a client calls that has retried once, or twice, already.
    model = reset_circuit(at("sim-500"))
    for retries, attempts in [("1", 2), ("2", 1)]:
        options = {"extra_headers": {"x-stainless-retry-count": retries}}
        call = lambda: refused(anthropic.InternalServerError, 502, lambda: ask(model, LEAVING, **options))
        expect_calls(model, 1, attempts, call)


@check_behind
def answers_that_do_not_come(at):
    for name, stream, kind in LATE:
        model = reset_circuit(at(name))
        call = lambda: refused(anthropic.DeadlineExceededError, 504, lambda: ask(model, RETRYING, stream=stream))
        error = expect_calls(model, 1, 3, call)
        expect(error.type, "timeout_error", "the type")
        expect_headers(error.response.headers, kind=kind, origin="upstream", should_retry="false")
        expect_given_up(model, 3)


@check_behind
def circuit_that_opens(at):
    model = reset_circuit(at("sim-down"))
    fail_until_open(model, lambda: raises(anthropic.InternalServerError, lambda: ask(model, LEAVING)))
    for stream in [False, True]:
        call = lambda: refused(anthropic.ServiceUnavailableError, 503, lambda: ask(model, LEAVING, stream=stream))
        error = expect_calls(model, 1, 0, call)
        expect(error.type, "overloaded_error", "the type")
        expect_open_circuit(error.response.headers)


@check_behind
def circuit_that_closes(at):
    model = reset_circuit(at("sim-comes-back"))
    fail_until_open(model, lambda: raises(anthropic.InternalServerError, lambda: ask(model, LEAVING)))
    # Refused at first, the client waits for as long as it is told, and is the first whom the circuit lets through.
    expect_answer(expect_calls(model, 2, 1, lambda: ask(model, RETRYING)))


@check_behind
def circuit_opened_by_hand(at):
    # Nobody knows for how long. The client comes back twice after times of its own, and the provider is left alone.
    model = open_circuit(at("sim-down"))
    call = lambda: refused(anthropic.ServiceUnavailableError, 503, lambda: ask(model, RETRYING))
    error = expect_calls(model, 3, 0, call)
    expect_headers(error.response.headers, kind="circuit_open", origin="gateway")
    assert "retry-after" not in error.response.headers, "the gateway knows what nobody knows"


@check_once
def substitute_for_two_that_are_down(_):
    headers, message = expect_asked(SMART, [1, 1, 1], lambda: ask_raw("smart", ROUTING))
    expect_substitute(headers, stream=False)
    expect_answer(message)


@check_once
def substitute_in_a_stream(_):
    headers, message = expect_asked(SMART, [1, 1, 1], lambda: read_raw("smart", ROUTING))
    expect_substitute(headers, stream=True)
    expect_answer(message)
    # Nothing is left of those that are down.
    call = lambda: [event.type for event in ask("smart", ROUTING, stream=True)]
    events = expect_asked(SMART, [1, 1, 1], call)
    for once in ["message_start", "content_block_start", "content_block_stop", "message_stop"]:
        expect(events.count(once), 1, f"the number of {once}")


@check_once
def substitute_that_calls_tools(_):
    for ask_or_read, stream in [(ask_raw, False), (read_raw, True)]:
        call = lambda: ask_or_read("smart", ROUTING, messages=TOOL_QUESTION, tools=TOOLS)
        headers, message = expect_asked(SMART, [1, 1, 1], call)
        expect_substitute(headers, stream)
        expect(message.stop_reason, "tool_use", "the stop reason")
        expect([call.name for call in calls_of(message)], ["get_weather", "get_time"], "the called tools")
        assert all(isinstance(call.input["city"], str) for call in calls_of(message)), "the city is not a string"


@check_once
def routes_are_models(_):
    missing = {"smart", "down"} - {model.id for model in ROUTING.models.list()}
    assert not missing, f"not listed: {sorted(missing)}"
    model = ROUTING.models.retrieve("smart")
    expect((model.id, model.type), ("smart", "model"), "the model")


@check_once
def message_when_all_are_down(_):
    for ask_or_read in [ask_raw, read_raw]:
        call = lambda: ask_or_read("down", ROUTING, extra_headers=SUPPORT_CHAT)
        headers, message = expect_asked(DOWN, [1, 1, 1], call)
        expect_degraded(headers)
        expect((message.type, message.role, message.stop_reason), ("message", "assistant", "end_turn"), "the message")
        expect([(block.type, block.text) for block in message.content], [("text", SORRY)], "the blocks")


@check_once
def error_when_all_are_down(_):
    for stream in [False, True]:
        call = lambda: refused(anthropic.RateLimitError, 429, lambda: ask("down", ROUTING, stream=stream))
        # The client would come back, and is told not to.
        error = expect_asked(DOWN, [1, 1, 1], call)
        expect(error.type, "rate_limit_error", "the type")
        expect_all_down(error.message, error.response.headers)


@check_once
def sensitive_requests_stay_in_the_house(_):
    for ask_or_read in [ask_raw, read_raw]:
        call = lambda: ask_or_read("smart", ROUTING, extra_headers=SENSITIVE)
        headers, message = expect_asked(SMART, [0, 0, 1], call)
        expect((headers["x-llm-target"], headers["x-llm-attempts"]), (SMART[2], "1"), "the target and the attempts")
        expect_answer(message)
    options = {"extra_headers": SENSITIVE}
    call = lambda: refused(anthropic.ServiceUnavailableError, 503, lambda: ask(SMART[0], ROUTING, **options))
    error = expect_asked(SMART, [0, 0, 0], call)
    expect_headers(error.response.headers, kind="no_route", origin="gateway", should_retry="false")


@check_once
def key_for_some_models(_):
    client = connect(ROUTED, api_key=SMALL_KEY, max_retries=anthropic.DEFAULT_MAX_RETRIES)
    for model in SMART[:2]:
        call = lambda: refused(anthropic.PermissionDeniedError, 403, lambda: ask(model, client))
        error = expect_asked(SMART, [0, 0, 0], call)
        expect(error.type, "permission_error", "the type")
        expect_headers(error.response.headers, kind="forbidden", origin="caller", should_retry="false")
    # Of a route it gets what it is good for.
    headers, message = expect_asked(SMART, [0, 0, 1], lambda: ask_raw("smart", client))
    expect(headers["x-llm-target"], SMART[2], "the target")
    expect_answer(message)


@check_once
def malformed_hints(_):
    for name, value in MALFORMED.items():
        options = {"extra_headers": {name: value}}
        call = lambda: refused(anthropic.BadRequestError, 400, lambda: ask("smart", ROUTING, **options), name)
        # It does not come through the doors.
        error = expect_asked(SMART, [0, 0, 0], call, requests=0)
        expect(error.type, "invalid_request_error", f"the type for {name}")
        assert f"{name}: expected" in error.message, f"the error does not name {name}: {error.message}"


@check_once
def configuration_read_again_in_mid_stream(_):
    options = {"model": "local/sim-slow", "messages": QUESTION, "max_tokens": 1_000}
    with ROUTING.messages.stream(**options) as stream:
        pieces = iter(stream.text_stream)
        beginning = [next(pieces) for _ in range(3)]
        with reconfigured("[router.routes.smart]", "[router.routes.clever]"):
            expect_answer(ask("clever", ROUTING))
            refused(anthropic.NotFoundError, 404, lambda: ask("smart", ROUTING))
            # The stream is still open.
            counts(are_open=1, admin=ROUTED_ADMIN)
            text = "".join([*beginning, *pieces])
            message = stream.get_final_message()
    expect_answer(message)
    expect(text, text_of(message), "the text in pieces")


@check_behind
def budget_that_is_spent(at):
    forget_spending("poor")
    model = at("sim-chat")
    spend = lambda stream=False: ask(model, POOR, max_tokens=30, stream=stream)
    expect_spent("poor", tokens_of(expect_billed([model], [1], spend)))
    for stream in [False, True]:
        # The client is told not to come back, and does not.
        call = lambda: refused(anthropic.PaymentRequiredError, 402, lambda: spend(stream))
        error = expect_billed([model], [0], call)
        expect((error.type, error.error_code), ("billing_error", "budget_exceeded"), "the type and code")
        expect_spent_budget(error.message, error.response.headers)
    # Counting is free.
    assert POOR.messages.count_tokens(model=model, messages=QUESTION).input_tokens > 0, "the prompt has no tokens"
    expect_answer(ask(model, RICH))
    top_up("poor", "0.0001")
    assert text_of(spend()), "the answer is empty"


@check_behind
def stream_that_the_budget_cuts(at):
    model = at("sim-long")

    def read_events(events):
        for event in ask(model, POOR, stream=True):
            events.append(event.type)

    def read_text(pieces):
        with POOR.messages.stream(model=model, messages=QUESTION, max_tokens=1_000) as stream:
            for piece in stream.text_stream:
                pieces.append(piece)

    for read_all in [read_events, read_text]:
        forget_spending("poor")
        came = []
        # The status of a stream is good by then, so the client has no class for the error, but its type.
        call = lambda: raises(anthropic.APIStatusError, lambda: read_all(came))
        error = expect_billed([model], [1], call)
        expect_cut(error.message)
        expect((error.type, error.error_code), ("billing_error", "budget_exceeded"), "the type and code")
        assert len(came) > 3, "too little came before the error"
        # There is no stop reason, and nothing is called done.
        expect({"content_block_stop", "message_delta", "message_stop"} & set(came), set(), "the set of ends")
        expect_part_paid("poor", model)


@check_behind
def leaving_half_way_is_paid_for(at):
    forget_spending("rich")
    with RICH.messages.stream(model=at("sim-slow"), messages=QUESTION, max_tokens=10_000) as stream:
        for number, _text in enumerate(stream.text_stream):
            if number == 3:
                break
        expect_set_aside("rich")
    expect_part_paid("rich", at("sim-slow"))


@check_behind
def model_without_a_price(at):
    model = at("sim-unpriced")
    for stream in [False, True]:
        call = lambda: refused(anthropic.PaymentRequiredError, 402, lambda: ask(model, RICH, stream=stream))
        error = expect_billed([model], [0], call)
        expect((error.type, error.error_code), ("billing_error", "budget_exceeded"), "the type and code")
        expect_unpriced(model, error.message, error.response.headers)


@check_behind
def what_is_left_of_a_budget(at):
    forget_spending("rich")
    headers, message = ask_raw(at("sim-chat"), RICH)
    used = tokens_of(message)
    _budget, cap = BUDGETS["rich"]
    left = left_of_budget("rich", headers)
    expect(left, cap - used * TOKEN, "what is left after an answer")
    headers, message = read_raw(at("sim-chat"), RICH)
    assert left_of_budget("rich", headers) < left, "nothing was set aside when the stream began"
    expect_spent("rich", used + tokens_of(message))


@check_once
def cheap_model_instead_of_a_dear_one(_):
    forget_spending("poor")
    call = lambda: ask_raw("thrifty", POOR, max_tokens=30)
    headers, message = expect_billed(THRIFTY, [0, 1], call)
    expect((headers["x-llm-target"], headers["x-llm-attempts"]), (THRIFTY[1], "1"), "the target and the attempts")
    expect_spent("poor", tokens_of(message))


@check_once
def what_is_left_of_a_limit(_):
    model, client = THRIFTY[1], connect(BUDGETED, api_key=FEW_KEY)
    told = lambda headers: [headers[f"anthropic-ratelimit-requests-{what}"] for what in ["limit", "remaining"]]
    for ask_or_read, left in [(ask_raw, "1"), (read_raw, "0")]:
        headers, _message = ask_or_read(model, client)
        expect(told(headers), ["2", left], "the limit and what is left of it")
    for stream in [False, True]:
        call = lambda: refused(anthropic.RateLimitError, 429, lambda: ask(model, client, stream=stream))
        error = expect_billed([model], [0], call)
        expect((error.type, error.error_code), ("rate_limit_error", "limit_exceeded"), "the type and code")
        expect_limit("few-calls", 30, error.message, error.response.headers)
        expect(told(error.response.headers), ["2", "0"], "the limit and what is left of it")


@check_once
def limit_that_is_waited_for(_):
    model, client = THRIFTY[1], connect(BUDGETED, api_key=BUSY_KEY, max_retries=anthropic.DEFAULT_MAX_RETRIES)
    use_up(BUSY_KEY)
    for ask_or_read in [ask_raw, read_raw]:
        # Left to itself the client would be back too early, twice.
        _headers, message = expect_billed([model], [1], lambda: ask_or_read(model, client), requests=2)
        expect_answer(message)


@check_once
def one_stream_at_a_time(_):
    client = connect(BUDGETED, api_key=SINGLE_KEY)
    with client.messages.stream(model="over-openai/sim-slow", messages=QUESTION, max_tokens=10_000) as stream:
        next(iter(stream.text_stream))
        error = refused(anthropic.RateLimitError, 429, lambda: ask(THRIFTY[1], client))
        expect_limit("one-at-a-time", None, error.message, error.response.headers)
    counts(admin=BUDGETED_ADMIN)
    expect_answer(ask(THRIFTY[1], client))


# Of the gateway with a cache, with either of its keys. Making a client takes longer than most calls.
connect_cached = functools.cache(lambda key: connect(CACHED, api_key=key))


def ask_cached(model, key, stream, tools, temperature, headers):
    # The client has no argument for the temperature.
    options = {"extra_body": {"temperature": temperature}, "extra_headers": headers}
    if tools:
        options |= {"messages": TOOL_QUESTION, "tools": TOOLS}
    answered, message = (read_raw if stream else ask_raw)(model, connect_cached(key), **options)
    calls = [(call.name, call.input) for call in calls_of(message)]
    usage = (message.usage.input_tokens, message.usage.output_tokens)
    return answered, (text_of(message), message.stop_reason, calls, *usage)


check_cache(ask_cached, anthropic.APIStatusError)


@check_once
def provider_out_of_reach(_):
    refused(anthropic.InternalServerError, 502, lambda: ask("nobody/nothing"))


@check_once
def models(_):
    listed = {model.id for model in CLIENT.models.list()}
    missing = {"sim-chat", "sim-slow", "sim-embed"} - listed
    assert not missing, f"not listed: {sorted(missing)}"
    # In pages, of which the client fetches the next by itself.
    expect({model.id for model in CLIENT.models.list(limit=2)}, listed, "what is listed in small pages")
    model = CLIENT.models.retrieve("sim-chat")
    expect((model.id, model.type), ("sim-chat", "model"), "the model")
    assert model.display_name and model.created_at, "the model says too little"
    refused(anthropic.NotFoundError, 404, lambda: CLIENT.models.retrieve("no-such-model"))


@check_once
def wrong_key(_):
    for key in WRONG_KEYS:
        for options in [{"api_key": key}, {"api_key": None, "auth_token": key}]:
            stranger = connect(KEYED, **options)
            error = refused(anthropic.AuthenticationError, 401, lambda: ask("sim-chat", stranger))
            expect(error.type, "authentication_error", "the type")
            assert key not in str(error), "the error repeats the key"
            refused(anthropic.AuthenticationError, 401, lambda: stranger.models.list())


@check_once
def right_key(_):
    for options in [{"api_key": GOOD_KEY}, {"api_key": None, "auth_token": GOOD_KEY}]:
        expect_answer(ask("sim-chat", connect(KEYED, **options)))


@check_once
def page_of_a_stranger(_):
    stranger = connect(default_headers={"origin": "http://evil.example"})
    error = refused(anthropic.PermissionDeniedError, 403, lambda: ask("sim-chat", stranger))
    expect(error.type, "permission_error", "the type")


@check_once
def unknown_model(_):
    error = refused(anthropic.NotFoundError, 404, lambda: ask("no-such-model"))
    expect(error.type, "not_found_error", "the type")


@check_once
def too_large_a_request(_):
    messages = [{"role": "user", "content": "a" * 2_000_000}]
    error = refused(anthropic.RequestTooLargeError, 413, lambda: ask("sim-chat", messages=messages))
    expect(error.type, "request_too_large", "the type")


@check_once
def bad_request(_):
    for options in [{"max_tokens": -1}, {"messages": [{"role": "nobody", "content": "Why?"}]}]:
        error = refused(anthropic.BadRequestError, 400, lambda: ask("sim-chat", **options))
        expect(error.type, "invalid_request_error", "the type")


run()
