//! Texts: normalising, joining, splitting, matching, and cutting into tokens.

use bytes::Bytes;
use fancy_regex::Regex;

use super::super::elements::{View, broadcast_dims};
use super::super::op::{Built, Node, made, many, one, op, shape, size};
use super::super::registry::{Row, row, row_in};
use crate::limits;
use crate::tensor::{Elements, Tensor};

pub(super) const ROWS: &[Row] = &[
    row("RegexFullMatch", 20, regex_full_match),
    row("StringConcat", 20, string_concat),
    row("StringNormalizer", 10, string_normalizer),
    row("StringSplit", 20, string_split),
    row_in("com.microsoft", "Tokenizer", 1, tokenizer),
];

/// The texts of a tensor.
pub(super) fn texts(tensor: &Tensor) -> Result<&[Bytes], String> {
    match tensor.elements() {
        Elements::Strings(texts) => Ok(texts),
        other => Err(format!("elements of {}; expected texts", other.dtype())),
    }
}

fn utf8(text: &Bytes) -> Result<&str, String> {
    std::str::from_utf8(text).map_err(|_| "a text is not UTF-8".to_owned())
}

/// A pattern; what it may take to match is bounded by the expression library.
fn pattern(text: &str) -> Result<Regex, String> {
    if text.len() > limits::ONNX_PATTERN_BYTES_MAX {
        return Err(format!(
            "a pattern has {} bytes; at most {} are read",
            text.len(),
            limits::ONNX_PATTERN_BYTES_MAX
        ));
    }
    Regex::new(&ascii(text)).map_err(|error| format!("pattern {text:?}: {error}"))
}

/// Where a word of ASCII letters begins or ends.
const WORD_END: &str = "(?:(?<![0-9A-Za-z_])(?=[0-9A-Za-z_])|(?<=[0-9A-Za-z_])(?![0-9A-Za-z_]))";

/// The pattern with classes of letters, digits and spaces that are ASCII's, as RE2 has them.
fn ascii(pattern: &str) -> String {
    let mut plain = String::with_capacity(pattern.len());
    let mut letters = pattern.chars();
    let mut in_class = false;
    while let Some(letter) = letters.next() {
        if letter != '\\' {
            in_class = (in_class && letter != ']') || letter == '[';
            plain.push(letter);
            continue;
        }
        let escaped = letters.next().unwrap_or('\\');
        let members = match escaped.to_ascii_lowercase() {
            'w' => "0-9A-Za-z_",
            'd' => "0-9",
            's' => "\\t\\n\\f\\r\\x20",
            _ if escaped == 'b' && !in_class => {
                plain.push_str(WORD_END);
                continue;
            }
            _ => {
                plain.extend(['\\', escaped]);
                continue;
            }
        };
        match (in_class, escaped.is_ascii_uppercase()) {
            (true, false) => plain.push_str(members),
            (_, is_upper) => {
                plain.push_str(if is_upper { "[^" } else { "[" });
                plain.push_str(members);
                plain.push(']');
            }
        }
    }
    plain
}

fn string_normalizer(node: &mut Node<'_>) -> Built {
    #[derive(Clone, Copy)]
    enum Case {
        Keep,
        Lower,
        Upper,
    }
    let case = match node.attributes.text("case_change_action")? {
        None | Some("NONE") => Case::Keep,
        Some("LOWER") => Case::Lower,
        Some("UPPER") => Case::Upper,
        Some(other) => return Err(format!("case_change_action {other:?} is none that is known")),
    };
    let is_sensitive = node.attributes.flag("is_case_sensitive", false)?;
    // Case is changed by Unicode's rules, which no locale that exporters write changes.
    node.attributes.ignore(&["locale"]);
    let fold = move |text: &str| if is_sensitive { text.to_owned() } else { text.to_lowercase() };
    let mut stop = std::collections::HashSet::new();
    for word in node.attributes.strings("stopwords")?.unwrap_or_default() {
        stop.insert(fold(utf8(word)?));
    }
    op(move |inputs| {
        let x = inputs.tensor(0)?;
        let is_row = match **x.shape() {
            [_] => false,
            [1, _] => true,
            _ => return Err(format!("input 0 has shape {}; expected a vector or one row", x.shape())),
        };
        let mut kept = Vec::new();
        for text in texts(x)? {
            let text_str = utf8(text)?;
            if !stop.is_empty() && stop.contains(&fold(text_str)) {
                continue;
            }
            kept.push(match case {
                Case::Keep => text.clone(),
                Case::Lower => text_str.to_lowercase().into(),
                Case::Upper => text_str.to_uppercase().into(),
            });
        }
        // Nothing left is one empty text.
        if kept.is_empty() {
            kept.push(Bytes::new());
        }
        let many = kept.len();
        if is_row { one(made([1, many], kept)?) } else { one(made([many], kept)?) }
    })
}

fn string_concat(_: &mut Node<'_>) -> Built {
    op(|inputs| {
        let (a, b) = (inputs.tensor(0)?, inputs.tensor(1)?);
        let dims = broadcast_dims([&**a.shape(), &**b.shape()])?;
        shape(dims.iter().copied())?;
        let spread = |x: &Tensor| -> Result<Vec<Bytes>, String> {
            Ok(View::broadcast(x.shape(), &dims).ok_or("shapes do not fit each other")?.copied(texts(x)?))
        };
        let joined: Vec<Bytes> =
            spread(a)?.into_iter().zip(spread(b)?).map(|(a, b)| [&a[..], &b[..]].concat().into()).collect();
        one(made(dims, joined)?)
    })
}

