//! What a configuration may say, and the sentences for what it may not.

use super::*;

const KEYED: &str = "name = \"p\"\nbase_url = \"https://p.example/v1\"\nkeys = [{ key = \"sk-canary\" }]\n";

fn layer(text: &str) -> Result<ProviderLayer, String> {
    let config: ProviderConfig = toml::from_str(text).map_err(|error| error.message().to_owned())?;
    let environment = |variable: &str| (variable == "XAI_API_KEY").then(|| "sk-canary".to_owned());
    ProviderLayer::check(config, environment).map_err(|error| error.to_string())
}

#[track_caller]
fn refused(text: &str) -> String {
    let sentence = layer(text).expect_err("it must be refused");
    assert!(!sentence.contains("canary"), "{sentence}");
    sentence
}

#[test]
fn the_smallest_configuration_is_a_name_a_place_and_a_key() {
    assert_eq!(layer(KEYED).unwrap().name(), "p");
}

#[test]
fn fields_that_are_not_known_are_refused() {
    assert!(refused("name = \"p\"\nbase-url = \"x\"").contains("unknown field `base-url`"));
    assert!(refused("name = \"p\"\nkeys = [{ kye = \"x\" }]").contains("unknown field `kye`"));
    assert!(refused("name = \"p\"\nclient = { timeout = \"5s\" }").contains("unknown field `timeout`"));
    assert!(refused("name = \"p\"\ndialect = \"gemini\"").contains("unknown variant `gemini`"));
    assert!(refused("name = \"p\"\nauth = \"basic\"").contains("unknown variant `basic`"));
}

#[test]
fn a_provider_needs_a_name_a_place_and_a_key() {
    assert_eq!(refused("name = \"\""), "name: a provider needs a name");
    assert_eq!(refused("name = \"p\""), "base_url: it is not known where \"p\" is");
    assert_eq!(
        refused("name = \"p\"\nbase_url = \"https://p.example\""),
        "keys: there is none; if the provider wants no key, say auth = \"none\""
    );
    layer("name = \"p\"\nbase_url = \"https://p.example\"\nauth = \"none\"").unwrap();
    assert_eq!(
        refused("name = \"p\"\nbase_url = \"https://u:canary@p.example\""),
        "base_url: it must name a host, without a user or password before it"
    );
}

#[test]
fn a_known_provider_needs_no_place_and_ollama_no_key() {
    layer("name = \"ollama\"").unwrap();
    layer("name = \"groq\"\nkeys = [{ key = \"sk-canary\" }]").unwrap();
    layer("name = \"xai\"").unwrap();
    assert_eq!(
        refused("name = \"openai\""),
        "keys: the key named \"default\" is to be in the environment variable OPENAI_API_KEY, which is not set"
    );
    layer("name = \"vllm\"\nkeys = [{ key = \"sk-canary\" }]").unwrap();
}

#[test]
fn a_known_providers_key_is_not_sent_elsewhere_unasked() {
    let sentence = refused("name = \"xai\"\nbase_url = \"https://elsewhere.example\"");
    assert!(sentence.starts_with("keys: there is none"), "{sentence}");
}

#[test]
fn a_variant_is_known_by_name_and_a_known_provider_has_its_own() {
    let variant = |text: &str| {
        let shown = format!("{:?}", layer(text).unwrap());
        shown.split("variant: \"").nth(1).unwrap().split('"').next().unwrap().to_owned()
    };
    assert_eq!(variant(KEYED), "compatible");
    assert_eq!(variant(&format!("{KEYED}variant = \"mistral\"")), "mistral");
    assert_eq!(variant("name = \"xai\""), "xai");
    assert_eq!(variant("name = \"xai\"\nvariant = \"openai\""), "openai");
    let elsewhere = "name = \"groq\"\nbase_url = \"https://p.example\"\nkeys = [{ key = \"sk-canary\" }]";
    assert_eq!(variant(elsewhere), "groq", "a provider is what its name says, wherever it is");
    assert_eq!(
        refused(&format!("{KEYED}variant = \"Mistral\"")),
        "variant: it must be one of compatible, openai, azure, openrouter, groq, mistral, deepseek, xai, ollama, vllm"
    );
    assert_eq!(
        refused(&format!("{KEYED}dialect = \"anthropic\"\nvariant = \"openai\"")),
        "variant: there are variants of OpenAI's dialect only"
    );
}

#[test]
fn a_dialect_is_known_by_name_and_a_known_provider_speaks_its_own() {
    assert!(format!("{:?}", layer(KEYED).unwrap()).contains("OpenAi"));
    assert!(format!("{:?}", layer(&format!("{KEYED}dialect = \"openai\"")).unwrap()).contains("OpenAi"));
    assert!(format!("{:?}", layer(&format!("{KEYED}dialect = \"anthropic\"")).unwrap()).contains("Anthropic"));
    let keys = "keys = [{ key = \"sk-canary\" }]\n";
    assert!(format!("{:?}", layer(&format!("name = \"anthropic\"\n{keys}")).unwrap()).contains("Anthropic"));
    let elsewhere = format!("name = \"anthropic\"\nbase_url = \"https://p.example\"\ndialect = \"openai\"\n{keys}");
    assert!(format!("{:?}", layer(&elsewhere).unwrap()).contains("OpenAi"));
    assert_eq!(
        refused("name = \"anthropic\""),
        "keys: the key named \"default\" is to be in the environment variable ANTHROPIC_API_KEY, which is not set"
    );
}

