//! A page of the list of models, as clients of Anthropic's API ask for it.

use http::Uri;
use llm_core::Error;
use llm_wire::ModelInfo;
use percent_encoding::percent_decode_str;

/// How many models a page has if nobody asks for another number, and how many it may have (Anthropic API reference,
/// List Models).
const DEFAULT_LIMIT: usize = 20;
const MAX_LIMIT: usize = 1_000;

/// Some of the models in a row.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Page<'m> {
    pub(crate) models: &'m [ModelInfo],
    /// Whether there are others in the direction that was asked for.
    pub(crate) has_more: bool,
}

impl<'m> Page<'m> {
    /// The page that the query `limit`, `after_id` and `before_id` asks for.
    pub(crate) fn find(models: &'m [ModelInfo], uri: &Uri) -> Result<Self, Error> {
        let limit = match parameter(uri, "limit") {
            Some(limit) => limit
                .parse()
                .ok()
                .filter(|limit| (1..=MAX_LIMIT).contains(limit))
                .ok_or_else(|| Error::invalid_request(format!("limit: expected a number from 1 to {MAX_LIMIT}")))?,
            None => DEFAULT_LIMIT,
        };
        let place = |name: &str, id: &str| {
            let place = models.iter().position(|model| model.id == id);
            place.ok_or_else(|| Error::invalid_request(format!("{name}: there is no such model")))
        };
        match (parameter(uri, "after_id"), parameter(uri, "before_id")) {
            (Some(_), Some(_)) => Err(Error::invalid_request("after_id: not together with before_id")),
            (None, Some(id)) => {
                let end = place("before_id", &id)?;
                let start = end.saturating_sub(limit);
                Ok(Self { models: &models[start..end], has_more: start > 0 })
            }
            (after, None) => {
                let start = after.map(|id| place("after_id", &id)).transpose()?.map_or(0, |place| place + 1);
                let end = models.len().min(start + limit);
                Ok(Self { models: &models[start..end], has_more: end < models.len() })
            }
        }
    }
}

/// The value of a parameter in the query, as forms encode it.
fn parameter(uri: &Uri, name: &str) -> Option<String> {
    let value = uri.query()?.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))?;
    Some(percent_decode_str(&value.replace('+', " ")).decode_utf8_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(query: &str) -> Result<(Vec<String>, bool), Error> {
        let ids = ["a", "b", "org/c", "d+e", "f g"];
        let models = ids.map(|id| ModelInfo { id: id.to_owned(), created: 0, owned_by: String::new() });
        let page = Page::find(&models, &format!("/v1/models{query}").parse().unwrap())?;
        Ok((page.models.iter().map(|model| model.id.clone()).collect(), page.has_more))
    }

    #[test]
    fn a_page_begins_and_ends_where_it_was_asked_to() {
        let rows: [(&str, &[&str], bool); 13] = [
            ("", &["a", "b", "org/c", "d+e", "f g"], false),
            ("?beta=true&limit=2", &["a", "b"], true),
            ("?limit=5", &["a", "b", "org/c", "d+e", "f g"], false),
            ("?limit=2&after_id=b", &["org/c", "d+e"], true),
            ("?after_id=org%2Fc", &["d+e", "f g"], false),
            ("?after_id=d%2Be", &["f g"], false),
            ("?after_id=f+g", &[], false),
            ("?before_id=f%20g&limit=2", &["org/c", "d+e"], true),
            ("?before_id=org/c&limit=2", &["a", "b"], false),
            ("?before_id=org/c&limit=7", &["a", "b"], false),
            ("?before_id=a", &[], false),
            ("?unlimit=1", &["a", "b", "org/c", "d+e", "f g"], false),
            ("?limits=1", &["a", "b", "org/c", "d+e", "f g"], false),
        ];
        for (query, ids, has_more) in rows {
            let (found, more) = find(query).unwrap();
            assert_eq!(
                (found.iter().map(String::as_str).collect::<Vec<_>>(), more),
                (ids.to_vec(), has_more),
                "{query}"
            );
        }
    }

    #[test]
    fn what_makes_no_page_is_refused_by_name() {
        for (query, name) in [
            ("?limit=0", "limit"),
            ("?limit=1001", "limit"),
            ("?limit=-1", "limit"),
            ("?limit=", "limit"),
            ("?limit=many", "limit"),
            ("?after_id=none", "after_id"),
            ("?before_id=", "before_id"),
            ("?after_id=a&before_id=b", "after_id"),
        ] {
            let error = find(query).unwrap_err();
            assert!(error.message().starts_with(&format!("{name}: ")), "{query}: {error}");
        }
    }

    #[test]
    fn a_page_of_nobodys_choice_has_twenty_models() {
        let models: Vec<_> =
            (0..21).map(|id| ModelInfo { id: id.to_string(), created: 0, owned_by: String::new() }).collect();
        let page = Page::find(&models, &"/".parse().unwrap()).unwrap();
        assert_eq!((page.models.len(), page.has_more), (20, true));
    }
}
