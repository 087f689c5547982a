//! What is wrong with a configuration is said at once, in a sentence with a place.

#![allow(clippy::unwrap_used)]

use std::process::{Command, Output};

fn check_with(config: &str, arguments: &[&str]) -> Output {
    let files = tempfile::tempdir().unwrap();
    let file = files.path().join("gateway.toml");
    std::fs::write(&file, config).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_gateway"));
    command.env_remove("OPENAI_API_KEY").env_remove("ANTHROPIC_API_KEY");
    command.args(["--check", "--config"]).arg(file).args(arguments).output().unwrap()
}

/// The sentence about a wrong configuration.
fn refusal(config: &str) -> String {
    let output = check_with(config, &[]);
    let sentence = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{sentence}");
    sentence
}

#[test]
fn the_documented_configuration_is_in_order() {
    let output = check_with(include_str!("../gateway.toml"), &[]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stdout).contains("llama-3-8b"));
}

/// Values without a default stand in the documentation as comments. With those turned into values, all is known.
#[test]
fn every_documented_value_is_one() {
    let is_name =
        |name: &str| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "_-.[]".contains(c));
    let uncommented = |line: &str| {
        let value = line.strip_prefix("# ")?;
        let is_value = value.split_once(" = ").is_some_and(|(name, _)| is_name(name));
        (is_value || value.starts_with('[') && is_name(value)).then(|| value.to_owned())
    };
    // Files that are not there; the admin key is in the environment.
    let is_file = |line: &str| line.starts_with("key_file") || line.starts_with("ca_file");
    let lines = include_str!("../gateway.toml").lines().map(|line| uncommented(line).unwrap_or(line.to_owned()));
    let config: String = lines.filter(|line| !is_file(line)).map(|line| line + "\n").collect();
    let config = config.replace(", { name = \"second\", key_file = \"/run/secrets/openai\" }", "");
    for name in [
        "sha256",
        "instead_of",
        "remaining_headers",
        "requests_per_minute",
        "fit_output",
        "keep_failures",
        "use_for",
        "cache_write_1h",
        "long_context",
        "faults",
        "http_version",
        "drain_delay",
    ] {
        assert!(config.lines().any(|line| line.starts_with(name)), "{name} is not documented");
    }
    let files = tempfile::tempdir().unwrap();
    let file = files.path().join("gateway.toml");
    std::fs::write(&file, config).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_gateway"))
        .env("OPENAI_API_KEY", "sk-test")
        .env("GATEWAY_ADMIN_KEY", "0123456789abcdef")
        .args(["--check", "--config"])
        .arg(&file)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn strangers_are_let_in_only_if_somebody_says_so() {
    let simulated = "[simulated]\nmodels = [{ name = \"m\" }]\n";
    let open = format!("[server]\nlisten = \"0.0.0.0:80\"\nallow_anonymous = true\n{simulated}");
    assert!(check_with(&open, &[]).status.success());
    let overridden = format!("[server]\nlisten = \"0.0.0.0:80\"\n{simulated}");
    assert!(check_with(&overridden, &["--listen", "127.0.0.1:0"]).status.success());
    assert_eq!(check_with(simulated, &["--listen", "0.0.0.0:0"]).status.code(), Some(2));
}

const SIMULATED: &str = "[simulated]\nmodels = [{ name = \"m\" }]\n";
const SHA256: &str = "03c24811db04d15fd320bbe45853bc919e7bd648c452e78d4a567b0ea0bf3104";

/// Checks rows of a configuration, the line and the key that its refusal names, and a word of the sentence.
fn are_refused(rows: &[(&str, &str, &str)], beside: &str) {
    for (config, place, word) in rows {
        let sentence = refusal(&format!("{config}{beside}"));
        let of_file = sentence.split_once("gateway.toml: ").unwrap().1;
        assert!(of_file.starts_with(&format!("{place}: ")), "{config}\n{sentence}\n{place}");
        assert!(sentence.contains(word), "{config}\n{sentence}\n{word}");
        assert_eq!(sentence.trim().lines().count(), 1, "one sentence: {sentence}");
    }
}

