"""What the Python scripts share: the list of checks, and the servers around the SDK under test.

    python SCRIPT.py GATEWAY ADMIN CALLS KEYED RESILIENT RESILIENT_ADMIN RESILIENT_CALLS
        ROUTED ROUTED_ADMIN ROUTED_CALLS ROUTED_FILE ROUTED_PROCESS
        BUDGETED BUDGETED_ADMIN BUDGETED_CALLS CACHED CACHED_ADMIN CACHED_CALLS PROVIDER...

GATEWAY takes any key, and tells of its calls at ADMIN. Its PROVIDERs serve the models of gateway.toml; a call of
`PROVIDER/sim-chat` goes to one of them. What the provider behind it saw of a model is told by CALLS. This gateway calls
a provider once, whatever comes of it. KEYED is a gateway that knows only `acme-test-key`. RESILIENT retries and has
circuits; its models are those of resilient.toml, at the PROVIDERs that are not within the gateway. ROUTED has the routes
of routed.toml, and reads ROUTED_FILE again when its process gets a SIGHUP. BUDGETED has the limits, budgets and models of
budget.toml, at the PROVIDERs that are not within the gateway, and CACHED the cache and the models of cache.toml.

A script prints a line a check, `ok NAME` or `FAILED NAME: reason`, and exits with 1 when one has failed.
"""

import contextlib
import decimal
import json
import os
import pathlib
import re
import signal
import sys
import time
import urllib.error
import urllib.request

GATEWAY, ADMIN, CALLS, KEYED, RESILIENT, RESILIENT_ADMIN, RESILIENT_CALLS, *_MORE = sys.argv[1:]
ROUTED, ROUTED_ADMIN, ROUTED_CALLS, ROUTED_FILE, ROUTED_PROCESS, *_MORE = _MORE
BUDGETED, BUDGETED_ADMIN, BUDGETED_CALLS, *_MORE = _MORE
CACHED, CACHED_ADMIN, CACHED_CALLS, *PROVIDERS = _MORE
GOOD_KEY = "acme-test-key"
# Good for the models of ROUTED's local provider only.
SMALL_KEY = "acme-small-key"
WRONG_KEYS = ["wrong-key", GOOD_KEY + "x", GOOD_KEY[:-1]]
ADMIN_KEY = "clients-admin-key"
# The provider within the gateway's process: nothing is on the wire behind it.
WITHIN = "simulated"
# Models of RESILIENT that fail twice before content, each in a way of its own, and then answer.
MENDED = ["sim-third-503", "sim-third-429", "sim-third-cut", "sim-third-error"]
# Calls of its models that are never answered: the model, whether a stream is asked for, and what is given up.
LATE = [
    ("sim-hangs", False, "timeout_total"),
    ("sim-hangs", True, "timeout_first_content"),
    ("sim-pings", True, "timeout_first_content"),
]
# The targets of ROUTED's route `smart`, of which the third answers, and those of `down`, of which none does.
SMART = ["primary/sim-gpt", "second/sim-claude", "local/sim-llama"]
DOWN = ["primary/sim-gpt-down", "second/sim-claude-down", "local/sim-llama-down"]
# Headers of a request to `down` that is answered with this message instead of an error.
SUPPORT_CHAT = {"x-llm-workflow": "support-chat"}
SORRY = "We are busy. Please try again soon."
# Headers of a request that may not leave the house.
SENSITIVE = {"x-llm-sensitivity": "sensitive"}
# Headers that say nothing that is understood.
MALFORMED = {
    "x-llm-sensitivity": "secret",
    "x-llm-intent": "two words",
    "x-llm-workflow": "x" * 65,
    "x-llm-tags": ",".join(["tag"] * 17),
}
# Keys of BUDGETED. The first tenant has money for everything, and the second for one answer of 30 tokens.
RICH_KEY = "rich-test-key"
POOR_KEY = "poor-test-key"
# More of the first tenant's: for two calls, for one every three seconds once twenty are used up, and for one at a time.
FEW_KEY = "few-test-key"
BUSY_KEY = "busy-test-key"
SINGLE_KEY = "single-test-key"
# The budgets of the tenants, and how much is in them, in nano-dollars, as are all amounts here.
BUDGETS = {"rich": ("per-tenant", 1_000_000_000), "poor": ("pocket-money", 64_000)}
# What a token costs.
TOKEN = 1_000
# The budgets' window of an hour is kept by the minute.
LONGEST_RESET = 3_660
# The targets of BUDGETED's route `thrifty`, of which `poor` can pay the second.
THRIFTY = ["over-openai/sim-dear", "over-anthropic/sim-chat"]
# A red dot, 1 x 1.
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC"

