//! Limits from a configuration file: every key does something, and bad values are refused with a sentence.

use llm_budget::limit::{LimitConfig, LimitLayer};
use llm_core::Caller;

use super::stage::{Stage, ask, ask_for, ask_up_to, ok, prompt};

fn read(text: &str) -> Result<LimitLayer, String> {
    let config: LimitConfig = toml::from_str(text).map_err(|error| error.message().to_owned())?;
    LimitLayer::try_from(config).map_err(|error| error.to_string())
}

fn stage(amounts: &str) -> Stage {
    Stage::with(read(&format!("[[rules]]\nname = \"mine\"\n{amounts}")).expect("it makes sense"))
}

#[tokio::test(start_paused = true)]
async fn every_key_does_what_it_says() {
    let requests = stage("per = \"tenant\"\nrequests_per_minute = 1");
    requests.call().await.unwrap();
    assert_eq!(requests.refused(ask()).to_string(), "the limit `mine` is reached (requests a minute: 1)");
    requests.send(ask_for("another", "m"), ok()).await.unwrap();

    let tokens = stage("per = [\"tenant\", \"model\"]\ntokens_per_minute = 10");
    tokens.call().await.unwrap();
    assert_eq!(tokens.refused(ask()).to_string(), "the limit `mine` is reached (tokens a minute: 10)");
    tokens.send(ask_for("acme", "another"), ok()).await.unwrap();

    let at_once = stage("per = \"global\"\nat_once = 1");
    let _call = at_once.under_way(ask());
    at_once.refused(ask_for("another", "m"));

    let limit = "rules = [{ name = \"mine\", per = \"tenant\", tokens_per_minute = 1_000 }]\n";
    let expected = Stage::with(read(&format!("expected_output = 77\n{limit}")).unwrap());
    let _call = expected.under_way(ask_up_to(500));
    assert_eq!(expected.tokens_left(), 1_000 - 77 - prompt() as i64);

    for list in
        ["tenants = \"a\"", "users = [\"u\"]", "keys = \"k\"", "workflows = \"w\"", "jobs = \"j\"", "models = [\"m*\"]"]
    {
        let listed = stage(&format!("per = \"global\"\nrequests_per_minute = 1\n{list}"));
        for _ in 0..2 {
            listed.call().await.unwrap();
        }
        let mut concerned = ask_for("a", "m");
        let [user, key, workflow, job] = ["u", "k", "w", "j"].map(|name| Some(name.into()));
        let caller = Caller { user, key, workflow, job, ..Caller::tenant("a") };
        concerned.context_mut().set_caller(caller);
        listed.send(concerned.clone(), ok()).await.unwrap();
        listed.refused(concerned);
    }

    let own = "[[rules]]\nname = \"other\"\nper = \"tenant\"\ntenants = \"acme\"\nat_once = 1\ninstead_of = \"mine\"";
    let instead = stage(&format!("requests_per_minute = 1\n{own}"));
    for _ in 0..2 {
        instead.call().await.unwrap();
    }
    instead.send(ask_for("a", "m"), ok()).await.unwrap();
    instead.refused(ask_for("b", "m"));

    let crowded = Stage::with(read(&format!("most_callers = 1\n{limit}")).unwrap());
    for tenant in ["a", "b"] {
        crowded.send(ask_for(tenant, "m"), ok()).await.unwrap();
    }
    assert_eq!((crowded.handle.counts()[0].callers, crowded.handle.counts()[0].crowded), (1, 1));
}

#[test]
fn limits_stand_in_their_order_and_without_one_there_is_no_layer() {
    let two =
        "[[rules]]\nname = \"b\"\nper = \"job\"\nat_once = 1\n[[rules]]\nname = \"a\"\nper = \"user\"\nat_once = 1";
    let names: Vec<_> = read(two).unwrap().handle().counts().into_iter().map(|counts| counts.limit).collect();
    assert_eq!(names, ["b", "a"]);
    assert_eq!(read("").unwrap_err(), "rules: there is none, so nothing is limited");
}

#[test]
fn what_makes_no_sense_is_refused_with_its_place() {
    let refused = |amounts: &str| read(&format!("[[rules]]\n{amounts}")).unwrap_err();
    let sentences = [
        ("name = \"a\"\nper = \"tenant\"", "rules[0].name: the limit states no amount, so it limits nothing"),
        ("name = \"\"\nper = \"tenant\"\nat_once = 1", "rules[0].name: the name must not be empty"),
        (
            "name = \"a\"\nper = \"planet\"\nat_once = 1",
            "rules[0].per: callers are told apart by `global`, or by `tenant`, `user`, `key`, `workflow`, `job` and `model`, and \
             not by `planet`",
        ),
        (
            "name = \"a\"\nper = [\"tenant\", \"global\"]\nat_once = 1",
            "rules[0].per: `global` is all calls together, and stands alone",
        ),
        (
            "name = \"a\"\nper = \"tenant\"\nrequests_per_minute = 0",
            "rules[0].requests_per_minute: the number must be at least 1",
        ),
        (
            "name = \"a\"\nper = \"tenant\"\nrequests_per_minute = 4294967296",
            "rules[0].requests_per_minute: the number must be below 2^32",
        ),
        (
            "name = \"a\"\nper = \"tenant\"\ntokens_per_minute = 0",
            "rules[0].tokens_per_minute: the number must be at least 1",
        ),
        (
            "name = \"a\"\nper = \"tenant\"\nat_once = 1\nmodels = []",
            "rules[0].models: the list is empty: leave it out",
        ),
        ("name = \"a\"\nat_once = 1\ninstead_of = \"a\"", "rules[0].instead_of: no rule before this one is called `a`"),
        ("name = \"a\"\nper = \"tenant\"\nat_once = 0", "rules[0].at_once: the number must be at least 1"),
        (
            "name = \"a\"\nper = \"tenant\"\nat_once = 1\n[[rules]]\nname = \"a\"\nper = \"user\"\nat_once = 1",
            "rules[1].name: `a` stands there twice",
        ),
    ];
    for (amounts, sentence) in sentences {
        assert_eq!(refused(amounts), sentence);
    }
    assert_eq!(read("most_callers = 0").unwrap_err(), "most_callers: the number must be at least 1");
    for (amounts, words) in [
        ("name = \"a\"\nper = \"tenant\"\nat_once = -1", "invalid value: integer `-1`"),
        ("name = \"a\"\nper = \"tenant\"\nat_most = 1", "unknown field `at_most`"),
        ("per = \"tenant\"\nat_once = 1", "missing field `name`"),
    ] {
        let sentence = refused(amounts);
        assert!(sentence.contains(words), "{sentence}");
    }
    assert!(read("most_limits = 1").unwrap_err().contains("unknown field `most_limits`"));
}
