//! What the gateway prints when it is ready: where it is, and how to try it.

use std::{
    io::{self, Write},
    net::SocketAddr,
};

use llm_stack::Stack;
use tokio::net::TcpListener;

/// Prints the address, the models and commands that work when they are pasted.
pub(crate) fn print(
    listener: &TcpListener,
    admin: Option<&TcpListener>,
    stack: &Stack,
    is_open: bool,
) -> io::Result<()> {
    let mut text = text(listener.local_addr()?, stack, is_open);
    if let Some(admin) = admin {
        text.push_str(&format!("operators look at http://{}/status\n", admin.local_addr()?));
    }
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

fn text(address: SocketAddr, stack: &Stack, is_open: bool) -> String {
    let key = if is_open { "" } else { " -H \"authorization: Bearer $KEY\"" };
    // An example for which anything but a chat model would be an odd choice.
    let model = stack.models().first().map_or("MODEL", |model| &model.name);
    let curl = |flags: &str, path: &str, more: &str| {
        format!(
            "  curl{flags} http://{address}/v1/{path}{key} -H 'content-type: application/json' \
             -d '{{\"model\":\"{model}\",\"messages\":[{{\"role\":\"user\",\"content\":\"Hello!\"}}]{more}}}'\n"
        )
    };
    format!(
        "listening on http://{address}\n{}\nask for a whole answer, or for a stream:\n{}{}or in Anthropic's dialect:\n{}",
        summary(stack),
        curl("", "chat/completions", ""),
        curl(" -N", "chat/completions", ",\"stream\":true"),
        curl("", "messages", ",\"max_tokens\":100"),
    )
}

/// The models, and who serves them.
pub(crate) fn summary(stack: &Stack) -> String {
    let providers: Vec<&str> = stack.providers().collect();
    let models: Vec<&str> = stack.models().iter().map(|model| &*model.name).collect();
    format!("models of {}: {}", providers.join(", "), models.join(", "))
}
