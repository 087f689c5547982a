//! Each key of a condition holds when it should, and what is said to be never reached never is.

use std::sync::Arc;

use llm_core::{
    Audio, Caller, ChatBuilder, Embed, EmbedInput, File, Image, Json, JsonSchema, LlmRequest, Message, PartContent,
    Payload, ResponseFormat, Role, Sensitivity, Source, Tool, ToolResult, catalog::Capability,
};
use proptest::{prelude::*, sample::subsequence};

use super::*;
use crate::{ProviderEntry, Targets};

fn chat() -> ChatBuilder {
    LlmRequest::chat("gpt-4o").user("Why is the sky blue?")
}

fn with_part(content: PartContent) -> LlmRequest {
    chat().message(Message::new(Role::User, vec![content.into()])).build()
}

/// A plain chat, after `change`.
fn asked(change: impl FnOnce(&mut LlmRequest)) -> LlmRequest {
    let mut request = chat().build();
    change(&mut request);
    request
}

fn called_by(caller: Caller) -> LlmRequest {
    asked(|request| request.context_mut().set_caller(caller))
}

fn holds(when: When, request: &LlmRequest) -> bool {
    when.holds(&mut Facts::of(request))
}

#[test]
fn each_key_holds_for_what_it_says_and_for_nothing_else() {
    let plain = chat().build();
    let about = |intent: &'static str| asked(|request| request.context_mut().set_intent(intent));
    let tagged = |tags: &[&'static str]| asked(|request| request.context_mut().set_tags(tags.iter().copied()));
    let sensitive = asked(|request| request.context_mut().raise_sensitivity(Sensitivity::Sensitive));
    let workflow = |name: &str| called_by(Caller { workflow: Some(name.into()), ..Caller::default() });
    let user = |name: &str| called_by(Caller { user: Some(name.into()), ..Caller::default() });
    let acme = || called_by(Caller::tenant("acme"));
    let table = [
        (When::new().model(["o3", "gpt-4*"]), plain.clone(), LlmRequest::chat("gpt-5").build()),
        (When::new().model(["gpt-4o"]), plain.clone(), LlmRequest::chat("gpt-4o-mini").build()),
        (
            When::new().model(["gpt-4*"]),
            LlmRequest::chat("openai/gpt-4o").build(),
            LlmRequest::chat("x-gpt-4o").build(),
        ),
        (When::new().intent(["math", "code"]), about("code"), about("creative")),
        (When::new().intent(["code"]), about("code"), plain.clone()),
        (When::new().sensitivity(Sensitivity::Sensitive), sensitive.clone(), plain.clone()),
        (When::new().sensitivity(Sensitivity::Normal), plain.clone(), sensitive),
        (When::new().tenant(["acme", "umbrella"]), acme(), called_by(Caller::tenant("cyberdyne"))),
        (When::new().user(["ann"]), user("ann"), user("bob")),
        (When::new().workflow(["routing", "extraction"]), workflow("extraction"), workflow("chat")),
        (When::new().tags(["eu", "beta"]), tagged(&["x", "beta", "eu"]), tagged(&["eu"])),
        (When::new().stream(true), chat().stream().build(), plain.clone()),
        (When::new().stream(false), plain.clone(), chat().stream().build()),
        (When::new().input_tokens(..100), plain.clone(), chat().user("long ".repeat(100)).build()),
        (When::new().input_tokens(100..), chat().user("long ".repeat(100)).build(), plain.clone()),
        (When::new().tenant(["acme"]).stream(false), acme(), plain.clone()),
        (
            When::new().tenant(["acme"]).stream(false),
            acme(),
            asked(|request| {
                request.context_mut().set_caller(Caller::tenant("acme"));
                let Payload::Chat(chat) = request.payload_mut() else { unreachable!("it is one") };
                chat.stream = true;
            }),
        ),
    ];
    for (when, yes, no) in table {
        assert!(holds(when.clone(), &yes), "{when:?}");
        assert!(!holds(when.clone(), &no), "{when:?}");
    }
    assert!(holds(When::new(), &plain), "what states nothing always holds");
    assert!(holds(When::new().tags([""; 0]), &plain), "all of no tags are there");
    assert!(!holds(When::new().intent([""; 0]), &about("code")), "none of no intents is there");
}

#[test]
fn what_a_request_needs_is_seen_in_its_kind_its_parts_and_its_format() {
    let picture = || PartContent::Image(Image { source: Source::Url("http://x".into()), detail: None });
    let schema = || {
        let schema = Json::from_text("{}").unwrap();
        JsonSchema { name: None, description: None, schema, strict: None, extra: Default::default() }
    };
    let sound = PartContent::Audio(Audio { data: String::new(), format: "wav".to_owned() });
    let document = PartContent::File(File { source: Source::File("file-1".into()), filename: None });
    let result =
        PartContent::ToolResult(ToolResult { call_id: "1".into(), content: vec![picture().into()], is_error: false });
    let tool = Tool::function("look", "looks closer", Json::from_text("{}").unwrap());
    let embed = Payload::Embed(Embed { input: vec![EmbedInput::Text("x".into())], ..Embed::default() });
    let table = [
        (chat().build(), vec![]),
        (chat().tool(tool).build(), vec![Capability::Tools]),
        (with_part(picture()), vec![Capability::Vision]),
        (with_part(result), vec![Capability::Vision]),
        (with_part(sound), vec![Capability::Audio]),
        (with_part(document), vec![Capability::Files]),
        (
            chat().with(|chat| chat.response_format = Some(ResponseFormat::JsonSchema(schema()))).build(),
            vec![Capability::JsonSchema],
        ),
    ];
    for (request, further) in table {
        let needs: Vec<_> = Needs::of(request.payload()).iter().collect();
        assert_eq!(needs, [&[Capability::Chat], &further[..]].concat());
        for capability in Needs::ALL {
            assert_eq!(holds(When::new().needs([capability]), &request), needs.contains(&capability));
        }
    }
    assert_eq!(Needs::of(&embed).iter().collect::<Vec<_>>(), [Capability::Embeddings]);
    let json_object = chat().with(|chat| chat.response_format = Some(ResponseFormat::JsonObject)).build();
    assert!(!holds(When::new().needs([Capability::JsonSchema, Capability::Vision]), &json_object));
    let count = LlmRequest::new("gpt-4o", Payload::CountTokens(Default::default()));
    assert!(holds(When::new().needs([Capability::Chat]), &count));
}

#[test]
fn texts_are_counted_only_where_nothing_cheaper_settles_it_and_only_once() {
    let request = chat().build();
    let mut facts = Facts::of(&request);
    let rules = Rules::new([
        Rule::new(When::new().stream(true).needs([Capability::Vision]).input_tokens(..4_000)),
        Rule::new(When::new().tenant(["acme"]).input_tokens(4_000..)),
        Rule::new(When::new().model(["o*"])),
    ]);
    assert!(rules.choose(&mut facts).is_none());
    assert_eq!(facts.computed(), (false, false));
    assert!(Rules::default().choose(&mut facts).is_none());
    assert_eq!(facts.computed(), (false, false));
    assert!(!When::new().needs([Capability::Vision]).input_tokens(..4_000).holds(&mut facts));
    assert_eq!(facts.computed(), (true, false));
    assert!(When::new().input_tokens(..4_000).holds(&mut facts));
    assert_eq!(facts.computed(), (true, true));
    assert!(!When::new().input_tokens(5..).holds(&mut Facts::with_input_tokens(&request, 4)));
}

#[test]
fn the_first_rule_that_holds_decides() {
    let rules = Rules::new([
        Rule::new(When::new().stream(true)).to("streams"),
        Rule::new(When::new()).refuse("no more").named("the end"),
        Rule::new(When::new()).to("never"),
    ]);
    let (whole, streamed) = (chat().build(), chat().stream().build());
    let chosen = |request| rules.choose(&mut Facts::of(request)).unwrap();
    assert_eq!((chosen(&streamed).place(), chosen(&streamed).route()), (0, Some("streams")));
    assert_eq!((chosen(&whole).place(), chosen(&whole).refusal()), (1, Some("no more")));
    assert_eq!(rules.iter().map(Rule::to_string).collect::<Vec<_>>(), ["rules[0]", "the end", "rules[2]"]);
}

#[test]
fn of_routes_and_refusal_the_last_one_holds() {
    let targets = Targets::new(Arc::default()).provider(ProviderEntry::new("openai").models(["gpt-5"]));
    let own = targets.route(["openai/gpt-5"]).unwrap();
    let rule = Rule::new(When::new()).refuse("no").to("fast").require_tags(["eu"]);
    let does = |rule: &Rule| (rule.route().is_some(), rule.own_route().is_some(), rule.refusal().is_some());
    assert_eq!(does(&rule), (true, false, false));
    assert_eq!(rule.required_tags(), ["eu".into()]);
    let rule = rule.to_own(own);
    assert_eq!(does(&rule), (false, true, false));
    assert_eq!(does(&rule.refuse("no")), (false, false, true));
    assert_eq!(does(&Rule::new(When::new())), (false, false, false));
}

fn causes<const N: usize>(whens: [When; N]) -> Vec<(usize, String)> {
    let rules = Rules::new(whens.map(Rule::new));
    rules.unreachable().into_iter().map(|found| (found.place, found.cause.to_string())).collect()
}

#[test]
fn a_condition_that_contradicts_itself_is_told() {
    for (when, why) in [
        (When::new().intent([""; 0]), "an empty list holds for nothing"),
        (When::new().model([""; 0]), "an empty list holds for nothing"),
        (When::new().input_tokens(5..5), "no number of tokens is in that range"),
        (When::new().input_tokens(..0), "no number of tokens is in that range"),
        (When::new().needs([]), "no request needs that"),
        (When::new().needs([Capability::Reasoning, Capability::Streaming]), "no request needs that"),
        (When::new().needs([Capability::Embeddings]).stream(true), "embeddings are never streamed"),
    ] {
        assert_eq!(causes([when]), [(0, format!("it is never reached: {why}"))]);
    }
}

#[test]
fn a_rule_that_an_earlier_one_covers_is_told() {
    let covered = [
        [When::new(), When::new().intent(["code"])],
        [When::new().model(["gpt-*"]), When::new().model(["gpt-4*", "gpt-5"])],
        [When::new().model(["*"]), When::new()],
        [When::new().tags(["eu"]), When::new().tags(["beta", "eu"])],
        [When::new().input_tokens(..4_000), When::new().input_tokens(10..=3_999)],
        [When::new().tenant(["a", "b"]), When::new().tenant(["b"]).stream(true)],
        [When::new().needs([Capability::Chat]), When::new().needs([Capability::Tools])],
        [When::new().needs([Capability::Chat]), When::new().stream(true)],
        [When::new().stream(false), When::new().needs([Capability::Embeddings])],
        [When::new().needs([Capability::Embeddings, Capability::Chat]), When::new()],
    ];
    for whens in covered {
        let shown = format!("{whens:?}");
        assert_eq!(causes(whens), [(1, "it is never reached: rules[0] holds whenever it would".to_owned())], "{shown}");
    }
    let reached = [
        [When::new().intent(["code"]), When::new()],
        [When::new().model(["gpt-4*"]), When::new().model(["gpt-*"])],
        [When::new().model(["gpt"]), When::new().model(["gpt*"])],
        [When::new().tags(["beta", "eu"]), When::new().tags(["eu"])],
        [When::new().input_tokens(..4_000), When::new().input_tokens(10..=4_000)],
        [When::new().needs([Capability::Tools]), When::new().needs([Capability::Chat])],
        [When::new().stream(true), When::new().needs([Capability::Chat])],
    ];
    for whens in reached {
        let shown = format!("{whens:?}");
        assert_eq!(causes(whens), [], "{shown}");
    }
}

#[test]
fn a_rule_that_earlier_ones_cover_together_is_told_with_those_that_do() {
    let together = |places: &str| format!("it is never reached: {places} holds whenever it would");
    let (code, math) = (When::new().intent(["code"]), When::new().intent(["math"]));
    assert_eq!(
        causes([
            When::new().tenant(["acme"]),
            When::new().stream(true),
            When::new().stream(false),
            When::new().intent(["code"])
        ]),
        [(3, together("rules[1] or rules[2]"))]
    );
    assert_eq!(
        causes([
            When::new().sensitivity(Sensitivity::Normal),
            When::new().sensitivity(Sensitivity::Sensitive),
            When::new()
        ]),
        [(2, together("rules[0] or rules[1]"))]
    );
    assert_eq!(
        causes([code.clone(), math.clone(), When::new().intent(["math", "code"]).stream(true)]),
        [(2, together("rules[0] or rules[1]"))]
    );
    assert_eq!(
        causes([
            When::new().input_tokens(100..=200),
            When::new().input_tokens(..100),
            When::new().input_tokens(150..),
            When::new().tags(["eu"])
        ]),
        [(3, together("rules[0], rules[1] or rules[2]"))]
    );
    assert_eq!(
        causes([When::new().needs([Capability::Embeddings]), When::new().needs([Capability::Chat]), When::new()]),
        [(2, together("rules[0] or rules[1]"))]
    );
    assert_eq!(causes([code, math, When::new()]), [], "a call may be about something else");
    assert_eq!(
        causes([When::new().input_tokens(..100), When::new().input_tokens(101..), When::new()]),
        [],
        "one number is left"
    );
    assert_eq!(
        causes([
            When::new().stream(true),
            When::new().stream(false).input_tokens(..100),
            When::new().stream(false).input_tokens(100..).needs([Capability::Chat]),
            When::new().needs([Capability::Embeddings]),
            When::new()
        ]),
        [(4, together("rules[0], rules[1], rules[2] or rules[3]"))],
        "also where they differ in several keys"
    );
}

/// Names of which conditions use all but the last, so that for each key there is a call that no list speaks of.
const WORDS: [&str; 3] = ["one", "two", "other"];
const NEEDED: [Capability; 3] = [Capability::Chat, Capability::Embeddings, Capability::Tools];

fn words() -> impl Strategy<Value = Option<Vec<&'static str>>> {
    prop::option::weighted(0.3, subsequence(&WORDS[..2], 0..=2))
}