_CHECKS = []


def check(function):
    """Registers a check, to be made with each provider. It is handed a function from a model's name to its full one."""
    _CHECKS.append((function, PROVIDERS))
    return function


def check_once(function):
    """Registers a check that is made once. It is handed the same function, for the provider within the gateway."""
    _CHECKS.append((function, [WITHIN]))
    return function


def check_behind(function):
    """Registers a check, to be made with each provider that is not within the gateway."""
    _CHECKS.append((function, [provider for provider in PROVIDERS if provider != WITHIN]))
    return function


def run():
    """Makes every check and ends the script."""
    failed = False
    for function, providers in _CHECKS:
        for provider in providers:
            name = function.__name__.replace("_", " ")
            name = f"{name} ({provider})" if len(providers) > 1 else name
            try:
                function(lambda model: f"{provider}/{model}")
                print(f"ok {name}", flush=True)
            except Exception as error:
                failed = True
                reason = " ".join(f"{type(error).__name__}: {error}".split())
                print(f"FAILED {name}: {reason}", flush=True)
    sys.exit(failed)


def expect(actual, wanted, what):
    assert actual == wanted, f"{what} is {actual!r}, not {wanted!r}"


def raises(error_type, call, what="the call", exactly=True):
    """Calls, expects this error, and no class below it if that matters, and returns it."""
    try:
        call()
    except error_type as error:
        if exactly:
            expect(type(error).__name__, error_type.__name__, f"the error of {what}")
        return error
    raise AssertionError(f"{what} succeeded, {error_type.__name__} was expected")


def refused(error_type, status, call, what="the call"):
    """Calls, expects this error and status, and returns the error."""
    error = raises(error_type, call, what)
    expect(error.status_code, status, f"the status of {what}")
    return error


def _fetch(address, key=None, order=None):
    headers = {"authorization": f"Bearer {key}"} if key else {}
    request = urllib.request.Request(address, headers=headers, data=json.dumps(order).encode() if order else None)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=30) as answer:
        return json.load(answer)


def counts(are_open=0, admin=ADMIN):
    """How many calls the gateway has had, by how they ended, once this many are open."""
    for _ in range(600):
        calls = _fetch(f"{admin}/status", ADMIN_KEY)["calls"]
        if calls["open"] == are_open:
            return calls
        time.sleep(0.05)
    raise AssertionError(f"{calls['open']} calls were open after half a minute, not {are_open}")


def calls_begun(admin=ADMIN):
    """How many calls have come through the gateway's doors, once none is open."""
    calls = counts(admin=admin)
    return calls["complete"] + calls["failed"] + calls["abandoned"]


def seen_of(model, calls=CALLS):
    """What the provider saw of a model's calls, once all of them have ended; None of the one within the gateway."""
    provider, name = model.split("/")
    return None if provider == WITHIN else _fetch(f"{calls}/calls/{name}")


def expect_left(model, call):
    """Makes a call that is given up half-way, and expects gateway and provider to have noticed."""
    before = counts()
    call()
    after = counts()
    expect(after["abandoned"] - before["abandoned"], 1, "the number of calls given up")
    if (seen := seen_of(model)) is not None:
        expect(seen[-1]["ended"], "caller left", f"the end of {model} as the provider saw it")
        assert seen[-1]["tokens"] < 200, f"the provider had sent {seen[-1]['tokens']} tokens by then"


