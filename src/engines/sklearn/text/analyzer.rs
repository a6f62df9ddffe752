//! From a document to the terms that are counted.
//!
//! Source: `sklearn.feature_extraction.text._VectorizerMixin`. The text is made lower case
//! and stripped of accents, then cut into words or letters, then n of them are joined.

use std::borrow::Cow;
use std::collections::HashSet;

use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::canonical_combining_class;

use super::pattern::Tokens;
use crate::engines::sklearn::ModelError;
use crate::engines::sklearn::state::Part;
use crate::formats::pickle::{Ref, View};
use crate::limits;
use crate::servable::RunError;

/// scikit-learn's `ENGLISH_STOP_WORDS`: the list of the Glasgow Information Retrieval Group.
const ENGLISH: &str = include_str!("english.txt");

#[derive(Debug)]
pub(super) struct Analyzer {
    lowercase: bool,
    accents: Accents,
    invalid: Invalid,
    unit: Unit,
    /// The fewest and the most units in a term.
    n_min: usize,
    n_max: usize,
}

#[derive(Debug, Clone, Copy)]
enum Accents {
    Kept,
    /// Dropped, with everything else that ASCII does not have.
    Ascii,
    /// Combining marks are dropped.
    Unicode,
}

/// What is done with bytes that are no UTF-8.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Invalid {
    Refused,
    Ignored,
    Replaced,
}

/// What terms are made of.
#[derive(Debug)]
enum Unit {
    Words {
        tokens: Tokens,
        stop: Option<HashSet<Box<str>>>,
    },
    Letters,
    /// Letters within words, which have a space on both sides.
    LettersOfWords,
}

impl Analyzer {
    pub(super) fn read(part: &Part<'_>) -> Result<Self, ModelError> {
        for callable in ["preprocessor", "tokenizer"] {
            if let Some(value) = part.attr(callable) {
                return Err(part.unexpected(callable, value, "None; functions are not called"));
            }
        }
        part.one_of("input", "content", &["content"])?;
        let invalid = match part.one_of("decode_error", "strict", &["strict", "ignore", "replace"])? {
            "ignore" => Invalid::Ignored,
            "replace" => Invalid::Replaced,
            _ => Invalid::Refused,
        };
        let accents = match part.attr("strip_accents") {
            None => Accents::Kept,
            Some(_) => match part.one_of("strip_accents", "ascii", &["ascii", "unicode"])? {
                "ascii" => Accents::Ascii,
                _ => Accents::Unicode,
            },
        };
        let unit = match part.one_of("analyzer", "word", &["word", "char", "char_wb"])? {
            "char" => Unit::Letters,
            "char_wb" => Unit::LettersOfWords,
            _ => {
                let pattern = part.text("token_pattern")?.unwrap_or(Cow::Borrowed(r"(?u)\b\w\w+\b"));
                let tokens = Tokens::new(&pattern).map_err(|why| part.refuse("token_pattern", why))?;
                Unit::Words { tokens, stop: stop_words(part)? }
            }
        };
        let (n_min, n_max) = n_grams(part)?;
        Ok(Self { lowercase: part.flag("lowercase", true)?, accents, invalid, unit, n_min, n_max })
    }

    /// Hands each term of the document to `take`, as often as it is there.
    pub(super) fn terms(&self, document: &[u8], mut take: impl FnMut(&str)) -> Result<(), RunError> {
        let text = self.preprocess(self.decode(document)?);
        match &self.unit {
            Unit::Words { tokens, stop } => {
                let mut words = Vec::new();
                tokens.find(&text, &mut words)?;
                if let Some(stop) = stop {
                    words.retain(|word| !stop.contains(*word));
                }
                self.joined(&words, take);
            }
            Unit::Letters => {
                let text = single_spaces(&text);
                let ends = ends(&text);
                self.pieces(&text, &ends, take);
            }
            Unit::LettersOfWords => {
                let mut padded = String::new();
                for word in text.split(is_space).filter(|word| !word.is_empty()) {
                    padded.clear();
                    padded.extend([" ", word, " "]);
                    let ends = ends(&padded);
                    for n in self.n_min..=self.n_max {
                        // A word shorter than n is taken whole, once.
                        if n + 1 >= ends.len() {
                            take(&padded);
                            break;
                        }
                        windows(&padded, &ends, n, &mut take);
                    }
                }
            }
        }
        Ok(())
    }

