//! Token patterns: Python's regular expressions, in the dialect that is matched here.
//!
//! Python's `\w` are letters, numbers of every kind and the underscore, but no combining
//! marks; here it would be Unicode's word characters, which are others. So `\w`, `\s` and
//! `\b` are spelt out. Source: the documentation of Python's `re`.

use fancy_regex::{Regex, RegexBuilder};

use crate::limits;
use crate::servable::RunError;

/// What finds the tokens of a text.
#[derive(Debug)]
pub(super) struct Tokens {
    regex: Regex,
    /// The group that is the token; 0 for the whole match.
    group: usize,
}

impl Tokens {
    /// Reads a `token_pattern`; what is wrong with it is said so that it goes on after its name.
    pub(super) fn new(pattern: &str) -> Result<Self, String> {
        if pattern.len() > limits::TOKEN_PATTERN_BYTES_MAX {
            let max = limits::TOKEN_PATTERN_BYTES_MAX;
            return Err(format!("has {} bytes; at most {max} are read", pattern.len()));
        }
        let translated = match least_letters(pattern) {
            Some(min) => format!(r"[\p{{L}}\p{{N}}_]{{{min},}}"),
            None => Translation::of(pattern)?,
        };
        let regex = RegexBuilder::new(&translated)
            .backtrack_limit(limits::TOKEN_BACKTRACKS_MAX)
            .build()
            .map_err(|error| format!("cannot be matched here: {error}"))?;
        match regex.captures_len() {
            1 | 2 if regex.is_match("").unwrap_or(true) => {
                Err("matches empty text; expected a pattern of tokens".to_owned())
            }
            groups @ (1 | 2) => Ok(Self { regex, group: groups - 1 }),
            _ => Err("has more than 1 capturing group; only a single group should be captured".to_owned()),
        }
    }

    /// Adds all tokens of the text, in their order. Source: `re.findall`.
    pub(super) fn find<'a>(&self, text: &'a str, tokens: &mut Vec<&'a str>) -> Result<(), RunError> {
        let failed = |error: fancy_regex::Error| {
            RunError::InvalidInput(format!("the token_pattern cannot be matched with this text: {error}"))
        };
        if self.group == 0 {
            for found in self.regex.find_iter(text) {
                tokens.push(found.map_err(failed)?.as_str());
            }
            return Ok(());
        }
        for found in self.regex.captures_iter(text) {
            tokens.push(found.map_err(failed)?.get(self.group).map_or("", |group| group.as_str()));
        }
        Ok(())
    }
}

/// The default pattern and its kin: every run of at least so many letters. They need no
/// looking around, since a run ends where its letters do.
fn least_letters(pattern: &str) -> Option<usize> {
    let rest = pattern.strip_prefix("(?u)").unwrap_or(pattern);
    let bounded = rest.strip_prefix(r"\b").and_then(|rest| rest.strip_suffix(r"\b"));
    let mut rest = bounded.unwrap_or(rest);
    let mut min = 0;
    while let Some(after) = rest.strip_prefix(r"\w") {
        min += 1;
        rest = after;
    }
    (rest == "+" && min > 0).then_some(min)
}

struct Translation<'a> {
    letters: std::iter::Peekable<std::str::Chars<'a>>,
    out: String,
    /// Only ASCII's letters, digits and spaces are such.
    ascii: bool,
    /// `$` matches before every line's end.
    lines: bool,
}

impl<'a> Translation<'a> {
    fn of(pattern: &'a str) -> Result<String, String> {
        let (flags, rest) = global_flags(pattern)?;
        let mut translation = Self {
            letters: rest.chars().peekable(),
            out: String::with_capacity(2 * rest.len()),
            ascii: flags.contains('a'),
            lines: flags.contains('m'),
        };
        let passed: String = flags.chars().filter(|flag| "ims".contains(*flag)).collect();
        if !passed.is_empty() {
            translation.out.push_str(&format!("(?{passed})"));
        }
        while let Some(letter) = translation.letters.next() {
            match letter {
                '\\' => translation.escape(false)?,
                '[' => translation.class()?,
                '$' if !translation.lines => translation.out.push_str(r"(?=\n?\z)"),
                '(' => translation.group()?,
                '{' if translation.letters.peek() == Some(&',') => translation.out.push_str("{0"),
                _ => translation.out.push(letter),
            }
        }
        Ok(translation.out)
    }

