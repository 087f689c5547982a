"""What the Python scripts check of CACHED. The answers are the cache's, and reading them is up to the SDK under test."""

from checks import (
    CACHED_ADMIN,
    GOOD_KEY,
    answers_kept,
    check_behind,
    expect,
    expect_cache_status,
    expect_cached,
    forget_answers,
    open_circuit,
    raises,
    reset_circuit,
)

# Of another tenant than GOOD_KEY.
ZETA_KEY = "zeta-test-key"


def check_cache(ask, error_type):
    """Registers the checks of an SDK with this class of errors.

    `ask(model, key, stream, tools, temperature, headers)` returns the headers of the answer, and what it said: its text,
    the reason for its end, the name and parsed arguments of each call of a tool, and its tokens of input and output.
    """

    def asked(model, status, attempts, key=GOOD_KEY, stream=False, tools=False, temperature=0, **headers):
        """Asks, expects so many attempts and this of the cache, and returns what the answer said."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        call = lambda: ask(model, key, stream, tools, temperature, named)
        answered, said = expect_cached(model, attempts, call)
        expect_cache_status(answered, status)
        text, _reason, calls, prompt_tokens, answer_tokens = said
        assert calls if tools else text, "the answer is empty"
        assert prompt_tokens > 0 and answer_tokens > 0, f"the usage is {prompt_tokens} and {answer_tokens}"
        if status == "hit" and not stream:
            expect(float(answered["x-llm-cost-usd"]), 0, "the cost")
        return said

    def expect_given_again(model, first_streams, tools=False):
        """Asks, expects the answer to be given again whole and as a stream, and returns what it said."""
        forget_answers()
        said = asked(model, "miss", 1, stream=first_streams, tools=tools)
        for stream in [False, True]:
            again = asked(model, "hit", 0, stream=stream, tools=tools)
            expect(again, said, f"what is said again (stream: {stream})")
        return said

    @check_behind
    def answer_given_again(at):
        expect_given_again(at("sim-chat"), first_streams=False)

    @check_behind
    def stream_given_again(at):
        expect_given_again(at("sim-chat"), first_streams=True)

    @check_behind
    def tool_calls_given_again(at):
        for first_streams in [False, True]:
            _text, _reason, calls, *_usage = expect_given_again(at("sim-chat"), first_streams, tools=True)
            expect([name for name, _arguments in calls], ["get_weather", "get_time"], "the called tools")
            assert all(isinstance(arguments["city"], str) for _name, arguments in calls), "the city is not a string"

    @check_behind
    def answer_that_leaves_no_trace(at):
        forget_answers()
        for stream in [False, True]:
            asked(at("sim-chat"), None, 1, stream=stream, cache_control="no-store")
            expect(answers_kept(), 0, "the number of answers that are kept")
        asked(at("sim-chat"), "miss", 1)
        expect(answers_kept(), 1, "the number of answers that are kept")

    @check_behind
    def answers_of_another_tenant(at):
        forget_answers()
        for stream in [False, True]:
            # What either of them has asked before is known to that one only.
            status, attempts = ("hit", 0) if stream else ("miss", 1)
            for key in [GOOD_KEY, ZETA_KEY]:
                asked(at("sim-chat"), status, attempts, key=key, stream=stream)
        expect(answers_kept(), 2, "the number of answers that are kept")

    @check_behind
    def answers_in_an_outage(at):
        forget_answers()
        model = reset_circuit(at("sim-half-down"), CACHED_ADMIN)
        for stream in [False, True]:
            said = asked(model, "miss", 1, stream=stream)
            # The provider fails now, and what has expired is better than that.
            expect(asked(model, "stale", 1, stream=stream), said, f"what stands in (stream: {stream})")
        open_circuit(model, CACHED_ADMIN)
        for stream in [False, True]:
            expect(asked(model, "stale", 0, stream=stream), said, f"what stands in (stream: {stream})")
            # Of another tenant nothing is kept.
            call = lambda: ask(model, ZETA_KEY, stream, False, 0, {})
            error = expect_cached(model, 0, lambda: raises(error_type, call, exactly=False))
            expect(error.status_code, 503, "the status")
        reset_circuit(model, CACHED_ADMIN)

    @check_behind
    def answers_that_differ_each_time(at):
        forget_answers()
        model = at("sim-chat")
        for stream in [False, True]:
            asked(model, None, 1, stream=stream, temperature=1)
        expect(answers_kept(), 0, "the number of answers that are kept")
        said = asked(model, "miss", 1, temperature=1, x_llm_cache="force")
        for stream in [False, True]:
            again = asked(model, "hit", 0, stream=stream, temperature=1, x_llm_cache="force")
            expect(again, said, f"what is said again (stream: {stream})")
        # Who does not want it gets another.
        asked(model, None, 1, temperature=1)