def expect_timeout(model, timeout_type, call):
    """Makes a call that the client gives up by itself, and expects everybody to have noticed."""
    expect_left(model, lambda: raises(timeout_type, call))


def reset_circuit(model, admin=RESILIENT_ADMIN):
    """Has an operator reset a model's circuit, whatever other checks made of it, and returns the model."""
    _control(model, "reset", admin)
    return model


def open_circuit(model, admin=RESILIENT_ADMIN):
    """Has an operator open a model's circuit, and returns the model."""
    _control(model, "force_open", admin)
    return model


def _control(model, action, admin):
    provider, name = model.split("/")
    order = {"provider": provider, "model": name, "action": action}
    _fetch(f"{admin}/circuits", ADMIN_KEY, order)


def expect_asked(targets, attempts, call, requests=1, admin=ROUTED_ADMIN, calls=ROUTED_CALLS):
    """Makes a call, expects so many requests to ROUTED and attempts at each target, and returns what it returns."""
    count = lambda: [len(seen_of(target, calls)) for target in targets]
    begun, before = calls_begun(admin), count()
    returned = call()
    expect(calls_begun(admin) - begun, requests, f"the number of requests for {', '.join(targets)}")
    asked = [after - seen for after, seen in zip(count(), before, strict=True)]
    expect(asked, attempts, f"the number of attempts at {', '.join(targets)}")
    return returned


def expect_calls(model, requests, attempts, call):
    """The same of RESILIENT and one model."""
    return expect_asked([model], [attempts], call, requests, RESILIENT_ADMIN, RESILIENT_CALLS)


def expect_billed(targets, attempts, call, requests=1):
    """The same of BUDGETED."""
    return expect_asked(targets, attempts, call, requests, BUDGETED_ADMIN, BUDGETED_CALLS)


def expect_cached(model, attempts, call):
    """The same of CACHED and one model."""
    return expect_asked([model], [attempts], call, admin=CACHED_ADMIN, calls=CACHED_CALLS)


@contextlib.contextmanager
def reconfigured(old, new):
    """Has ROUTED read a configuration with `new` in place of `old`, and the one as it was at the end."""
    file = pathlib.Path(ROUTED_FILE)
    config = file.read_text()
    assert old in config, f"{old} is not in the configuration"
    _reload(file, config.replace(old, new))
    try:
        yield
    finally:
        _reload(file, config)


def _reload(file, config):
    taken = lambda: _fetch(f"{ROUTED_ADMIN}/status", ADMIN_KEY)["reloads"]["taken"]
    before = taken()
    file.write_text(config)
    os.kill(int(ROUTED_PROCESS), signal.SIGHUP)
    for _ in range(600):
        if taken() > before:
            return
        time.sleep(0.05)
    raise AssertionError("the configuration was not taken within half a minute")


def fail_until_open(model, call):
    """Makes a call that fails, three times: the eighth failure, in the midst of the third call, opens the circuit."""
    expect_calls(model, 3, 8, lambda: [call() for _ in range(3)])


def expect_given_up(model, attempts):
    """Expects RESILIENT to have left in the middle of each of its last attempts at a model."""
    ends = [call["ended"] for call in seen_of(model, RESILIENT_CALLS)[-attempts:]]
    expect(ends, ["caller left"] * attempts, f"the ends of {model} as the provider saw them")


def expect_headers(headers, **wanted):
    """Expects these headers of an error: `kind` is x-llm-error-kind, and so on."""
    names = {"kind": "x-llm-error-kind", "origin": "x-llm-error-origin", "should_retry": "x-should-retry"}
    for name, value in wanted.items():
        expect(headers[names[name]], value, f"the header {names[name]}")


def expect_substitute(headers, stream):
    """Expects the headers of an answer to tell that the third target of SMART gave it."""
    expect(headers["x-llm-served"], "substitute", "what served")
    expect(headers["x-llm-target"], SMART[2], "the target")
    expect(headers["x-llm-attempts"], "3", "the number of attempts that the gateway tells of")
    first, second, third = SMART
    # The head of a stream goes out before its end is known.
    end = "" if stream else ";end=complete"
    attempts = [f'"{first}";end=overloaded', f'"{second}";why=failover;end=overloaded', f'"{third}";why=failover{end}']
    expect(headers["x-llm-trail"], ", ".join(attempts), "the trail")


