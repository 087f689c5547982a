//! Operators see what was spent and who has reached a limit, and change accounts; callers see what is left.

#![allow(clippy::unwrap_used)]

mod harness;

use harness::{
    ADMIN, ADMIN_KEY, Answer, Gateway,
    doors::{CHAT, Door, MESSAGES},
    operators,
};
use http::{Method, StatusCode};
use serde_json::{Value, json};

/// Keys of acme's and of zeta's, and what `printf %s KEY | sha256sum` prints of them.
const ACME: &str = "abc";
const ACME_SHA256: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
const ZETA: &str = "caller-key-canary-1";
const ZETA_SHA256: &str = "03c24811db04d15fd320bbe45853bc919e7bd648c452e78d4a567b0ea0bf3104";

/// A gateway whose only model takes a thousand nano-dollars for each token, either way.
async fn start(tables: &str) -> Gateway {
    let config = format!(
        "{ADMIN}{tables}\n\
         [[keys]]\nsha256 = \"{ACME_SHA256}\"\nname = \"acme-ci\"\ntenant = \"acme\"\n\
         [[keys]]\nsha256 = \"{ZETA_SHA256}\"\nname = \"zeta-ci\"\ntenant = \"zeta\"\n\
         [simulated]\nmodels = [{{ name = \"m\", input = 1.0, output = 1.0, first_token = \"1ms\", \
         tokens_per_second = 100000.0 }}]\n"
    );
    Gateway::start(&config).await
}

async fn ask(gateway: &Gateway, key: &str, door: Door, more: &str) -> Answer {
    let mut request = gateway.request(Method::POST, door.path, door.body("m", more));
    request.headers_mut().insert("x-api-key", key.parse().unwrap());
    Answer::read(gateway.send(request).await).await
}

/// What an answer says it used, both ways.
fn tokens(answer: &Answer) -> u64 {
    let usage = answer.json()["usage"].clone();
    let count = |names: [&str; 2]| names.iter().find_map(|name| usage[name].as_u64()).unwrap();
    count(["prompt_tokens", "input_tokens"]) + count(["completion_tokens", "output_tokens"])
}

fn usd(tokens: u64) -> Value {
    operators::usd(tokens).into()
}

const CAPS: &str = "[budget]\n\
     [[budget.caps]]\nname = \"all\"\namounts = { usd = \"5\", window = \"lifetime\" }\n\
     [[budget.caps]]\nname = \"per-tenant\"\nper = \"tenant\"\n\
     amounts = [{ usd = \"1\", window = \"day\" }, { usd = \"2\", window = \"month\" }]\n";

#[tokio::test]
async fn operators_see_what_was_spent_to_the_nano_dollar() {
    let gateway = start(CAPS).await;
    let mut used = [0, 0];
    for (at, key, door) in [(0, ACME, CHAT), (0, ACME, MESSAGES), (1, ZETA, CHAT)] {
        let answer = ask(&gateway, key, door, "").await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        used[at] += tokens(&answer);
    }
    let [acme, zeta] = used;
    let spend = gateway.look("/spend").await;
    let accounts = spend["accounts"].as_array().unwrap();
    assert_eq!((accounts.len(), &spend["more"]), (3, &json!(0)));
    let all = accounts.iter().find(|account| account["budget"] == "all").unwrap();
    assert_eq!(all["windows"][0]["window"], "lifetime");
    assert_eq!(all["windows"][0]["spent_usd"], usd(acme + zeta));
    assert_eq!(all["windows"][0]["resets_in_seconds"], Value::Null);
    let model = &spend["models"][0];
    assert_eq!((&model["provider"], &model["model"], &model["calls"]), (&json!("simulated"), &json!("m"), &json!(3)));
    assert_eq!(
        (&model["intent"], model["likely_output"].is_u64()),
        (&Value::Null, true),
        "nobody says what calls are about"
    );
    assert_eq!((&model["reported_usd"], &model["estimated_usd"]), (&usd(acme + zeta), &usd(0)));

    let spend = gateway.look("/spend?tenant=acme&budget=per-tenant").await;
    let [account] = &spend["accounts"].as_array().unwrap()[..] else { panic!("{spend}") };
    assert_eq!(
        (&account["tenant"], &account["user"], &account["frozen"]),
        (&json!("acme"), &Value::Null, &json!(false))
    );
    let [day, month] = &account["windows"].as_array().unwrap()[..] else { panic!("{account}") };
    assert_eq!((&day["cap_usd"], &month["cap_usd"]), (&json!("1.00"), &json!("2.00")));
    for window in [day, month] {
        assert_eq!((&window["spent_usd"], &window["estimated_usd"]), (&usd(acme), &usd(0)));
        assert_eq!((&window["reserved_usd"], &window["debt_usd"]), (&usd(0), &usd(0)));
        assert!(window["resets_in_seconds"].as_u64().unwrap() > 0);
    }
    assert_eq!(gateway.look("/spend?tenant=nobody").await["accounts"], json!([]));
    let unknown = gateway.operate(Method::GET, "/spend?tenants=acme", &Value::Null).await;
    assert_eq!(unknown.status, StatusCode::BAD_REQUEST, "{}", unknown.text());
}