#[test]
fn a_wrong_value_of_the_server_is_named_with_line_and_key() {
    let rows = [
        ("[server]\nlisen = \"127.0.0.1:1\"\n", "line 2: server.lisen", "unknown"),
        ("[servers]\n", "line 1: servers", "unknown"),
        ("[server]\nlisten = 8080\n", "line 2: server.listen", "socket address"),
        ("[server]\nlisten = \"here\"\n", "line 2: server.listen", "socket address"),
        ("[server]\nhead_timeout = \"ten\"\n", "line 2: server.head_timeout", "duration"),
        ("[server]\nhead_timeout = \"0s\"\n", "line 2: server.head_timeout", "1ms"),
        ("[server]\nidle_timeout = \"0s\"\n", "line 2: server.idle_timeout", "1ms"),
        ("server.body_timeout = \"0s\"\n", "line 1: server.body_timeout", "1ms"),
        ("[server]\n\nwrite_timeout = \"0s\"\n", "line 3: server.write_timeout", "1ms"),
        ("[server]\nmax_body_bytes = 0\n", "line 2: server.max_body_bytes", "nothing"),
        ("[server]\nattempts = 0\n", "line 2: server.attempts", "nonzero"),
        ("[server]\nmax_connections = 0\n", "line 2: server.max_connections", "at least 1"),
        ("[server]\nmax_connections = -1\n", "line 2: server.max_connections", "integer"),
        ("[server]\nhosts = [\"a\", \"\"]\n", "line 2: server.hosts[1]", "a name"),
        ("[server]\nlisten = \"0.0.0.0:80\"\n", "line 2: server.listen", "allow_anonymous"),
        ("[admin]\nkey_env = \"NOT_SET_ANYWHERE\"\n", "line 2: admin.key_env", "NOT_SET_ANYWHERE"),
        ("[admin]\nhosts = [\"h:80\"]\n", "line 2: admin.hosts[0]", "without a port"),
        ("[admin]\n", "line 1: admin", "key_file"),
        ("[[keys]]\ntenant = \"a\"\nsha256 = \"12\"\n", "line 3: keys[0].sha256", "64 hexadecimal"),
        ("[[keys]]\ntenant = \"a\"\n", "line 1: keys[0]", "sha256"),
    ];
    are_refused(&rows, SIMULATED);
    let key = |tenant: &str| format!("[[keys]]\nsha256 = \"{SHA256}\"\ntenant = \"{tenant}\"\n");
    are_refused(&[(&key(""), "line 3: keys[0].tenant", "blank")], SIMULATED);
    are_refused(&[(&(key("a") + &key("b")), "line 5: keys[1].sha256", "twice")], SIMULATED);
    for (models, place, word) in [
        ("[]", "models", "leave the list out"),
        ("[\"m\", \"misspelt\"]", "models[1]", "`misspelt`"),
        ("[\"simulated/n\"]", "models[0]", "`simulated/n`"),
        ("[\"\"]", "models[0]", "no route or model"),
    ] {
        let place = format!("line 4: keys[0].{place}");
        are_refused(&[(&format!("{}models = {models}\n", key("a")), &place, word)], SIMULATED);
    }
}

#[test]
fn a_wrong_value_of_a_layer_is_named_with_line_and_key() {
    let rows = [
        ("[timeout]\nidle = \"0s\"\n", "line 2: timeout.idle", "longer than zero"),
        ("[timeout]\nhead = 30\n", "line 2: timeout.head", "duration"),
        ("[timeout.models.m]\nidel = \"1s\"\n", "line 2: timeout.models.m.idel", "unknown"),
        ("[retry]\n\nmost_retries = 0\n", "line 3: retry.most_retries", "nothing"),
        ("[retry]\nmost_retries = 3\n", "line 2: retry.most_retries", "raise that to 4"),
        (
            "[server]\nattempts = 2\n[retry.models.llama-3-8b]\nmost_retries = 2\n",
            "line 4: retry.models.llama-3-8b.most_retries",
            "raise that to 3",
        ),
        ("[server]\nattempts = 1\n[hedge]\n", "line 3: hedge", "allows none"),
        ("[retry.providers.opnai]\nbase = \"1s\"\n", "line 1: retry.providers.opnai", "no provider `opnai`"),
        ("[retry.providers.x]\nquota = { percent = 1 }\n", "line 2: retry.providers.x.quota", "all targets"),
        ("retry = 3\n", "line 1: retry", "true or false"),
        ("[hedge]\nfixed = \"0s\"\n", "line 2: hedge.fixed", "twice"),
        ("[breaker]\nopen_for = \"2m\"\nopen_at_most = \"1m\"\n", "line 3: breaker.open_at_most", "open_for"),
        ("[breaker]\ntrip = \"never\"\n", "line 2: breaker.trip", "cusum"),
        ("[breaker.models.m]\nprobes = 0\n", "line 2: breaker.models.m.probes", "15"),
        // What is not known is repeated, and what is known is not struck out with it.
        ("[[router.rules]]\nuse = \"deepseek-codr\"\n", "line 2: router.rules[0].use", "`deepseek-codr`"),
        (
            "[[fallback.cases]]\nmessage = \"no\"\nwhen = { kinds = \"overload\" }\n",
            "line 3: fallback.cases[0].when.kinds",
            "`overload`; known are `invalid_request`",
        ),
        (
            "[[fallback.cases]]\nmessage = \"no\"\nwhen = { kinds = \"overload\" }\n",
            "line 3: fallback.cases[0].when.kinds",
            "`overloaded`",
        ),
        ("[classify]\ndetect = [\"e-mail-address\"]\n", "line 2: classify.detect[0]", "`e-mail-address`"),
        (
            "classify = { intent = true }\n[[fallback.cases]]\nmessage = \"no\"\nwhen = { intent = \"coding\" }\n",
            "line 4: fallback.cases[0].when.intent",
            "`coding`",
        ),
    ];
    are_refused(&rows, SIMULATED);
}

