//! The request that every layer sees.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use http::Extensions;

use crate::{
    Chat, Context, Dialect, Embed, EmbedInput, Message, Role, TargetRef, TokenEstimate, TokenFamily, Tool, Wire,
};

/// A call to a model. Cloning copies a few pointers, so that retry, hedge and cache can clone freely.
///
/// ```
/// use llm_core::LlmRequest;
///
/// let request = LlmRequest::chat("gpt-4o-mini").system("Be brief.").user("Why is the sky blue?").build();
/// assert_eq!(request.model(), "gpt-4o-mini");
/// ```
///
/// What came in as bytes of some dialect and leaves in the same dialect with an untouched payload is sent as the
/// caller's own bytes: the payload keeps them until somebody changes it through [`payload_mut`](Self::payload_mut).
#[derive(Clone)]
pub struct LlmRequest {
    model: Arc<str>,
    payload: Arc<Payload>,
    wire: Option<Wire>,
    context: Context,
    extensions: Option<Arc<Extensions>>,
}

/// What is asked of the model.
#[derive(Clone, Debug, PartialEq)]
#[allow(clippy::large_enum_variant, reason = "a payload lives behind an Arc, where its size costs nothing to move")]
pub enum Payload {
    /// To continue a conversation.
    Chat(Chat),
    /// To turn texts into vectors.
    Embed(Embed),
    /// To say how many input tokens a conversation would be, without continuing it. It costs nothing.
    CountTokens(Chat),
}

impl LlmRequest {
    /// A request for `model` with a context of its own.
    pub fn new(model: impl Into<Arc<str>>, payload: Payload) -> Self {
        Self {
            model: model.into(),
            payload: Arc::new(payload),
            wire: None,
            context: Context::default(),
            extensions: None,
        }
    }

    /// Begins a chat request.
    pub fn chat(model: impl Into<Arc<str>>) -> ChatBuilder {
        ChatBuilder { model: model.into(), chat: Chat::default() }
    }

    /// A request to embed `inputs`.
    pub fn embed<T: Into<String>>(model: impl Into<Arc<str>>, inputs: impl IntoIterator<Item = T>) -> Self {
        let input = inputs.into_iter().map(|text| EmbedInput::Text(text.into())).collect();
        Self::new(model, Payload::Embed(Embed { input, ..Embed::default() }))
    }

    /// Keeps the bytes that the payload was decoded from.
    pub fn with_wire(mut self, dialect: Dialect, bytes: Bytes) -> Self {
        self.wire = Some(Wire { dialect, bytes });
        self
    }

    /// Replaces the context.
    pub fn with_context(mut self, context: Context) -> Self {
        self.context = context;
        self
    }

    /// The model that the caller asks for. Which one is really called is the context's target.
    pub fn model(&self) -> &str {
        &self.model
    }

    /// Asks for another model. The caller's bytes stay; edges splice the name in.
    pub fn set_model(&mut self, model: impl Into<Arc<str>>) {
        self.model = model.into();
    }

    /// What is asked.
    pub fn payload(&self) -> &Payload {
        &self.payload
    }

    /// What is asked, shared.
    pub fn shared_payload(&self) -> Arc<Payload> {
        Arc::clone(&self.payload)
    }

    /// What is asked, to be changed: the payload is copied if it is shared, and the caller's bytes are dropped.
    pub fn payload_mut(&mut self) -> &mut Payload {
        self.wire = None;
        Arc::make_mut(&mut self.payload)
    }

    /// The bytes that the payload was decoded from, if it was and has not been changed since.
    pub fn wire(&self) -> Option<&Wire> {
        self.wire.as_ref()
    }

    /// Who calls and why.
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// Who calls and why, to be changed. Other clones of the request keep theirs.
    pub fn context_mut(&mut self) -> &mut Context {
        &mut self.context
    }

    /// The names under which a layer keeps what it knows of where the call goes: those of the target, or the requested
    /// model without a provider while no target was chosen.
    pub fn target_or_model(&self) -> TargetRef<'_> {
        match self.context.target() {
            Some(target) => target.names(),
            None => TargetRef { provider: "", model: &self.model, key: None },
        }
    }

    /// Estimates the input tokens for a model of `family`, as [`estimate_prompt`](crate::estimate_prompt) does. The texts
    /// are counted once for all attempts of the call and whoever else asks, unless the payload is changed in between: that
    /// is worth it, since it takes a microsecond for each kilobyte.
    pub fn estimate_prompt(&self, family: TokenFamily) -> TokenEstimate {
        self.context.call().estimate_prompt(&self.payload, family)
    }

    /// The most output tokens of one answer: what the caller states or the context's
    /// [ceiling](Context::output_ceiling), whichever is lower. `None` where neither is, and for embeddings and counts, whose
    /// answers are no text.
    pub fn max_output_tokens(&self) -> Option<u64> {
        let Payload::Chat(chat) = &*self.payload else { return None };
        // Every layer asks, so it is done by hand: a search through a list of both takes a hundred times as long.
        match (chat.max_output_tokens, self.context.output_ceiling()) {
            (Some(asked), Some(ceiling)) => Some(asked.min(ceiling)),
            (asked, ceiling) => asked.or(ceiling),
        }
    }

    /// Whatever else callers and their layers want to carry along.
    pub fn extensions(&self) -> &Extensions {
        static NONE: std::sync::LazyLock<Extensions> = std::sync::LazyLock::new(Extensions::new);
        self.extensions.as_deref().unwrap_or(&NONE)
    }

    /// The extensions, to be changed. They are copied if they are shared.
    pub fn extensions_mut(&mut self) -> &mut Extensions {
        Arc::make_mut(self.extensions.get_or_insert_default())
    }

    /// Whether the caller wants the answer in pieces as it is made.
    pub fn is_stream(&self) -> bool {
        match &*self.payload {
            Payload::Chat(chat) => chat.stream,
            Payload::Embed(_) | Payload::CountTokens(_) => false,
        }
    }
}

