//! The paths of TensorFlow Serving's REST API.

use std::borrow::Cow;

use hyper::Method;
use percent_encoding::percent_decode_str;

use crate::error::ServingError;
use crate::ids::{ModelQuery, VersionChoice};

/// What a caller wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Route {
    /// `GET /v1/models`: all of them.
    Models,
    /// `GET /v1/models/NAME[/versions/N|/labels/L]`
    Status(ModelQuery),
    /// `GET /v1/models/NAME[/versions/N|/labels/L]/metadata`
    Metadata(ModelQuery),
    /// `POST /v1/models/NAME[/versions/N|/labels/L]:VERB`
    Infer(ModelQuery, Verb),
    /// `OPTIONS` of anything below `/v1/`.
    Preflight,
    /// `GET /openapi.json`: what is there to ask?
    OpenApi,
    /// `GET /healthz`: is the process there?
    Alive,
    /// `GET /readyz`: does it take requests?
    Ready,
}

/// What to do with a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Classify,
    Regress,
    Predict,
}

/// Why there is no route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NoRoute {
    /// Below `/v1/`, and nothing that is served there.
    Malformed(ServingError),
    /// Anywhere else.
    NotFound,
}

/// Finds what a method and a path mean. Fixed words are taken in any case, as the
/// reference takes them, and verbs in lower case only; a query is not looked at.
pub(super) fn route(method: &Method, path: &str, query: Option<&str>) -> Result<Route, NoRoute> {
    let malformed = || {
        let query = query.map_or_else(String::new, |query| format!("?{query}"));
        NoRoute::Malformed(ServingError::invalid_argument(format!(
            "Malformed request: {method} {path}{query}"
        )))
    };
    if method == Method::GET && path == "/healthz" {
        return Ok(Route::Alive);
    }
    if method == Method::GET && path == "/readyz" {
        return Ok(Route::Ready);
    }
    if method == Method::GET && path == "/openapi.json" {
        return Ok(Route::OpenApi);
    }
    let Some(below) = strip_word(path, "/v1/") else { return Err(NoRoute::NotFound) };
    if method == Method::OPTIONS {
        return Ok(Route::Preflight);
    }
    let Some(rest) = strip_word(below, "models") else { return Err(malformed()) };
    if rest.is_empty() && method == Method::GET {
        return Ok(Route::Models);
    }
    let Some(rest) = rest.strip_prefix('/') else { return Err(malformed()) };

    let (name, rest) = segment(rest).ok_or_else(malformed)?;
    let (choice, rest) = if let Some(rest) = strip_word(rest, "/versions/") {
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (digits, rest) = rest.split_at(end);
        if digits.is_empty() {
            return Err(malformed());
        }
        let version = digits.parse().map_err(|_| {
            let text = format!("Failed to convert version: {digits} to numeric.");
            NoRoute::Malformed(ServingError::invalid_argument(text))
        })?;
        (VersionChoice::Specific(version), rest)
    } else if let Some(rest) = strip_word(rest, "/labels/") {
        let (label, rest) = segment(rest).ok_or_else(malformed)?;
        (VersionChoice::Label(label), rest)
    } else {
        (VersionChoice::Latest, rest)
    };
    let query = ModelQuery { name, choice };
    match (method, rest) {
        (&Method::GET, "") => Ok(Route::Status(query)),
        (&Method::GET, rest) if rest.eq_ignore_ascii_case("/metadata") => Ok(Route::Metadata(query)),
        (&Method::POST, ":predict") => Ok(Route::Infer(query, Verb::Predict)),
        (&Method::POST, ":classify") => Ok(Route::Infer(query, Verb::Classify)),
        (&Method::POST, ":regress") => Ok(Route::Infer(query, Verb::Regress)),
        _ => Err(malformed()),
    }
}

fn strip_word<'p>(path: &'p str, word: &str) -> Option<&'p str> {
    let (start, rest) = path.split_at_checked(word.len())?;
    start.eq_ignore_ascii_case(word).then_some(rest)
}