#[test]
fn a_wrong_limit_or_cap_is_named_with_line_and_key() {
    let rule = "[[limit.rules]]\nname = \"r\"\n";
    let cap = "[[budget.caps]]\nname = \"per-tenant\"\n";
    let day = "amounts = { usd = \"2\", window = \"day\" }\n";
    let rows = [
        ("[limit]\n".to_owned(), "line 1: limit.rules", "nothing is limited"),
        ("limit = true\n".to_owned(), "line 1: limit.rules", "nothing is limited"),
        (rule.to_owned(), "line 2: limit.rules[0].name", "no amount"),
        (format!("{rule}requests_per_minute = 0\n"), "line 3: limit.rules[0].requests_per_minute", "at least 1"),
        (format!("{rule}requests_per_minte = 1\n"), "line 3: limit.rules[0].requests_per_minte", "unknown"),
        (format!("{rule}at_once = 1\nper = \"team\"\n"), "line 4: limit.rules[0].per", "not by `team`"),
        (format!("{rule}at_once = 1\ninstead_of = \"x\"\n"), "line 4: limit.rules[0].instead_of", "`x`"),
        (format!("{rule}at_once = 1\ntenants = \"nobody\"\n"), "line 4: limit.rules[0].tenants", "`nobody`"),
        (format!("{rule}at_once = 1\nkeys = [\"none\"]\n"), "line 4: limit.rules[0].keys", "`none`"),
        (format!("{rule}at_once = 1\nusers = \"none\"\n"), "line 4: limit.rules[0].users", "`none`"),
        (format!("{rule}at_once = 1\nmodels = \"gpt5\"\n"), "line 4: limit.rules[0].models", "`gpt5`"),
        (format!("{rule}at_once = 1\nper = \"key\"\n"), "line 4: limit.rules[0].per", "`name`"),
        ("[budget]\n".to_owned(), "line 1: budget.caps", "nothing would be refused"),
        (format!("[budget]\nmost_cost = \"-1\"\n{cap}{day}"), "line 2: budget.most_cost", "negative"),
        (format!("[budget]\nstreams = \"off\"\n{cap}{day}"), "line 2: budget.streams", "worst_case"),
        (cap.to_owned(), "line 1: budget.caps[0]", "amounts"),
        (format!("{cap}amounts = []\n"), "line 3: budget.caps[0].amounts", "empty"),
        (
            format!("{cap}amounts = {{ usd = \"2\", window = \"0s\" }}\n"),
            "line 3: budget.caps[0].amounts[0].window",
            "a minute",
        ),
        (
            format!("{cap}amounts = {{ usd = -2, window = \"day\" }}\n"),
            "line 3: budget.caps[0].amounts.usd",
            "negative",
        ),
        (format!("{cap}{day}alerts = [0]\n"), "line 4: budget.caps[0].alerts", "from 1 to 100"),
        (format!("{cap}{day}strictness = \"harsh\"\n"), "line 4: budget.caps[0].strictness", "`soft`"),
        (format!("{cap}{day}{cap}{day}"), "line 5: budget.caps[1].name", "twice"),
        (format!("{cap}{day}tenants = [\"nobody\"]\n"), "line 4: budget.caps[0].tenants", "`nobody`"),
        (
            format!("{cap}{day}models = [\"r\"]\n[router.routes.r]\ntargets = \"m\"\n"),
            "line 4: budget.caps[0].models",
            "a route",
        ),
        (
            format!("{cap}amounts = {{ usd = \"2\", window = \"week\" }}\n"),
            "line 3: budget.caps[0].amounts.window",
            "`month`",
        ),
    ];
    let rows: Vec<_> = rows.iter().map(|(config, place, word)| (config.as_str(), *place, *word)).collect();
    are_refused(&rows, SIMULATED);
    let named =
        |name: &str, sha256: &str| format!("[[keys]]\nname = \"{name}\"\nsha256 = \"{sha256}\"\ntenant = \"a\"\n");
    let other = SHA256.replace('0', "1");
    let twice = format!("{}{}", named("ci", SHA256), named("ci", &other));
    are_refused(&[(&twice, "line 6: keys[1].name", "another key")], SIMULATED);
}

