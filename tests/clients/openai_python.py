"""The official Python client for OpenAI, unchanged, against the gateway.

    python openai_python.py OPEN KEYED

OPEN is the address of a gateway that takes any key, KEYED of one that knows only `acme-test-key`. Prints a line a
check, `ok NAME` or `FAILED NAME: reason`, and exits with 1 when one has failed.
"""

import asyncio
import json
import sys

import openai
import pydantic

CHAT_MODEL = "llama-3-8b"
CHAT_MODELS = {"llama-3-8b", "deepseek-coder", "claude-3-5-sonnet"}
EMBEDDING_MODEL = "text-embedding-sim"
GOOD_KEY = "acme-test-key"

QUESTION = [{"role": "user", "content": "Why is the sky blue?"}]
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}
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


CHECKS = []


def check(function):
    """Registers a check under its function's name."""
    CHECKS.append(function)
    return function


def connect(address, key="any-key", kind=openai.OpenAI):
    # Without retries: a check sees the first answer.
    return kind(base_url=f"{address}/v1", api_key=key, max_retries=0, timeout=30)


def expect(actual, wanted, what):
    assert actual == wanted, f"{what} is {actual!r}, not {wanted!r}"


def refused(error_type, status, call):
    """Calls, expects this error, and returns it."""
    try:
        call()
    except error_type as error:
        expect(error.status_code, status, "the status")
        return error
    raise AssertionError(f"the call succeeded, {error_type.__name__} was expected")


def expect_usage(usage):
    assert usage is not None, "there is no usage"
    assert usage.prompt_tokens > 0, f"the prompt has {usage.prompt_tokens} tokens"
    assert usage.completion_tokens > 0, f"the answer has {usage.completion_tokens} tokens"
    expect(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens, "the total")


@check
def chat(client, _):
    answer = client.chat.completions.create(model=CHAT_MODEL, messages=QUESTION)
    expect(answer.object, "chat.completion", "the object")
    choice = answer.choices[0]
    expect(choice.message.role, "assistant", "the role")
    expect(choice.finish_reason, "stop", "the finish reason")
    assert choice.message.content, "the answer is empty"
    expect_usage(answer.usage)


@check
def every_chat_model_answers(client, _):
    for model in sorted(CHAT_MODELS):
        answer = client.chat.completions.create(model=model, messages=QUESTION)
        assert answer.choices[0].message.content, f"the answer of {model} is empty"


@check
def stream_with_usage(client, _):
    text, finish_reasons, usages = "", [], []
    stream = client.chat.completions.create(
        model=CHAT_MODEL, messages=QUESTION, stream=True, stream_options={"include_usage": True}
    )
    chunks = 0
    for chunk in stream:
        expect(chunk.object, "chat.completion.chunk", "the object")
        chunks += 1
        if chunk.usage is not None:
            usages.append(chunk.usage)
            expect(chunk.choices, [], "the choices beside the usage")
        for choice in chunk.choices:
            text += choice.delta.content or ""
            if choice.finish_reason is not None:
                finish_reasons.append(choice.finish_reason)
    assert text, "the answer is empty"
    assert chunks > 3, f"the answer came in {chunks} chunks"
    expect(finish_reasons, ["stop"], "the finish reasons")
    expect(len(usages), 1, "the number of usages")
    expect_usage(usages[0])


@check
def stream_without_usage_has_none(client, _):
    stream = client.chat.completions.create(model=CHAT_MODEL, messages=QUESTION, stream=True)
    expect([chunk.usage for chunk in stream if chunk.usage is not None], [], "the usages nobody asked for")


@check
def tool_round_trip(client, _):
    messages = [{"role": "user", "content": "What is the weather in Oslo?"}]
    first = client.chat.completions.create(model=CHAT_MODEL, messages=messages, tools=[WEATHER])
    expect(first.choices[0].finish_reason, "tool_calls", "the finish reason")
    calls = first.choices[0].message.tool_calls
    assert calls, "there is no tool call"
    messages.append(first.choices[0].message)
    for call in calls:
        expect(call.type, "function", "the kind of the call")
        expect(call.function.name, "get_weather", "the called function")
        assert isinstance(json.loads(call.function.arguments)["city"], str), "the city is not a string"
        messages.append({"role": "tool", "tool_call_id": call.id, "content": '{"celsius": 4}'})
    second = client.chat.completions.create(model=CHAT_MODEL, messages=messages, tools=[WEATHER])
    expect(second.choices[0].finish_reason, "stop", "the finish reason after the tool's result")
    assert second.choices[0].message.content, "the answer after the tool's result is empty"


@check
def tool_calls_in_a_stream(client, _):
    with client.chat.completions.stream(model=CHAT_MODEL, messages=QUESTION, tools=[WEATHER]) as stream:
        for _event in stream:
            pass
        answer = stream.get_final_completion()
    expect(answer.choices[0].finish_reason, "tool_calls", "the finish reason")
    call = answer.choices[0].message.tool_calls[0]
    expect(call.function.name, "get_weather", "the called function")
    assert "city" in json.loads(call.function.arguments), "the arguments have no city"