def expect_degraded(headers):
    """Expects the headers of an answer to tell that it is none of a model's."""
    expect(headers["x-llm-served"], "degraded", "what served")
    expect(headers["x-llm-attempts"], "3", "the number of attempts that the gateway tells of")


def expect_all_down(message, headers):
    """Expects an error to list the attempts at DOWN, and to tell the shortest wait, and that waiting is the caller's."""
    ends = zip(DOWN, ["rate_limited", "overloaded", "rate_limited"], strict=True)
    listed = f"attempts: {', '.join(' '.join(end) for end in ends)}"
    assert listed in message, f"{listed!r} is not in {message!r}"
    expect_headers(headers, kind="rate_limited", origin="upstream", should_retry="false")
    expect(headers["retry-after"], "4", "the shortest wait")
    expect(headers["x-llm-attempts"], "3", "the number of attempts that the gateway tells of")


def expect_open_circuit(headers):
    """Expects the headers of an error to tell of an open circuit, and how long it is open for."""
    expect_headers(headers, kind="circuit_open", origin="gateway", should_retry="true")
    assert 0 < int(headers["retry-after"]) <= 120, f"the circuit is open for {headers['retry-after']} s"


def forget_spending(tenant):
    """Has an operator of BUDGETED reset the account of a tenant, whatever other checks have spent."""
    _change_account(tenant, action="reset")


def top_up(tenant, usd):
    """Has an operator of BUDGETED add to the account of a tenant."""
    _change_account(tenant, action="top_up", usd=usd)


def _change_account(tenant, **order):
    budget, _cap = BUDGETS[tenant]
    # Calls that are still open would be settled later.
    counts(admin=BUDGETED_ADMIN)
    _fetch(f"{BUDGETED_ADMIN}/spend", ADMIN_KEY, {"budget": budget, "tenant": tenant, **order})


def spending(tenant, are_open=0):
    """What a tenant of BUDGETED has spent, has set aside and owes, once this many calls are open."""
    counts(are_open, BUDGETED_ADMIN)
    [account] = _fetch(f"{BUDGETED_ADMIN}/spend?tenant={tenant}", ADMIN_KEY)["accounts"]
    [window] = account["windows"]
    return tuple(_nanos(window[f"{what}_usd"]) for what in ["spent", "reserved", "debt"])


def _nanos(dollars):
    return int(decimal.Decimal(dollars) * 1_000_000_000)


def expect_spent(tenant, tokens):
    """Expects a tenant to have paid for exactly so many tokens, and nothing to be set aside."""
    expect(spending(tenant), (tokens * TOKEN, 0, 0), f"what {tenant} has spent, has set aside and owes")


def expect_set_aside(tenant):
    """Expects a tenant to have one call under way, for which money is set aside, and nothing spent yet."""
    spent, reserved, debt = spending(tenant, are_open=1)
    expect((spent, debt), (0, 0), f"what {tenant} has spent and owes")
    assert reserved > 0, "nothing is set aside"


def expect_part_paid(tenant, model):
    """Expects a tenant to have paid for what came of a stream that ended half-way, and its provider to have noticed."""
    spent, reserved, debt = spending(tenant)
    expect((reserved, debt), (0, 0), f"what {tenant} has set aside and owes")
    seen = seen_of(model, BUDGETED_CALLS)[-1]
    expect(seen["ended"], "caller left", f"the end of {model} as the provider saw it")
    # The whole of it would be two thousand tokens.
    assert 0 < spent < 500 * TOKEN and seen["tokens"] < 500, f"{spent} was spent on {seen['tokens']} tokens"