    /// What is between the brackets of a class of word characters, and of one of spaces.
    fn words(&self) -> &'static str {
        if self.ascii { "a-zA-Z0-9_" } else { r"\p{L}\p{N}_" }
    }

    fn spaces(&self) -> &'static str {
        if self.ascii { r" \t\n\r\x0b\x0c" } else { r"\s\x1c-\x1f" }
    }

    fn digits(&self) -> &'static str {
        if self.ascii { "0-9" } else { r"\p{Nd}" }
    }

    fn escape(&mut self, in_class: bool) -> Result<(), String> {
        let Some(letter) = self.letters.next() else { return Err("ends with a backslash".to_owned()) };
        let text = match letter {
            'w' => format!("[{}]", self.words()),
            'W' => format!("[^{}]", self.words()),
            's' => format!("[{}]", self.spaces()),
            'S' => format!("[^{}]", self.spaces()),
            'd' => format!("[{}]", self.digits()),
            'D' => format!("[^{}]", self.digits()),
            'b' if in_class => r"\x08".to_owned(),
            'b' => format!("(?:(?<=[{0}])(?![{0}])|(?<![{0}])(?=[{0}]))", self.words()),
            'B' if !in_class => format!("(?:(?<=[{0}])(?=[{0}])|(?<![{0}])(?![{0}]))", self.words()),
            'A' if !in_class => r"\A".to_owned(),
            'Z' | 'z' if !in_class => r"\z".to_owned(),
            'a' => r"\x07".to_owned(),
            'f' => r"\x0c".to_owned(),
            'v' => r"\x0b".to_owned(),
            'n' | 'r' | 't' => format!("\\{letter}"),
            'x' => self.code(2)?,
            'u' => self.code(4)?,
            'U' => self.code(8)?,
            '1'..='9' if !in_class => format!("\\{letter}"),
            letter if letter.is_ascii_alphanumeric() => {
                return Err(format!("has \\{letter}, which is not understood"));
            }
            letter => literal(letter),
        };
        self.out.push_str(&text);
        Ok(())
    }

    /// A letter by so many hexadecimal digits.
    fn code(&mut self, digits: usize) -> Result<String, String> {
        let digits: String = self.letters.by_ref().take(digits).collect();
        let code = u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32);
        code.map(literal).ok_or_else(|| "has a letter by a number that is none".to_owned())
    }

    fn class(&mut self) -> Result<(), String> {
        self.out.push('[');
        if self.letters.next_if_eq(&'^').is_some() {
            self.out.push('^');
        }
        let mut first = true;
        loop {
            match self.letters.next() {
                None => return Err("has a [ without its ]".to_owned()),
                Some(']') if !first => break,
                Some('\\') => self.escape(true)?,
                // Signs that mean something within brackets here, and nothing in Python.
                Some(letter @ ('[' | ']' | '&' | '~')) => self.out.push_str(&literal(letter)),
                // A range has something on both sides.
                Some('-') if first || matches!(self.letters.peek(), Some(']' | '-')) => {
                    self.out.push_str(r"\-")
                }
                Some(letter) => self.out.push(letter),
            }
            first = false;
        }
        self.out.push(']');
        Ok(())
    }

    fn group(&mut self) -> Result<(), String> {
        self.out.push('(');
        if self.letters.next_if_eq(&'?').is_none() {
            return Ok(());
        }
        self.out.push('?');
        match self.letters.peek() {
            Some(':' | '=' | '!' | '<' | '>' | 'P') => Ok(()),
            _ => Err("has a (? that is not understood".to_owned()),
        }
    }
}

fn literal(letter: char) -> String {
    if letter.is_ascii_alphanumeric() || !letter.is_ascii() {
        return letter.into();
    }
    format!("\\x{:02x}", u32::from(letter))
}