/// A name: at least one character that is neither `/` nor `:`, percent-decoded.
fn segment(path: &str) -> Option<(String, &str)> {
    let end = path.find(['/', ':']).unwrap_or(path.len());
    let (name, rest) = path.split_at(end);
    let name: Cow<'_, str> = percent_decode_str(name).decode_utf8_lossy();
    (end > 0).then(|| (name.into_owned(), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(name: &str, choice: VersionChoice) -> ModelQuery {
        ModelQuery { name: name.to_owned(), choice }
    }

    #[test]
    fn paths_are_read_as_the_reference_reads_them() {
        use VersionChoice::{Label, Latest, Specific};
        for (method, path, want) in [
            (Method::GET, "/v1/models", Route::Models),
            (Method::GET, "/v1/models/m", Route::Status(query("m", Latest))),
            (Method::GET, "/V1/Models/M", Route::Status(query("M", Latest))),
            (Method::GET, "/v1/models/m/versions/007", Route::Status(query("m", Specific(7)))),
            (Method::GET, "/v1/models/m/labels/a%2Fb", Route::Status(query("m", Label("a/b".into())))),
            (Method::GET, "/v1/models/m/metadata", Route::Metadata(query("m", Latest))),
            (Method::GET, "/v1/models/m/labels/x/metadata", Route::Metadata(query("m", Label("x".into())))),
            (Method::POST, "/v1/models/m:predict", Route::Infer(query("m", Latest), Verb::Predict)),
            (Method::POST, "/v1/models/a%3Ab+c:predict", Route::Infer(query("a:b+c", Latest), Verb::Predict)),
            (
                Method::POST,
                "/v1/models/m/versions/3:classify",
                Route::Infer(query("m", Specific(3)), Verb::Classify),
            ),
            (
                Method::POST,
                "/v1/models/m/LABELS/l:regress",
                Route::Infer(query("m", Label("l".into())), Verb::Regress),
            ),
            (Method::OPTIONS, "/v1/anything", Route::Preflight),
            (Method::GET, "/healthz", Route::Alive),
            (Method::GET, "/readyz", Route::Ready),
        ] {
            assert_eq!(route(&method, path, Some("x=y")), Ok(want), "{method} {path}");
        }
    }

    #[test]
    fn what_is_not_served_is_malformed_or_not_found() {
        for (method, path) in [
            (Method::GET, "/v1/"),
            (Method::GET, "/v1/models/"),
            (Method::GET, "/v1/models/m/"),
            (Method::GET, "/v1/modelsm"),
            (Method::GET, "/v1/models/m/versions/"),
            (Method::GET, "/v1/models/m/versions/x"),
            (Method::GET, "/v1/models/m/versions/-1"),
            (Method::GET, "/v1/models/m/labels/"),
            (Method::GET, "/v1/models/m/versions/1/labels/x"),
            (Method::GET, "/v1/models/m:predict"),
            (Method::POST, "/v1/models"),
            (Method::POST, "/v1/models/m"),
            (Method::POST, "/v1/models/m:PREDICT"),
            (Method::POST, "/v1/models/m:predict/"),
            (Method::POST, "/v1/models/:predict"),
            (Method::PUT, "/v1/models/m:predict"),
            (Method::HEAD, "/v1/models/m"),
            (Method::DELETE, "/v1/models/m"),
        ] {
            let want = ServingError::invalid_argument(format!("Malformed request: {method} {path}"));
            assert_eq!(route(&method, path, None), Err(NoRoute::Malformed(want)));
        }
        for path in ["/", "/v1", "/v2/models/m", "/monitoring", "/healthz/", "é"] {
            assert_eq!(route(&Method::GET, path, None), Err(NoRoute::NotFound), "{path}");
        }
    }

    #[test]
    fn a_version_beyond_64_bits_is_told_so() {
        let path = "/v1/models/m/versions/9223372036854775808";
        let want = "Failed to convert version: 9223372036854775808 to numeric.";
        assert_eq!(
            route(&Method::GET, path, None),
            Err(NoRoute::Malformed(ServingError::invalid_argument(want)))
        );
    }
}
