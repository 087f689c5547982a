//! What a caller's headers say about a request, for rules that go by it.

use http::{HeaderMap, HeaderName};
use llm_core::{Caller, Context, Error, Sensitivity};

const TAGS: HeaderName = HeaderName::from_static("x-llm-tags");
const INTENT: HeaderName = HeaderName::from_static("x-llm-intent");
const SENSITIVITY: HeaderName = HeaderName::from_static("x-llm-sensitivity");
const WORKFLOW: HeaderName = HeaderName::from_static("x-llm-workflow");
const JOB: HeaderName = HeaderName::from_static("x-llm-job");

/// The longest word that is taken, in bytes, and the most tags: they are names, not texts.
const LONGEST_WORD: usize = 64;
const MOST_TAGS: usize = 16;

/// Writes the hints into the context. What the host knows of the caller stands above what the caller says: a workflow
/// that belongs to its key stays, and a request that is sensitive stays so.
///
/// # Errors
/// Names the header that is no word, more than one, or no list of few.
pub(crate) fn fill(context: &mut Context, headers: &HeaderMap) -> Result<(), Error> {
    if headers.contains_key(&TAGS) {
        context.set_tags(tags(headers)?);
    }
    if let Some(intent) = word(headers, &INTENT)? {
        context.set_intent(intent);
    }
    // Somebody on the way may have added one of its own behind the caller's.
    for sensitivity in headers.get_all(&SENSITIVITY) {
        context.raise_sensitivity(match checked(sensitivity.as_bytes().trim_ascii(), &SENSITIVITY)? {
            "normal" => Sensitivity::Normal,
            "sensitive" => Sensitivity::Sensitive,
            _ => return Err(Error::invalid_request(format!("{SENSITIVITY}: expected `normal` or `sensitive`"))),
        });
    }
    let (workflow, job) = (word(headers, &WORKFLOW)?, word(headers, &JOB)?);
    if workflow.is_some() || job.is_some() {
        let known = context.caller().clone();
        let caller = Caller {
            workflow: known.workflow.or_else(|| workflow.map(Into::into)),
            job: known.job.or_else(|| job.map(Into::into)),
            ..known
        };
        context.set_caller(caller);
    }
    Ok(())
}

/// The tags of all headers, each a list with commas.
fn tags(headers: &HeaderMap) -> Result<Vec<&str>, Error> {
    let mut tags = Vec::new();
    for value in headers.get_all(&TAGS) {
        for tag in value.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|tag| !tag.is_empty()) {
            let tag = checked(tag, &TAGS)?;
            if tags.len() == MOST_TAGS {
                return Err(Error::invalid_request(format!("{TAGS}: expected at most {MOST_TAGS} tags")));
            }
            tags.push(tag);
        }
    }
    Ok(tags)
}

fn word<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Error> {
    let mut values = headers.get_all(name).iter();
    let (value, further) = (values.next(), values.next());
    if further.is_some() {
        return Err(Error::invalid_request(format!("{name}: expected one word, and not two headers")));
    }
    value.map(|value| checked(value.as_bytes().trim_ascii(), name)).transpose()
}

fn checked<'a>(bytes: &'a [u8], name: &HeaderName) -> Result<&'a str, Error> {
    let is_word =
        |text: &&str| (1..=LONGEST_WORD).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    let sentence =
        || Error::invalid_request(format!("{name}: expected words of 1 to {LONGEST_WORD} visible ASCII characters"));
    std::str::from_utf8(bytes).ok().filter(is_word).ok_or_else(sentence)
}

#[cfg(test)]
mod tests {
    use llm_core::CallId;

    use super::*;

    fn filled(context: Context, list: &[(HeaderName, &str)]) -> Result<Context, String> {
        let mut context = context;
        let mut headers = HeaderMap::new();
        for (name, value) in list {
            headers.append(name, http::HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        fill(&mut context, &headers).map_err(|error| error.message().to_owned())?;
        Ok(context)
    }

    fn fresh() -> Context {
        Context::new(CallId(1))
    }

    #[test]
    fn each_header_fills_its_place() {
        let list = [
            (TAGS, "eu, batch"),
            (TAGS, " night ,"),
            (INTENT, "code"),
            (SENSITIVITY, "sensitive"),
            (WORKFLOW, "support"),
            (JOB, "run-7"),
        ];
        let context = filled(fresh(), &list).unwrap();
        assert_eq!(context.tags().iter().map(|tag| &**tag).collect::<Vec<_>>(), ["eu", "batch", "night"]);
        assert_eq!((context.intent(), context.sensitivity()), (Some("code"), Sensitivity::Sensitive));
        let Caller { tenant, user, key, workflow, job } = context.caller();
        assert_eq!((workflow.as_deref(), job.as_deref()), (Some("support"), Some("run-7")));
        assert_eq!((tenant, user, key), (&None, &None, &None), "identity comes from the key alone");
        let plain = filled(fresh(), &[]).unwrap();
        assert!(plain.tags().is_empty() && plain.intent().is_none() && plain.caller().workflow.is_none());
    }

    #[test]
    fn what_the_host_knows_stands_above_what_the_caller_says() {
        let mut known = fresh();
        known.set_caller(Caller { key: Some("ci".into()), workflow: Some("billing".into()), ..Caller::tenant("acme") });
        known.raise_sensitivity(Sensitivity::Sensitive);
        let context = filled(known, &[(WORKFLOW, "other"), (SENSITIVITY, "normal"), (JOB, "j")]).unwrap();
        let Caller { tenant, key, workflow, job, .. } = context.caller();
        let known = [tenant, key, workflow, job].map(Option::as_deref);
        assert_eq!(known, [Some("acme"), Some("ci"), Some("billing"), Some("j")]);
        assert_eq!(context.sensitivity(), Sensitivity::Sensitive);
    }

    #[test]
    fn of_two_who_say_whether_it_is_sensitive_the_one_who_says_so_is_heard() {
        for order in [["normal", "sensitive"], ["sensitive", "normal"]] {
            let context = filled(fresh(), &order.map(|value| (SENSITIVITY, value))).unwrap();
            assert_eq!(context.sensitivity(), Sensitivity::Sensitive, "{order:?}");
        }
        assert!(filled(fresh(), &[(SENSITIVITY, "normal"), (SENSITIVITY, "secret")]).is_err());
    }

    #[test]
    fn what_is_no_word_is_refused_by_its_name() {
        let long = "x".repeat(65);
        let many = vec!["t"; 17].join(",");
        for (name, value) in [
            (INTENT, ""),
            (INTENT, "two words"),
            (INTENT, "caf\u{e9}"),
            (WORKFLOW, &*long),
            (JOB, "\t"),
            (SENSITIVITY, "secret"),
            (TAGS, "fine, not fine"),
            (TAGS, &*many),
        ] {
            let sentence = filled(fresh(), &[(name.clone(), value)]).unwrap_err();
            assert!(sentence.starts_with(name.as_str()), "{sentence}");
        }
        for name in [INTENT, WORKFLOW, JOB] {
            let sentence = filled(fresh(), &[(name.clone(), "one"), (name.clone(), "other")]).unwrap_err();
            assert!(sentence.starts_with(name.as_str()), "{sentence}");
        }
    }
}
