//! Between two parties that speak one dialect nothing is changed but what must be.

#![allow(clippy::unwrap_used)]

mod harness;

use harness::{Answer, Gateway, provider};
use http::Method;
use llm_sim::{ModelConfig, Sim, SimConfig, SimServer};

async fn start() -> (Gateway, SimServer) {
    let sim = Sim::try_from(SimConfig::new([ModelConfig::instant("m")])).unwrap();
    let server = sim.serve("127.0.0.1:0").await.unwrap();
    let gateway = Gateway::start(&provider(&server.base_url())).await;
    (gateway, server)
}

/// Odd spacing, odd numbers, odd order, fields nobody knows.
const ODD: &str = "{ \"top_k\" : 1.0e1,\t\"messages\":[ {\"content\":\"h\\u00e9llo \\/\",\"role\":\"user\",\"x-note\":{\"b\":1.50,\"a\":[ ]}} ],\n\
                   \"temperature\": 0.70, \"model\" : \"m\",\"unknown\":-0.0 ,\"seed\":7}";

#[tokio::test]
async fn the_provider_gets_the_callers_own_bytes() {
    let (gateway, server) = start().await;
    gateway.post("/v1/chat/completions", ODD).await.content();
    assert_eq!(server.log()[0].body, ODD.as_bytes());
}

#[tokio::test]
async fn only_the_models_name_and_the_stream_options_are_spliced_in() {
    let (gateway, server) = start().await;
    let spelled = ODD.replace("\"model\" : \"m\"", "\"model\" : \"upstream/m\"");
    gateway.post("/v1/chat/completions", spelled).await.content();
    assert_eq!(server.log()[0].body, ODD.as_bytes());

    let streamed = ODD.replace("\"seed\":7", "\"seed\":7,\"stream\":true");
    let text = gateway.post("/v1/chat/completions", streamed.clone()).await.text();
    let expected =
        streamed.replace("\"model\" : \"m\"", "\"model\" : \"m\",\"stream_options\":{\"include_usage\":true}");
    assert_eq!(String::from_utf8_lossy(&server.log()[1].body), expected);
    assert!(!text.contains("\"choices\":[]"), "the report that we asked for stays with us");
}

#[tokio::test]
async fn the_caller_gets_the_providers_own_bytes() {
    let (gateway, server) = start().await;
    let direct = |stream: bool| {
        let body =
            ODD.replace("\"seed\":7", &format!("\"stream\":{stream},\"stream_options\":{{\"include_usage\":true}}"));
        let mut request = gateway.request(Method::POST, "/chat/completions", body);
        *request.uri_mut() = format!("{}/chat/completions", server.base_url()).parse().unwrap();
        request
    };
    for stream in [false, true] {
        let from_provider = Answer::read(gateway.send(direct(stream)).await).await;
        let mut through = direct(stream);
        *through.uri_mut() = gateway.url("/v1/chat/completions").parse().unwrap();
        let through_gateway = Answer::read(gateway.send(through).await).await;
        // Only what is drawn anew for each answer may differ.
        assert_eq!(without_ids(&through_gateway.text()), without_ids(&from_provider.text()), "stream: {stream}");
    }
}

fn without_ids(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("\"id\":\"") {
        out.push_str(before);
        rest = after.split_once('"').unwrap().1;
    }
    let text = out + rest;
    let mut out = String::new();
    let mut rest = text.as_str();
    while let Some((before, after)) = rest.split_once("\"created\":") {
        out.push_str(before);
        rest = after.trim_start_matches(|digit: char| digit.is_ascii_digit());
    }
    out + rest
}