/// The parts of each text, filled up with empty ones, and how many there are of each.
fn string_split(node: &mut Node<'_>) -> Built {
    let delimiter = node.attributes.text("delimiter")?.unwrap_or_default().to_owned();
    let most = node.attributes.int("maxsplit")?;
    let most = most.map_or(Ok(usize::MAX), |most| size(most, "maxsplit"))?;
    op(move |inputs| {
        let x = inputs.tensor(0)?;
        let mut parts: Vec<Vec<Bytes>> = Vec::with_capacity(x.elements().len());
        for text in texts(x)? {
            let text = utf8(text)?;
            let own = |part: &str| Bytes::copy_from_slice(part.as_bytes());
            parts.push(if !delimiter.is_empty() {
                text.splitn(most.saturating_add(1), delimiter.as_str()).map(own).collect()
            } else {
                // White space of any length parts, and is none at the ends.
                let mut found = Vec::new();
                let mut rest = text.trim();
                while !rest.is_empty() {
                    match rest.find(char::is_whitespace).filter(|_| found.len() < most) {
                        Some(end) => {
                            found.push(own(&rest[..end]));
                            rest = rest[end..].trim_start();
                        }
                        None => {
                            found.push(own(rest));
                            break;
                        }
                    }
                }
                found
            });
        }
        let widest = parts.iter().map(Vec::len).max().unwrap_or(0);
        let whole = shape(x.shape().iter().copied().chain([widest]))?;
        let counts: Vec<i64> = parts.iter().map(|parts| parts.len().cast_signed() as i64).collect();
        let mut all = Vec::with_capacity(whole.elements());
        for mut parts in parts {
            parts.resize(widest, Bytes::new());
            all.append(&mut parts);
        }
        many([made(whole.iter().copied(), all)?, made(x.shape().iter().copied(), counts)?])
    })
}

fn regex_full_match(node: &mut Node<'_>) -> Built {
    let text = node.required("pattern", node.attributes.text("pattern"))?;
    let pattern = pattern(&format!("^(?:{text})$"))?;
    op(move |inputs| {
        let x = inputs.tensor(0)?;
        let is = |text: &Bytes| pattern.is_match(utf8(text)?).map_err(|error| error.to_string());
        let truth = texts(x)?.iter().map(is).collect::<Result<Vec<bool>, _>>()?;
        one(made(x.shape().iter().copied(), truth)?)
    })
}

/// How texts become tokens.
enum Cut {
    /// Each letter is one.
    Letters,
    /// What matches is one.
    Tokens(Regex),
    /// What lies between matches, of each pattern in turn, is one.
    Between(Vec<Regex>),
}

impl Cut {
    fn of(&self, text: &str) -> Result<Vec<String>, String> {
        let wrong = |error: fancy_regex::Error| error.to_string();
        match self {
            Self::Letters => Ok(text.chars().map(String::from).collect()),
            Self::Tokens(pattern) => pattern
                .find_iter(text)
                .map(|found| found.map(|found| found.as_str().to_owned()).map_err(wrong))
                .collect(),
            Self::Between(patterns) => {
                let mut pieces = vec![text.to_owned()];
                for pattern in patterns {
                    let mut next = Vec::with_capacity(pieces.len());
                    for piece in &pieces {
                        let mut start = 0;
                        for found in pattern.find_iter(piece) {
                            let found = found.map_err(wrong)?;
                            if found.end() > found.start() {
                                next.push(piece[start..found.start()].to_owned());
                                start = found.end();
                            }
                        }
                        next.push(piece[start..].to_owned());
                    }
                    pieces = next;
                }
                Ok(pieces)
            }
        }
    }
}

/// onnxruntime's, which skl2onnx writes for vectorisers of text.
fn tokenizer(node: &mut Node<'_>) -> Built {
    let attributes = &node.attributes;
    let mark = attributes.flag("mark", false)?;
    let fill = node.required("pad_value", attributes.bytes("pad_value"))?;
    let least = size(attributes.int("mincharnum")?.unwrap_or(1), "mincharnum")?;
    attributes.ignore(&["stopwords"]);
    let separators = attributes.strings("separators")?.filter(|list| !list.is_empty());
    let cut = match (attributes.text("tokenexp")?.filter(|text| !text.is_empty()), separators) {
        (Some(text), None) => Cut::Tokens(pattern(text)?),
        (None, Some([only])) if only.is_empty() => Cut::Letters,
        (None, Some(list)) => {
            Cut::Between(list.iter().map(|text| pattern(utf8(text)?)).collect::<Result<Vec<_>, _>>()?)
        }
        _ => return Err("expected separators or tokenexp, and not both".to_owned()),
    };
    op(move |inputs| {
        let x = inputs.tensor(0)?;
        if !matches!(x.shape().rank(), 1 | 2) {
            return Err(format!("input 0 has shape {}; expected a vector or a matrix", x.shape()));
        }
        let mut all: Vec<Vec<Bytes>> = Vec::with_capacity(x.elements().len());
        for text in texts(x)? {
            let tokens = cut.of(utf8(text)?)?.into_iter().filter(|token| {
                matches!(cut, Cut::Letters) || (!token.is_empty() && token.chars().count() >= least)
            });
            let mut tokens: Vec<Bytes> = tokens.map(Bytes::from).collect();
            if mark {
                tokens.insert(0, Bytes::from_static(&[2]));
                tokens.push(Bytes::from_static(&[3]));
            }
            all.push(tokens);
        }
        let widest = all.iter().map(Vec::len).max().unwrap_or(0);
        let whole = shape(x.shape().iter().copied().chain([widest]))?;
        let mut flat = Vec::with_capacity(whole.elements());
        for mut tokens in all {
            tokens.resize(widest, fill.clone());
            flat.append(&mut tokens);
        }
        one(made(whole.iter().copied(), flat)?)
    })
}