    fn decode<'a>(&self, document: &'a [u8]) -> Result<Cow<'a, str>, RunError> {
        let error = match std::str::from_utf8(document) {
            Ok(text) => return Ok(Cow::Borrowed(text)),
            Err(error) => error,
        };
        match self.invalid {
            Invalid::Replaced => Ok(String::from_utf8_lossy(document)),
            Invalid::Ignored => {
                Ok(document.utf8_chunks().map(|chunk| chunk.valid()).collect::<String>().into())
            }
            Invalid::Refused => {
                let at = error.valid_up_to();
                let why = match (error.error_len(), document[at]) {
                    (None, _) => "unexpected end of data",
                    (Some(_), 0xc2..=0xf4) => "invalid continuation byte",
                    (Some(_), _) => "invalid start byte",
                };
                Err(RunError::InvalidInput(format!(
                    "'utf-8' codec can't decode byte 0x{:02x} in position {at}: {why}",
                    document[at]
                )))
            }
        }
    }

    fn preprocess<'a>(&self, text: Cow<'a, str>) -> Cow<'a, str> {
        let text = match text {
            text if !self.lowercase => text,
            text if text.is_ascii() => Cow::Owned(text.to_ascii_lowercase()),
            text => Cow::Owned(text.to_lowercase()),
        };
        match self.accents {
            Accents::Ascii if !text.is_ascii() => Cow::Owned(text.nfkd().filter(char::is_ascii).collect()),
            Accents::Unicode if !text.is_ascii() => {
                Cow::Owned(text.nfkd().filter(|&letter| canonical_combining_class(letter) == 0).collect())
            }
            _ => text,
        }
    }

    /// Words by themselves, and so many of them joined by spaces.
    fn joined(&self, words: &[&str], mut take: impl FnMut(&str)) {
        let mut term = String::new();
        for n in self.n_min..=self.n_max.min(words.len()) {
            if n == 1 {
                words.iter().for_each(|word| take(word));
                continue;
            }
            for words in words.windows(n) {
                term.clear();
                for (i, word) in words.iter().enumerate() {
                    term.extend([if i == 0 { "" } else { " " }, word]);
                }
                take(&term);
            }
        }
    }

    /// All runs of so many letters.
    fn pieces(&self, text: &str, ends: &[usize], mut take: impl FnMut(&str)) {
        for n in self.n_min..=self.n_max.min(ends.len() - 1) {
            windows(text, ends, n, &mut take);
        }
    }
}

fn windows(text: &str, ends: &[usize], n: usize, take: &mut impl FnMut(&str)) {
    for (start, end) in ends.iter().zip(&ends[n..]) {
        take(&text[*start..*end]);
    }
}

/// Where the letters end, with 0 before the first.
fn ends(text: &str) -> Vec<usize> {
    text.char_indices().map(|(at, _)| at).chain([text.len()]).collect()
}

/// What Python's `str.isspace` holds for space.
fn is_space(letter: char) -> bool {
    letter.is_whitespace() || matches!(letter, '\x1c'..='\x1f')
}

/// Two and more spaces of any kind become one.
fn single_spaces(text: &str) -> Cow<'_, str> {
    let mut letters = text.chars().peekable();
    let mut single = String::with_capacity(text.len());
    while let Some(letter) = letters.next() {
        if is_space(letter) && letters.peek().is_some_and(|&next| is_space(next)) {
            while letters.next_if(|&next| is_space(next)).is_some() {}
            single.push(' ');
        } else {
            single.push(letter);
        }
    }
    single.into()
}

fn n_grams(part: &Part<'_>) -> Result<(usize, usize), ModelError> {
    const NAME: &str = "ngram_range";
    let Some(value) = part.attr(NAME) else { return Ok((1, 1)) };
    let numbers: Option<Vec<i64>> =
        value.elements().or_else(|| value.items()).and_then(|items| items.map(Ref::as_i64).collect());
    let limit = i64::try_from(limits::N_GRAM_MAX).unwrap_or(i64::MAX);
    match numbers.as_deref() {
        #[allow(clippy::cast_sign_loss, clippy::cast_possible_truncation, reason = "between 1 and the limit")]
        Some(&[min, max]) if 1 <= min && min <= max && max <= limit => Ok((min as usize, max as usize)),
        _ => Err(part.unexpected(NAME, value, &format!("two rising numbers from 1 to {limit}"))),
    }
}

fn stop_words(part: &Part<'_>) -> Result<Option<HashSet<Box<str>>>, ModelError> {
    const NAME: &str = "stop_words";
    let Some(value) = part.attr(NAME) else { return Ok(None) };
    if value.as_str() == Some("english") {
        return Ok(Some(ENGLISH.split_whitespace().map(Box::from).collect()));
    }
    let items = match value.view() {
        View::Set(items) => Some(items),
        _ => value.elements().or_else(|| value.items()),
    };
    let words: Option<HashSet<Box<str>>> =
        items.and_then(|items| items.map(|item| item.to_str().map(|word| Box::from(&*word))).collect());
    let words = words.ok_or_else(|| part.unexpected(NAME, value, "'english' or a list of words"))?;
    for word in &words {
        part.pay_again(NAME, word.len())?;
    }
    Ok(Some(words))
}