@check
def parallel_tool_calls_are_accepted(client, _):
    def call(number, city):
        arguments = json.dumps({"city": city})
        return {"id": f"call_{number}", "type": "function", "function": {"name": "get_weather", "arguments": arguments}}

    messages = [
        {"role": "user", "content": "Is it warmer in Oslo or in Rome?"},
        {"role": "assistant", "content": None, "tool_calls": [call(1, "Oslo"), call(2, "Rome")]},
        {"role": "tool", "tool_call_id": "call_1", "content": '{"celsius": 4}'},
        {"role": "tool", "tool_call_id": "call_2", "content": '{"celsius": 19}'},
    ]
    answer = client.chat.completions.create(
        model=CHAT_MODEL, messages=messages, tools=[WEATHER], parallel_tool_calls=True
    )
    assert answer.choices[0].message.content, "the answer is empty"


@check
def structured_output(client, _):
    answer = client.chat.completions.create(
        model=CHAT_MODEL,
        messages=QUESTION,
        response_format={
            "type": "json_schema",
            "json_schema": {"name": "city", "strict": True, "schema": CITY_SCHEMA},
        },
    )
    value = json.loads(answer.choices[0].message.content)
    expect(set(value), set(CITY_SCHEMA["required"]), "the set of fields")
    City.model_validate(value, strict=True)


@check
def structured_output_parsed(client, _):
    answer = client.chat.completions.parse(model=CHAT_MODEL, messages=QUESTION, response_format=City)
    assert isinstance(answer.choices[0].message.parsed, City), "the answer is not a City"


@check
def embeddings(client, _):
    texts = ["the sky", "the sea"]
    # By default the client asks for base64 and decodes it itself.
    decoded = client.embeddings.create(model=EMBEDDING_MODEL, input=texts)
    floats = client.embeddings.create(model=EMBEDDING_MODEL, input=texts, encoding_format="float")
    expect([item.index for item in decoded.data], [0, 1], "the order")
    assert decoded.data[0].embedding != decoded.data[1].embedding, "two texts have one embedding"
    assert decoded.usage.prompt_tokens > 0, "the input has no tokens"
    for from_base64, from_floats in zip(decoded.data, floats.data, strict=True):
        pairs = list(zip(from_base64.embedding, from_floats.embedding, strict=True))
        assert len(pairs) > 1, f"an embedding has {len(pairs)} dimensions"
        assert all(abs(left - right) < 1e-6 for left, right in pairs), "base64 and float differ"


@check
def models(client, _):
    listed = {model.id for model in client.models.list()}
    missing = (CHAT_MODELS | {EMBEDDING_MODEL}) - listed
    assert not missing, f"not listed: {sorted(missing)}"
    model = client.models.retrieve(CHAT_MODEL)
    expect((model.id, model.object), (CHAT_MODEL, "model"), "the model")
    refused(openai.NotFoundError, 404, lambda: client.models.retrieve("no-such-model"))


@check
def wrong_key(_, keyed):
    for key in ["wrong-key", GOOD_KEY + "x", GOOD_KEY[:-1]]:
        stranger = connect(keyed, key)
        error = refused(
            openai.AuthenticationError,
            401,
            lambda: stranger.chat.completions.create(model=CHAT_MODEL, messages=QUESTION),
        )
        assert key not in str(error), "the error repeats the key"
    refused(openai.AuthenticationError, 401, lambda: connect(keyed, "wrong-key").models.list())


@check
def right_key(_, keyed):
    answer = connect(keyed, GOOD_KEY).chat.completions.create(model=CHAT_MODEL, messages=QUESTION)
    assert answer.choices[0].message.content, "the answer is empty"


@check
def unknown_model(client, _):
    error = refused(
        openai.NotFoundError,
        404,
        lambda: client.chat.completions.create(model="no-such-model", messages=QUESTION),
    )
    expect(error.code, "model_not_found", "the error code")


@check
def bad_request(client, _):
    error = refused(
        openai.BadRequestError,
        400,
        lambda: client.chat.completions.create(model=CHAT_MODEL, messages=QUESTION, max_tokens=-1),
    )
    expect(error.type, "invalid_request_error", "the error type")


@check
def cancel_in_mid_stream(client, _):
    for _round in range(5):
        stream = client.chat.completions.create(model=CHAT_MODEL, messages=QUESTION, stream=True)
        for number, chunk in enumerate(stream):
            assert all(choice.finish_reason is None for choice in chunk.choices), "the stream was over too soon"
            if number == 2:
                break
        stream.close()
    chat(client, None)


@check
def twenty_streams_at_once(_, __):
    async def one(client):
        stream = await client.chat.completions.create(model=CHAT_MODEL, messages=QUESTION, stream=True)
        text, finish_reason = "", None
        async for chunk in stream:
            for choice in chunk.choices:
                text += choice.delta.content or ""
                finish_reason = choice.finish_reason or finish_reason
        assert text, "an answer is empty"
        expect(finish_reason, "stop", "the finish reason")

    async def all_of_them():
        async with connect(OPEN, kind=openai.AsyncOpenAI) as client:
            await asyncio.gather(*(one(client) for _ in range(20)))

    asyncio.run(all_of_them())


def main():
    failed = False
    with connect(OPEN) as client:
        for function in CHECKS:
            name = function.__name__.replace("_", " ")
            try:
                function(client, KEYED)
                print(f"ok {name}", flush=True)
            except Exception as error:
                failed = True
                reason = " ".join(f"{type(error).__name__}: {error}".split())
                print(f"FAILED {name}: {reason}", flush=True)
    sys.exit(failed)


if __name__ == "__main__":
    OPEN, KEYED = sys.argv[1:]
    main()