#[tokio::test]
async fn operators_top_up_freeze_and_reset_an_account() {
    let caps = "[budget]\n[[budget.caps]]\nname = \"per-tenant\"\nper = \"tenant\"\n\
                amounts = { usd = \"0\", window = \"day\" }\n";
    let gateway = start(caps).await;
    let status = async |key| ask(&gateway, key, CHAT, "").await.status;
    let order = |mut more: Value| {
        more["budget"] = "per-tenant".into();
        more["tenant"] = "acme".into();
        more
    };
    let obeyed = async |order: Value| {
        let answer = gateway.operate(Method::POST, "/spend", &order).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        answer.json()["account"].clone()
    };
    assert_eq!(status(ACME).await, StatusCode::PAYMENT_REQUIRED);
    let account = obeyed(order(json!({ "action": "top_up", "usd": "0.50" }))).await;
    assert_eq!((&account["tenant"], &account["windows"][0]["cap_usd"]), (&json!("acme"), &json!("0.50")));
    assert_eq!((status(ACME).await, status(ZETA).await), (StatusCode::OK, StatusCode::PAYMENT_REQUIRED));
    assert_eq!(obeyed(order(json!({ "action": "freeze" }))).await["frozen"], true);
    assert_eq!(status(ACME).await, StatusCode::PAYMENT_REQUIRED);
    let account = obeyed(order(json!({ "action": "unfreeze" }))).await;
    assert_ne!(account["windows"][0]["spent_usd"], usd(0));
    assert_eq!(status(ACME).await, StatusCode::OK);
    let account = obeyed(order(json!({ "action": "reset" }))).await;
    assert_eq!((&account["windows"][0]["spent_usd"], &account["windows"][0]["cap_usd"]), (&usd(0), &usd(0)));
    assert_eq!(status(ACME).await, StatusCode::PAYMENT_REQUIRED);
}

#[tokio::test]
async fn an_order_that_would_do_nothing_is_refused_with_a_sentence() {
    let gateway = start(CAPS).await;
    for (order, status, word) in [
        (json!({ "budget": "per-tenant", "tenant": "acme", "action": "top_up" }), 400, "usd"),
        (json!({ "budget": "per-tenant", "tenant": "acme", "action": "top_up", "usd": "-1" }), 400, "usd"),
        (json!({ "budget": "per-tenant", "tenant": "acme", "action": "top_up", "usd": 1 }), 400, "no order"),
        (json!({ "budget": "per-tenant", "tenant": "acme", "action": "reset", "usd": "1" }), 400, "top_up"),
        (json!({ "budget": "per-tenant", "tenant": "acme", "action": "spend" }), 400, "no order"),
        (json!({ "budget": "per-tenant", "tenants": "acme", "action": "reset" }), 400, "no order"),
        (json!({ "budget": "per-tenant", "user": "bob", "action": "reset" }), 400, "`user`"),
        (json!({ "budget": "per-tenant", "action": "freeze" }), 400, "`tenant`"),
        (json!({ "tenant": "acme", "action": "reset" }), 400, "`budget`"),
        (json!({ "budget": "other", "action": "reset" }), 404, "other"),
    ] {
        let answer = gateway.operate(Method::POST, "/spend", &order).await;
        assert_eq!(answer.status, status, "{order}: {}", answer.text());
        assert!(answer.text().contains(word), "{order}: {}", answer.text());
    }
    assert_eq!(gateway.look("/spend").await["accounts"], json!([]), "nothing has begun");
}

const LIMIT: &str = "[server]\nremaining_headers = true\n\
     [limit]\n[[limit.rules]]\nname = \"per-tenant\"\nper = \"tenant\"\nrequests_per_minute = 2\n\
     tokens_per_minute = 100000\nat_once = 5\n\
     [budget]\n[[budget.caps]]\nname = \"all\"\namounts = { usd = \"5\", window = \"day\" }\n\
     [[budget.caps]]\nname = \"per-key\"\nper = \"key\"\namounts = { usd = \"1\", window = \"day\" }\n";

