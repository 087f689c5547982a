//! What operators do at the admin listener of a gateway.

use http::{Method, StatusCode};
use serde_json::Value;

use super::{ADMIN_KEY, Answer, Gateway};

impl Gateway {
    /// Asks the [`ADMIN`](super::ADMIN) listener, with a body unless that is null.
    pub(crate) async fn operate(&self, method: Method, path: &str, body: &Value) -> Answer {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let mut request = self.request(method, "/", body);
        *request.uri_mut() = self.admin_url().await.replace("/status", path).parse().unwrap();
        request.headers_mut().insert("authorization", format!("Bearer {ADMIN_KEY}").parse().unwrap());
        Answer::read(self.send(request).await).await
    }

    /// One of the operators' pages.
    pub(crate) async fn look(&self, path: &str) -> Value {
        let answer = self.operate(Method::GET, path, &Value::Null).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        answer.json()
    }
}

/// Dollars of so many tokens at a thousand nano-dollars each, as they are shown.
pub(crate) fn usd(tokens: u64) -> String {
    let digits = format!("{:010}", tokens * 1_000);
    let (whole, fraction) = digits.split_at(digits.len() - 9);
    format!("{whole}.{:0<2}", fraction.trim_end_matches('0'))
}