def left_of_budget(tenant, headers):
    """What is left of a tenant's budget, as the headers of an answer tell."""
    budget, cap = BUDGETS[tenant]
    told = re.fullmatch(r'"([^"]*)";left="([^"]*)";cap="([^"]*)";reset=([0-9]+)', headers["x-llm-budget"])
    assert told, f"what is left cannot be read: {headers['x-llm-budget']}"
    expect((told[1], _nanos(told[3])), (budget, cap), "the budget and its cap")
    assert int(told[4]) <= LONGEST_RESET, f"all of it is there again in {told[4]} s"
    return _nanos(told[2])


def expect_spent_budget(message, headers):
    """Expects an error to say that the budget of `poor` is spent, and until when, and not to come back before."""
    budget, cap = BUDGETS["poor"]
    assert f"the budget `{budget}` has $" in message, f"the error does not name the budget: {message}"
    expect_headers(headers, kind="budget_exceeded", origin="gateway", should_retry="false")
    expect(headers["x-llm-attempts"], "0", "the number of attempts that the gateway tells of")
    assert 0 < int(headers["retry-after"]) <= LONGEST_RESET, f"it is there again in {headers['retry-after']} s"
    assert 0 < left_of_budget("poor", headers) < cap, "what is left is all or nothing"


def expect_cut(message):
    """Expects an error within a stream to say that the budget of `poor` has cut it."""
    budget, _cap = BUDGETS["poor"]
    assert f"the answer was cut: the budget `{budget}` has $" in message, f"the error says: {message}"


def expect_unpriced(model, message, headers):
    """Expects an error to say that a model has no price, and whom that keeps from using it."""
    budget, _cap = BUDGETS["rich"]
    sentence = f"the price of `{model}` is not known, and the budget `{budget}` needs it"
    assert sentence in message, f"the error says: {message}"
    expect_headers(headers, kind="budget_exceeded", origin="gateway", should_retry="false")
    assert "retry-after" not in headers, "the price is not known later on either"


def expect_limit(limit, longest_wait, message, headers):
    """Expects an error to say which limit is reached, and that waiting helps, and for how long if anybody knows."""
    assert f"the limit `{limit}` is reached" in message, f"the error does not name the limit: {message}"
    expect_headers(headers, kind="limit_exceeded", origin="gateway", should_retry="true")
    expect(headers["x-llm-attempts"], "0", "the number of attempts that the gateway tells of")
    if longest_wait is None:
        assert "retry-after" not in headers, "the gateway knows what nobody knows"
    else:
        assert 0 < int(headers["retry-after"]) <= longest_wait, f"the wait is {headers['retry-after']} s"


def forget_answers():
    """Has an operator of CACHED make it forget every answer, whatever other checks have asked."""
    # Calls that are still open would be kept later.
    counts(admin=CACHED_ADMIN)
    _fetch(f"{CACHED_ADMIN}/cache", ADMIN_KEY, {"invalidate": "all"})


def answers_kept():
    """How many answers CACHED keeps, once no call is open."""
    counts(admin=CACHED_ADMIN)
    return _fetch(f"{CACHED_ADMIN}/cache", ADMIN_KEY)["entries"]


def expect_cache_status(headers, status):
    """Expects the headers of an answer to tell what the cache had to do with it, and how old it is if it was kept."""
    expect(headers.get("x-llm-cache"), status, "what the cache says")
    age = headers.get("age")
    if status in ["hit", "stale"]:
        assert age is not None and 0 <= int(age) < 60, f"the age is {age}"
    else:
        expect(age, None, "the age of an answer that is new")


def use_up(key):
    """Makes calls of BUDGETED with a key until it has reached its limit."""
    body = json.dumps({"model": "simulated/sim-chat", "messages": [{"role": "user", "content": "Why?"}]}).encode()
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    headers = {"x-api-key": key, "content-type": "application/json"}
    for _ in range(100):
        try:
            # Counting is free, and a call like any other.
            address = f"{BUDGETED}/v1/messages/count_tokens"
            opener.open(urllib.request.Request(address, headers=headers, data=body), timeout=30).close()
        except urllib.error.HTTPError as error:
            expect(error.code, 429, "the status of a call too many")
            return
    raise AssertionError("a hundred calls have not reached the limit")