/// The flags that a pattern begins with, and what comes after them.
fn global_flags(pattern: &str) -> Result<(&str, &str), String> {
    let Some(rest) = pattern.strip_prefix("(?") else { return Ok(("", pattern)) };
    let end = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
    let (flags, after) = rest.split_at(end);
    match after.strip_prefix(')') {
        Some(after) if !flags.is_empty() && flags.chars().all(|flag| "aimsu".contains(flag)) => {
            Ok((flags, after))
        }
        Some(_) => Err(format!("has the flags {flags}, which are not understood")),
        None => Ok(("", pattern)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found<'a>(pattern: &str, text: &'a str) -> Vec<&'a str> {
        let mut tokens = Vec::new();
        Tokens::new(pattern).unwrap().find(text, &mut tokens).unwrap();
        tokens
    }

    /// The right sides are what Python 3.13's `re.findall` gives.
    #[test]
    fn tokens_are_those_of_python() {
        let text = "It's a naïve x²-test_1 in 2024\u{1c}α_β हिन्दी e\u{301}te";
        for (pattern, tokens) in [
            (r"(?u)\b\w\w+\b", &["It", "naïve", "x²", "test_1", "in", "2024", "α_β", "te"][..]),
            (
                r"\b\w+\b",
                &["It", "s", "a", "naïve", "x²", "test_1", "in", "2024", "α_β", "ह", "न", "द", "e", "te"],
            ),
            (r"(?u)\b[a-zA-Z]{3,}\b", &[]),
            (r"(?a)\b\w\w+\b", &["It", "na", "ve", "test_1", "in", "2024", "te"]),
            (
                r"[^\W\d_]+",
                &["It", "s", "a", "naïve", "x²", "test", "in", "α", "β", "ह", "न", "द", "e", "te"],
            ),
            (r"(\w)\w+", &["I", "n", "x", "t", "i", "2", "α", "t"]),
            (r"[\w'-]+", &["It's", "a", "naïve", "x²-test_1", "in", "2024", "α_β", "ह", "न", "द", "e", "te"]),
            (r"\S+", &["It's", "a", "naïve", "x²-test_1", "in", "2024", "α_β", "हिन्दी", "e\u{301}te"]),
            (r"(?i)IT", &["It"]),
            (r"\w+(?=')", &["It"]),
            (r"(?<=')\w", &["s"]),
            (r"\w{,2}\d", &["t_1", "202", "4"]),
        ] {
            assert_eq!(found(pattern, text), tokens, "{pattern}");
        }
        assert_eq!(found(r"[][&~|]+|--", "a]b[&&~c--d|"), ["]", "[&&~", "--", "|"]);
        assert_eq!(found(r"\w+$", "one two\n"), ["two"]);
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for (pattern, why) in [
            (r"(\w)(\w)", "has more than 1 capturing group; only a single group should be captured"),
            (r"\w*", "matches empty text; expected a pattern of tokens"),
            (r"\N{BULLET}", r"has \N, which is not understood"),
            (r"(?x) \w+", "has the flags x, which are not understood"),
            (r"[a", "has a [ without its ]"),
            (r"a\", "ends with a backslash"),
            (r"(?#note)a", "has a (? that is not understood"),
        ] {
            assert_eq!(Tokens::new(pattern).unwrap_err(), why, "{pattern}");
        }
        assert!(Tokens::new("(a").unwrap_err().starts_with("cannot be matched here: "));
        assert!(Tokens::new(&"a".repeat(limits::TOKEN_PATTERN_BYTES_MAX + 1)).is_err());
    }

    #[test]
    fn a_pattern_that_never_ends_is_stopped() {
        let tokens = Tokens::new(r"(?:a|a(?!c)|aa)+b").unwrap();
        let error = tokens.find(&"a".repeat(3000), &mut Vec::new()).unwrap_err();
        assert!(
            error.to_string().starts_with("the token_pattern cannot be matched with this text: "),
            "{error}"
        );
    }
}
