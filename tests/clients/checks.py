"""What the Python scripts share: the list of checks, and the servers around the SDK under test.

    python SCRIPT.py GATEWAY ADMIN CALLS KEYED PROVIDER...

GATEWAY takes any key, and tells of its calls at ADMIN. Its PROVIDERs serve the models of gateway.toml; a call of
`PROVIDER/sim-chat` goes to one of them. What the provider behind it saw of a model is told by CALLS. KEYED is a gateway
that knows only `acme-test-key`.

A script prints a line a check, `ok NAME` or `FAILED NAME: reason`, and exits with 1 when one has failed.
"""

import json
import sys
import time
import urllib.request

GATEWAY, ADMIN, CALLS, KEYED, *PROVIDERS = sys.argv[1:]
GOOD_KEY = "acme-test-key"
WRONG_KEYS = ["wrong-key", GOOD_KEY + "x", GOOD_KEY[:-1]]
ADMIN_KEY = "clients-admin-key"
# The provider within the gateway's process: nothing is on the wire behind it.
WITHIN = "simulated"
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


def run():
    """Makes every check and ends the script."""
    failed = False
    for function, providers in _CHECKS:
        for provider in providers:
            name = function.__name__.replace("_", " ")
            name = f"{name} ({provider})" if providers is PROVIDERS else name
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


def _get(address, key=None):
    headers = {"authorization": f"Bearer {key}"} if key else {}
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(urllib.request.Request(address, headers=headers), timeout=30) as answer:
        return json.load(answer)


def counts(are_open=0):
    """How many calls the gateway has had, by how they ended, once this many are open."""
    for _ in range(600):
        calls = _get(f"{ADMIN}/status", ADMIN_KEY)["calls"]
        if calls["open"] == are_open:
            return calls
        time.sleep(0.05)
    raise AssertionError(f"{calls['open']} calls were open after half a minute, not {are_open}")


def calls_begun():
    """How many calls have come through the gateway's doors, once none is open."""
    calls = counts()
    return calls["complete"] + calls["failed"] + calls["abandoned"]


def seen_of(model):
    """What the provider saw of a model's calls, once all of them have ended; None of the one within the gateway."""
    provider, name = model.split("/")
    return None if provider == WITHIN else _get(f"{CALLS}/calls/{name}")


def expect_left(model, call):
    """Makes a call that is given up half-way, and expects gateway and provider to have noticed."""
    before = counts()["abandoned"]
    call()
    expect(counts()["abandoned"], before + 1, "the number of calls given up")
    if (seen := seen_of(model)) is not None:
        expect(seen[-1]["ended"], "caller left", f"the end of {model} as the provider saw it")
        assert seen[-1]["tokens"] < 200, f"the provider had sent {seen[-1]['tokens']} tokens by then"