fn conditions() -> impl Strategy<Value = When> {
    let models = prop::option::weighted(0.3, subsequence(vec!["*", "g*", "go*", "go", "h"], 0..=3));
    let needs = prop::option::weighted(0.3, subsequence(NEEDED.to_vec(), 0..=3));
    let span = prop::option::weighted(0.3, (0..5_u64, 0..5_u64));
    let sides = (prop::option::weighted(0.3, any::<bool>()), prop::option::weighted(0.3, any::<bool>()));
    (words(), words(), models, subsequence(&WORDS[..2], 0..=1), needs, span, sides).prop_map(
        |(intent, tenant, models, tags, needs, span, (stream, sensitive))| {
            let mut when = When::new().tags(tags);
            if let Some(intent) = intent {
                when = when.intent(intent);
            }
            if let Some(tenant) = tenant {
                when = when.tenant(tenant);
            }
            if let Some(models) = models {
                when = when.model(models);
            }
            if let Some(needs) = needs {
                when = when.needs(needs);
            }
            // The domain of tokens is 0 to 4, and everything above is 4.
            if let Some((first, last)) = span {
                let last = if last == 4 { u64::MAX } else { last };
                when = when.input_tokens(first..=last);
            }
            if let Some(stream) = stream {
                when = when.stream(stream);
            }
            if let Some(sensitive) = sensitive {
                let sensitivity = if sensitive { Sensitivity::Sensitive } else { Sensitivity::Normal };
                when = when.sensitivity(sensitivity);
            }
            when
        },
    )
}