#[test]
fn a_wrong_value_of_the_stack_is_named_with_line_and_key() {
    let rows = [
        ("", "providers", "state a provider"),
        ("[server]\nlisten = = 1\n", "line 2", "expected"),
        (
            "[[providers]]\nname = \"openai\"\nkeys = [{ key_env = \"NOT_SET_ANYWHERE\" }]\n",
            "line 3: providers[0].keys",
            "NOT_SET",
        ),
        (
            "[[providers]]\nname = \"x\"\nmodels = [\"*\"]\nbase_url = \"ftp://h\"\nauth = \"none\"\n",
            "line 4: providers[0].base_url",
            "http",
        ),
        (
            "[[providers]]\nname = \"x\"\nbase_url = \"http://h\"\nauth = \"none\"\n",
            "line 1: providers[0].models",
            "list them",
        ),
        ("[[providers]]\nname = \"\"\nmodels = [\"*\"]\n", "line 2: providers[0].name", "name"),
        ("[[providers]]\nname = \"x\"\nmodels = [\"\"]\n", "line 3: providers[0].models[0]", "blank"),
        ("[[providers]]\nname = \"x\"\nmodel = \"y\"\n", "line 3: providers[0].model", "unknown"),
        ("[simulated]\n[[simulated.models]]\nname = \"\"\n", "line 3: simulated.models[0].name", ""),
        ("[simulated]\nmodels = []\n", "line 2: simulated.models", ""),
        (
            "[[simulated.models]]\nname = \"a\"\n[[simulated.models]]\nname = \"b\"\ntokens_per_second = 0.0\n",
            "line 5: simulated.models[1].tokens_per_second",
            "",
        ),
        (
            "[[simulated.models]]\nname = \"a\"\nfirst_token = 20\n",
            "line 3: simulated.models[0].first_token",
            "duration",
        ),
    ];
    are_refused(&rows, "");
    let models = "[[models]]\nname = \"m\"\ninput = 1.0\noutput = 1.0\n[[models]]\nname = \"n\"\ninput = -1.0\n";
    are_refused(&[(models, "line 5: models[1]", "negative")], SIMULATED);
    are_refused(&[("[[models]]\nname = \"m\"\ninput = \"a\"\n", "line 3: models[0].input", "expected")], SIMULATED);
}

#[test]
fn keys_in_the_environment_mean_real_models() {
    let check = |keys: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gateway"));
        command.env("OPENAI_API_KEY", " ").env_remove("ANTHROPIC_API_KEY").arg("--check");
        let output = command.envs(keys.iter().map(|key| (*key, "sk-test"))).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let said = check(&["OPENAI_API_KEY"]);
    assert!(said.contains("models of openai:") && said.contains("gpt-5-mini") && !said.contains("claude"), "{said}");
    let said = check(&["ANTHROPIC_API_KEY"]);
    assert!(said.contains("models of anthropic:") && said.contains("claude-opus-5") && !said.contains("gpt"), "{said}");
    let said = check(&["OPENAI_API_KEY", "ANTHROPIC_API_KEY"]);
    assert!(said.contains("models of openai, anthropic:"), "{said}");
    assert!(said.contains("gpt-5-mini") && said.contains("claude-opus-5"), "{said}");
    assert!(check(&[]).contains("models of simulated:"));
}

#[test]
fn a_key_in_the_configuration_is_never_shown() {
    let sentence = refusal("[[providers]]\nname = \"openai\"\nkeys = [{ key = \"sk-canary\\nx\" }]\n");
    assert!(!sentence.contains("canary"), "{sentence}");
    let sentence = refusal("[[providers]]\nname = \"openai\"\nkeys = [{ kye = \"sk-canary\" }]\n");
    assert!(!sentence.contains("canary"), "{sentence}");
}

#[test]
fn a_file_that_is_not_there_is_a_sentence_too() {
    let output =
        Command::new(env!("CARGO_BIN_EXE_gateway")).args(["--config", "/nowhere/gateway.toml"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("/nowhere/gateway.toml"));
}