#[test]
fn the_place_of_a_known_provider_is_not_taken_for_another_dialect() {
    let deepseek = "name = \"deepseek\"\ndialect = \"anthropic\"\nkeys = [{ key = \"sk-canary\" }]\n";
    assert_eq!(refused(deepseek), "base_url: it is not known where \"deepseek\" speaks this dialect");
    layer(&format!("{deepseek}base_url = \"https://api.deepseek.com/anthropic\"")).unwrap();
}

#[test]
fn keys_are_read_from_where_they_are_said_to_be() {
    let place = "name = \"p\"\nbase_url = \"https://p.example\"\n";
    layer(&format!("{place}keys = [{{ key_env = \"XAI_API_KEY\" }}]")).unwrap();
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/src/config/a-key.txt");
    assert_eq!(
        refused(&format!("{place}keys = [{{ key_env = \"NO_SUCH_VARIABLE_OF_OURS\" }}]")),
        "keys: the key named \"default\" is to be in the environment variable NO_SUCH_VARIABLE_OF_OURS, which is not set"
    );
    let sentence = refused(&format!("{place}keys = [{{ name = \"spare\", key_file = \"{manifest}\" }}]"));
    assert!(sentence.starts_with("keys: the key named \"spare\" cannot be read from "), "{sentence}");
    let one_of = "keys: the key named \"default\" needs exactly one of key, key_env and key_file";
    assert_eq!(refused(&format!("{place}keys = [{{}}]")), one_of);
    assert_eq!(refused(&format!("{place}keys = [{{ key = \"canary\", key_env = \"HOME\" }}]")), one_of);
}

#[test]
fn bad_keys_are_refused_without_showing_them() {
    let place = "name = \"p\"\nbase_url = \"https://p.example\"\n";
    assert_eq!(refused(&format!("{place}keys = [{{ key = \"  \" }}]")), "keys: the key named \"default\" is empty");
    assert_eq!(refused(&format!("{place}keys = [{{ name = \"\", key = \"canary\" }}]")), "keys: a key needs a name");
    assert_eq!(
        refused(&format!("{place}keys = [{{ key = \"can ary\\ncanary\" }}]")),
        "keys: the key named \"default\" holds white space or characters that no key has"
    );
    assert_eq!(
        refused(&format!("{place}keys = [{{ key = \"canary\" }}, {{ key = \"other\" }}]")),
        "keys: there are two keys named \"default\""
    );
    assert_eq!(
        refused(&format!("{place}auth = \"none\"\nkeys = [{{ key = \"canary\" }}]")),
        "keys: there are some, but auth = \"none\" sends none"
    );
    assert_eq!(
        refused(&format!("{place}auth = {{ header = \"a b\" }}\nkeys = [{{ key = \"canary\" }}]")),
        "auth: \"a b\" is not a header that a key can be sent in"
    );
}

#[test]
fn headers_that_cannot_be_sent_or_are_not_ours_to_set_are_refused() {
    let with = |headers: &str| refused(&format!("{KEYED}headers = {{ {headers} }}"));
    assert_eq!(with("\"a b\" = \"1\""), "headers: \"a b\" is not a header name");
    assert_eq!(with("x-a = \"can\\r\\nary\""), "headers: the value of x-a cannot be sent in a header");
    assert_eq!(with("x-a = \"1\", X-A = \"2\""), "headers: x-a is stated twice");
    for name in ["Authorization", "host", "content-length", "transfer-encoding", "accept-encoding", "connection"] {
        assert_eq!(with(&format!("{name} = \"canary\"")), format!("headers: {name} is not the configuration's to set"));
    }
    assert_eq!(
        refused(&format!("{KEYED}auth = {{ header = \"api-key\" }}\nheaders = {{ api-key = \"canary\" }}")),
        "headers: api-key is not the configuration's to set"
    );
    assert_eq!(
        refused(&format!("{KEYED}dialect = \"anthropic\"\nheaders = {{ x-api-key = \"canary\" }}")),
        "headers: x-api-key is not the configuration's to set"
    );
    assert_eq!(refused(&format!("{KEYED}max_answer_bytes = 0")), "max_answer_bytes: it must be at least 1");
}

#[test]
fn debug_shows_names_and_no_secret() {
    let text = format!("{KEYED}headers = {{ x-team = \"canary\" }}");
    let mut config: ProviderConfig = toml::from_str(&text).unwrap();
    let layer = ProviderLayer::try_from(config.clone()).unwrap();
    config.base_url = Some("https://u:canary@p.example".to_owned());
    let shown = format!("{config:?} {layer:?}");
    assert!(shown.contains("x-team") && shown.contains("default"), "{shown}");
    assert!(!shown.contains("canary"), "{shown}");
}