#[tokio::test]
async fn callers_are_told_what_is_left_under_the_names_that_they_know() {
    let gateway = start(LIMIT).await;
    let answer = ask(&gateway, ACME, CHAT, "").await;
    let used = tokens(&answer);
    let header = |name: &str| answer.header(name).unwrap_or_else(|| panic!("{name}")).to_owned();
    assert_eq!((&*header("x-ratelimit-limit-requests"), &*header("x-ratelimit-remaining-requests")), ("2", "1"));
    // Tokens come back with every millisecond.
    assert_eq!(header("x-ratelimit-limit-tokens"), "100000");
    let left: u64 = header("x-ratelimit-remaining-tokens").parse().unwrap();
    assert!((100_000 - used..=100_000).contains(&left), "{left} after {used}");
    assert!(header("x-ratelimit-reset-requests").ends_with('s'));
    let Value::String(left) = usd(1_000_000 - used) else { unreachable!() };
    let budget = header("x-llm-budget");
    assert!(budget.starts_with(&format!("\"per-key\";left=\"{left}\";cap=\"1.00\";reset=")), "{budget}");
    assert!(!budget.contains("all"), "what tenants spend together is told to none of them: {budget}");

    let answer = ask(&gateway, ACME, MESSAGES, "\"stream\":true").await;
    assert_eq!(answer.header("anthropic-ratelimit-requests-remaining"), Some("0"));
    assert!(answer.header("anthropic-ratelimit-requests-reset").unwrap().ends_with('Z'));
    assert!(answer.header("x-ratelimit-limit-requests").is_none());

    let answer = ask(&gateway, ACME, CHAT, "").await;
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(answer.header("x-ratelimit-remaining-requests"), Some("0"));
    let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=30).contains(&wait), "one comes back every half minute: {wait}");
    assert_eq!(answer.header("x-should-retry"), Some("true"));
    assert!(CHAT.error_message(&answer).contains("per-tenant"));
    let other = ask(&gateway, ZETA, CHAT, "").await;
    assert_eq!((other.status, other.header("x-ratelimit-remaining-requests")), (StatusCode::OK, Some("1")));
}

#[tokio::test]
async fn callers_are_told_nothing_unless_it_is_turned_on() {
    let gateway = start(&LIMIT.replace("remaining_headers = true", "")).await;
    let answer = ask(&gateway, ACME, CHAT, "").await;
    assert!(answer.header("x-llm-budget").is_none() && answer.header("x-ratelimit-limit-requests").is_none());
}

#[tokio::test]
async fn operators_see_who_has_used_what_of_its_limits() {
    let gateway = start(LIMIT).await;
    for key in [ACME, ACME, ACME, ZETA] {
        ask(&gateway, key, CHAT, "").await;
    }
    let limits = gateway.look("/limits").await;
    let limit = &limits["limits"][0];
    assert_eq!((&limit["limit"], &limit["callers"], &limit["admitted"]), (&json!("per-tenant"), &json!(2), &json!(3)));
    assert_eq!((&limit["refused"]["requests"], &limit["refused"]["tokens"]), (&json!(1), &json!(0)));
    assert_eq!(limit["in_flight"], 0);
    assert_eq!(limits["callers"][0]["tenant"], "acme", "whoever has least left comes first");
    assert_eq!(
        (&limits["callers"][0]["requests_left"], &limits["callers"][1]["requests_left"]),
        (&json!(0), &json!(1))
    );
    let limits = gateway.look("/limits?tenant=zeta").await;
    let [caller] = &limits["callers"].as_array().unwrap()[..] else { panic!("{limits}") };
    assert_eq!(caller["tenant"], "zeta");
}

#[tokio::test]
async fn what_the_layers_have_to_say_is_logged_and_kept() {
    let caps = "[budget]\nassumed_output = 500\n[[budget.caps]]\nname = \"per-tenant\"\nper = \"tenant\"\nalerts = [1, 2]\n\
                amounts = { usd = \"0.002\", window = \"day\" }\n";
    let gateway = start(caps).await;
    ask(&gateway, ACME, CHAT, "").await;
    let notices = loop {
        let notices = gateway.look("/notices").await["notices"].as_array().unwrap().clone();
        if notices.len() >= 2 {
            break notices;
        }
    };
    for (notice, percent) in notices.iter().zip([1.0, 2.0]) {
        assert_eq!((&notice["source"], &notice["kind"]), (&json!("budget"), &json!("reached")));
        assert_eq!(notice["key"], "per-tenant (tenant acme)");
        assert_eq!((&notice["severity"], &notice["numbers"]["percent"]), (&json!("info"), &json!(percent)));
        assert!(notice["at"].as_u64().unwrap() > 1_700_000_000);
    }
    // What it says comes by a pipe, and may come later.
    while !gateway.said().contains("percent=2") {
        tokio::task::yield_now().await;
    }
    let said = gateway.said();
    assert!(said.contains("per-tenant (tenant acme)"), "{said}");
    for secret in [ACME_SHA256, ADMIN_KEY, ZETA] {
        assert!(!said.contains(secret));
    }
}