impl fmt::Debug for LlmRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LlmRequest")
            .field("model", &self.model)
            .field("payload", &self.payload)
            .field("wire", &self.wire)
            .field("context", &self.context)
            .finish_non_exhaustive()
    }
}

/// Builds a chat request, see [`LlmRequest::chat`].
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build`"]
pub struct ChatBuilder {
    model: Arc<str>,
    chat: Chat,
}

impl ChatBuilder {
    /// Adds instructions.
    pub fn system(mut self, text: impl Into<String>) -> Self {
        self.chat.system.push(Message::text(Role::System, text));
        self
    }

    /// Adds what the person says.
    pub fn user(self, text: impl Into<String>) -> Self {
        self.message(Message::text(Role::User, text))
    }

    /// Adds what the model said earlier.
    pub fn assistant(self, text: impl Into<String>) -> Self {
        self.message(Message::text(Role::Assistant, text))
    }

    /// Adds a message.
    pub fn message(mut self, message: Message) -> Self {
        self.chat.messages.push(message);
        self
    }

    /// Offers a tool.
    pub fn tool(mut self, tool: Tool) -> Self {
        self.chat.tools.push(tool);
        self
    }

    /// Limits the answer to this many tokens, reasoning included.
    pub fn max_output_tokens(mut self, tokens: u64) -> Self {
        self.chat.max_output_tokens = Some(tokens);
        self
    }

    /// Sets the randomness of the answer, 0 to 2.
    pub fn temperature(mut self, temperature: f64) -> Self {
        self.chat.sampling.temperature = Some(temperature);
        self
    }

    /// Asks for the answer in pieces, with a usage report.
    pub fn stream(mut self) -> Self {
        self.chat.stream = true;
        self.chat.include_usage = true;
        self
    }

    /// Changes any other field of the chat.
    pub fn with(mut self, change: impl FnOnce(&mut Chat)) -> Self {
        change(&mut self.chat);
        self
    }

    /// The request.
    pub fn build(self) -> LlmRequest {
        LlmRequest::new(self.model, Payload::Chat(self.chat))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_as_long_as_the_lower_of_both_ceilings() {
        let most = |asked: Option<u64>, ceiling: Option<u64>| {
            let mut request = LlmRequest::chat("m").with(|chat| chat.max_output_tokens = asked).build();
            ceiling.into_iter().for_each(|tokens| request.context_mut().lower_output_ceiling(tokens));
            request.max_output_tokens()
        };
        assert_eq!([most(Some(5), Some(9)), most(Some(9), Some(5))], [Some(5); 2]);
        assert_eq!([most(Some(5), None), most(None, Some(9)), most(None, None)], [Some(5), Some(9), None]);
        assert_eq!(LlmRequest::embed("m", ["text"]).max_output_tokens(), None);
    }

    #[test]
    fn a_prompt_is_estimated_as_it_is_whoever_has_asked_before() {
        let estimate = |request: &LlmRequest, family| request.estimate_prompt(family).likely;
        let first = LlmRequest::chat("m").user("Why is the sky blue?").build();
        let known = estimate(&first, TokenFamily::O200k);
        assert_eq!(known, crate::estimate_prompt(first.payload(), TokenFamily::O200k).likely);
        let mut second = first.clone();
        assert_eq!(estimate(&second, TokenFamily::O200k), known);
        assert!(estimate(&second, TokenFamily::ClaudeNewest) > known, "for another model");
        *second.payload_mut() = LlmRequest::chat("m").user("Why?").build().payload().clone();
        assert!(estimate(&second, TokenFamily::O200k) < known, "of another text");
        assert_eq!(estimate(&first, TokenFamily::O200k), known);
        drop(first);
        // Alone it need not be copied to be changed.
        let Payload::Chat(chat) = second.payload_mut() else { panic!("a chat is a chat") };
        chat.messages.clear();
        assert!(estimate(&second, TokenFamily::O200k) < 5, "of no text");
    }

    #[test]
    fn what_was_counted_does_not_keep_the_prompt() {
        let request = LlmRequest::chat("m").user("Why is the sky blue?").build();
        request.estimate_prompt(TokenFamily::O200k);
        let (prompt, trail) = (Arc::downgrade(&request.payload), request.context().trail());
        drop(request);
        assert!(prompt.upgrade().is_none());
        drop(trail);
    }
}