/// Every call that conditions can tell apart, with its number of tokens.
fn domain() -> Vec<(LlmRequest, u64)> {
    let mut domain = Vec::new();
    let payloads = [(false, false), (false, true), (true, false), (true, true)].map(|(tools, stream)| {
        let mut chat = LlmRequest::chat("m");
        if tools {
            chat = chat.tool(Tool::function("look", "", Json::from_text("{}").unwrap()));
        }
        if stream {
            chat = chat.stream();
        }
        chat.build()
    });
    for plain in payloads.into_iter().chain([LlmRequest::embed("m", ["x"])]) {
        for model in ["g", "go", "gone", "h", "i"] {
            for names in 0..16_usize {
                for tags in 0..4_usize {
                    for sensitivity in [Sensitivity::Normal, Sensitivity::Sensitive] {
                        let mut request = plain.clone();
                        request.set_model(model);
                        let context = request.context_mut();
                        context.raise_sensitivity(sensitivity);
                        if let Some(intent) = WORDS.get(names % 4) {
                            context.set_intent(*intent);
                        }
                        if let Some(tenant) = WORDS.get(names / 4) {
                            context.set_caller(Caller::tenant(*tenant));
                        }
                        let is_in = |at: &usize| tags & (1 << at) != 0;
                        context.set_tags((0..2).filter(is_in).map(|at| WORDS[at]));
                        domain.extend((0..5).map(|tokens| (request.clone(), tokens)));
                    }
                }
            }
        }
    }
    domain
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn a_rule_is_called_unreachable_exactly_if_no_call_reaches_it(
        whens in prop::collection::vec(conditions(), 1..6),
    ) {
        let rules = Rules::new(whens.iter().cloned().map(Rule::new));
        let domain = domain();
        // For each rule the calls that it holds for, as a set of their places.
        let held: Vec<Vec<bool>> = whens
            .iter()
            .map(|when| domain.iter().map(|(request, tokens)| when.holds(&mut Facts::with_input_tokens(request, *tokens))).collect())
            .collect();
        let found = rules.unreachable();
        for (place, calls) in held.iter().enumerate() {
            let told = found.iter().find(|found| found.place == place).map(|found| &found.cause);
            let is_reached = (0..domain.len()).any(|call| calls[call] && !held[..place].iter().any(|earlier| earlier[call]));
            match told {
                Some(Cause::Contradiction(_)) => prop_assert!(!calls.contains(&true)),
                Some(Cause::Covered(places)) => {
                    let all = |call: usize| !calls[call] || places.iter().any(|place| held[*place][call]);
                    prop_assert!(calls.contains(&true) && (0..domain.len()).all(all), "those that are named cover it");
                }
                None => prop_assert!(is_reached, "{:?}", whens),
            }
        }
    }
}
