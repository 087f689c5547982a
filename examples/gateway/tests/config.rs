//! What is wrong with a configuration is said at once, in a sentence with a place.

#![allow(clippy::unwrap_used)]

use std::process::{Command, Output};

fn check_with(config: &str, arguments: &[&str]) -> Output {
    let files = tempfile::tempdir().unwrap();
    let file = files.path().join("gateway.toml");
    std::fs::write(&file, config).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_gateway"));
    command.env_remove("OPENAI_API_KEY").args(["--check", "--config"]).arg(file).args(arguments).output().unwrap()
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

#[test]
fn strangers_are_let_in_only_if_somebody_says_so() {
    let simulated = "[simulated]\nmodels = [{ name = \"m\" }]\n";
    let open = format!("[server]\nlisten = \"0.0.0.0:80\"\nallow_anonymous = true\n{simulated}");
    assert!(check_with(&open, &[]).status.success());
    let overridden = format!("[server]\nlisten = \"0.0.0.0:80\"\n{simulated}");
    assert!(check_with(&overridden, &["--listen", "127.0.0.1:0"]).status.success());
    assert_eq!(check_with(simulated, &["--listen", "0.0.0.0:0"]).status.code(), Some(2));
}

#[test]
fn a_wrong_value_is_named_with_its_line() {
    let simulated = "[simulated]\nmodels = [{ name = \"m\" }]\n";
    for (config, line, word) in [
        ("[server]\nlisen = \"127.0.0.1:1\"\n".to_owned(), "line 2", "lisen"),
        ("[servers]\n".to_owned(), "line 1", "servers"),
        ("[server]\nlisten = 8080\n".to_owned(), "line 2", "socket address"),
        ("[server]\nhead_timeout = \"ten\"\n".to_owned(), "line 2", "duration"),
        (format!("[server]\nhead_timeout = \"0s\"\n{simulated}"), "line 2", "head_timeout"),
        (format!("[server]\nmax_body_bytes = 0\n{simulated}"), "line 2", "max_body_bytes"),
        (format!("[server]\nlisten = \"0.0.0.0:80\"\n{simulated}"), "line 2", "allow_anonymous"),
        (format!("{simulated}[[keys]]\ntenant = \"a\"\nsha256 = \"12\"\n"), "line 5", "64 hexadecimal"),
        (format!("{simulated}[admin]\nkey_env = \"NOT_SET_ANYWHERE\"\n"), "line 4", "NOT_SET_ANYWHERE"),
        (
            "[[providers]]\nname = \"openai\"\nkeys = [{ key_env = \"NOT_SET_ANYWHERE\" }]\n".to_owned(),
            "line 3",
            "NOT_SET",
        ),
        (
            "[[providers]]\nname = \"x\"\nmodels = [\"*\"]\nbase_url = \"ftp://h\"\nauth = \"none\"\n".to_owned(),
            "line 4",
            "base_url",
        ),
        ("[[providers]]\nname = \"x\"\nbase_url = \"http://h\"\nauth = \"none\"\n".to_owned(), "line 1", "models"),
        (format!("{simulated}[[models]]\nname = \"m\"\ninput = -1.0\noutput = 1.0\n"), "line", "negative"),
        (String::new(), "", "provider"),
    ] {
        let sentence = refusal(&config);
        assert!(sentence.contains(line) && sentence.contains(word), "{config}: {sentence}");
        assert_eq!(sentence.trim().lines().count(), 1, "one sentence: {sentence}");
    }
}

#[test]
fn a_key_in_the_environment_means_real_models() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gateway"));
    let output = command.env("OPENAI_API_KEY", "sk-test").arg("--check").output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("models of openai") && said.contains("gpt-5-mini"), "{said}");
    let simulated = command.env_remove("OPENAI_API_KEY").output().unwrap();
    assert!(String::from_utf8(simulated.stdout).unwrap().contains("models of simulated"));
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
