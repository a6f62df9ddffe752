//! The dialect: what is taken, what is refused, and in which words.

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::limits::JSON_DEPTH_MAX;

fn scanned(text: &str) -> Result<Scanned, String> {
    scan(Bytes::copy_from_slice(text.as_bytes()), &["a", "b"]).map_err(|why| why.to_string())
}

/// The whole value, printed again.
fn again(text: &str) -> String {
    print(scanned(text).unwrap().cursor())
}

#[test]
fn errors_are_rapidjsons_with_their_offsets() {
    for (text, want) in [
        ("", "The document is empty. at offset: 0"),
        ("  \n", "The document is empty. at offset: 3"),
        ("x", "Invalid value. at offset: 0"),
        ("nul", "Invalid value. at offset: 3"),
        ("trUe", "Invalid value. at offset: 2"),
        ("[1,]", "Invalid value. at offset: 3"),
        ("[1 2]", "Missing a comma or ] after an array element. at offset: 3"),
        ("[1", "Missing a comma or ] after an array element. at offset: 2"),
        ("{1:2}", "Missing a name for object member. at offset: 1"),
        ("{\"a\":1,}", "Missing a name for object member. at offset: 7"),
        ("{\"a\" 1}", "Missing a colon after a name of object member. at offset: 5"),
        ("{\"a\":1 \"b\":2}", "Missing a comma or } after an object member. at offset: 7"),
        ("{\"a\": 1", "Missing a comma or } after an object member. at offset: 7"),
        ("[\"\\u12x4\"]", "Incorrect hex digit after \\u escape in string. at offset: 2"),
        ("[\"\\ud800x\"]", "The surrogate pair in string is invalid. at offset: 2"),
        ("[\"\\ud800\\u0041\"]", "The surrogate pair in string is invalid. at offset: 2"),
        ("[\"\\udc00\"]", "The surrogate pair in string is invalid. at offset: 2"),
        ("[\"\\x\"]", "Invalid escape character in string. at offset: 2"),
        ("[\"abc", "Missing a closing quotation mark in string. at offset: 5"),
        ("[\"a\nb\"]", "Invalid encoding in string. at offset: 3"),
        ("[1e400]", "Number too big to be stored in double. at offset: 1"),
        ("[-1e400]", "Number too big to be stored in double. at offset: 1"),
        ("[1.]", "Miss fraction part in number. at offset: 3"),
        ("[1e]", "Miss exponent in number. at offset: 3"),
        ("[1e+]", "Miss exponent in number. at offset: 4"),
        ("[-]", "Invalid value. at offset: 2"),
        ("[.5]", "Invalid value. at offset: 1"),
        ("[+1]", "Invalid value. at offset: 1"),
        ("[01]", "Missing a comma or ] after an array element. at offset: 2"),
        ("[Infinit]", "Invalid value. at offset: 8"),
        ("[Na]", "Invalid value. at offset: 3"),
    ] {
        assert_eq!(scanned(text).err().as_deref(), Some(want), "{text}");
    }
    let long = format!("[{}]", "9".repeat(400));
    assert_eq!(scanned(&long).err().unwrap(), "Number too big to be stored in double. at offset: 1");
    assert!(scanned(&format!("[{}]", "9".repeat(308))).is_ok());
}

#[test]
fn what_follows_the_first_value_is_not_looked_at() {
    assert_eq!(again("{\"a\": 1} and so on }"), "{\n    \"a\": 1\n}");
    assert_eq!(again(" [1] ["), "[1]");
}

#[test]
fn depth_is_bounded() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(scanned(&nested(JSON_DEPTH_MAX)).is_ok());
    let want = format!("The document is nested too deeply. at offset: {JSON_DEPTH_MAX}");
    assert_eq!(scanned(&nested(JSON_DEPTH_MAX + 1)).err(), Some(want.clone()));
    assert_eq!(scanned(&"[".repeat(1_000_000)).err(), Some(want));
}

#[test]
fn members_are_found_by_name_and_the_first_one_counts() {
    let text = scanned(r#"{"x": {"a": 0}, "a": [1, [2]], "\u0062": 3, "a": 4}"#).unwrap();
    assert_eq!(print(text.member(0).unwrap()), "[1, [2]]");
    assert_eq!(print(text.member(1).unwrap()), "3");
    assert!(text.member(2).is_none());
    assert!(scanned(r#"[{"a": 1}]"#).unwrap().member(0).is_none());
}

#[test]
fn values_are_printed_as_error_texts_show_them() {
    assert_eq!(
        again(r#"{"a":[1,2.50,[]],"b":{"c":{},"d":"\u00e9\n"},"e":[{"f":null}],"g":-1e2,"h":[NaN,-Inf]}"#),
        "{\n    \"a\": [1, 2.5, []],\n    \"b\": {\n        \"c\": {},\n        \"d\": \"é\\n\"\n    },\n    \
         \"e\": [{\n            \"f\": null\n        }],\n    \"g\": -100.0,\n    \"h\": [NaN, -Infinity]\n}"
    );
    assert_eq!(
        again(&format!("[{}]", vec!["1"; 1000].join(","))).len(),
        crate::limits::JSON_IN_MESSAGE_BYTES_MAX
    );
}

#[test]
fn strings_mean_what_their_escapes_say() {
    let text = scanned(r#"["\"\\\/\b\f\n\r\t\u0041\u00e9\ud83d\ude00", "plain"]"#).unwrap();
    let mut cursor = text.cursor();
    cursor.enter();
    assert_eq!(cursor.string().unwrap(), "\"\\/\u{8}\u{c}\n\r\tAé😀");
    assert_eq!(cursor.string().unwrap(), "plain");
}

#[test]
fn numbers_are_whole_or_not() {
    let text =
        scanned("[1, -1, 1.0, 1e3, -0, 18446744073709551615, NaN, -Infinity, Inf, \"1\", true]").unwrap();
    let mut at = text.cursor();
    at.enter();
    let mut seen = Vec::new();
    for _ in 0..9 {
        let (mut a, mut b, mut c) = (at.clone(), at.clone(), at.clone());
        seen.push((a.integer::<i64>(), b.integer::<u64>(), c.double().unwrap().to_string()));
        at.skip();
    }
    let big = u64::MAX;
    assert_eq!(
        seen,
        [
            (Some(1), Some(1), "1".into()),
            (Some(-1), None, "-1".into()),
            (None, None, "1".into()),
            (None, None, "1000".into()),
            (Some(0), Some(0), "-0".into()),
            (None, Some(big), (big as f64).to_string()),
            (None, None, "NaN".into()),
            (None, None, "-inf".into()),
            (None, None, "inf".into()),
        ]
    );
    assert_eq!((at.double(), at.integer::<i64>(), at.boolean()), (None, None, None));
    at.skip();
    assert_eq!(at.boolean(), Some(true));
}

proptest! {
    /// Of few digits and of many, with a point anywhere, and with what may follow.
    #[test]
    fn decimals_are_read_to_the_nearest_double(
        whole in 0u64..100_000_000, part in proptest::option::of("[0-9]{1,12}"), negative: bool,
    ) {
        let sign = if negative { "-" } else { "" };
        let part = part.map_or(String::new(), |part| format!(".{part}"));
        let number = format!("{sign}{whole}{part}");
        let text = format!("[{number},{number}\n, {number}e2]");
        let text = scan(Bytes::from(text), &[]).unwrap();
        let mut at = text.cursor();
        at.enter();
        let want: f64 = number.parse().unwrap();
        for want in [want, want, format!("{number}e2").parse().unwrap()] {
            prop_assert_eq!(at.double().unwrap().to_bits(), want.to_bits());
        }
        let alone = scan(Bytes::from(number), &[]).unwrap();
        prop_assert_eq!(alone.cursor().double().unwrap().to_bits(), want.to_bits());
    }

    /// Whatever is scanned can be walked, and agrees with a library where that
    /// takes it.
    #[test]
    fn any_text_is_refused_or_walked(text in "[\\[\\]{}\":, \\\\untrefalsNI0-9.e+-]{0,40}") {
        let ours = scanned(&text);
        if let Ok(text) = &ours {
            let mut cursor = text.cursor();
            let _ = print(cursor.clone());
            cursor.skip();
        }
        if let Ok(value) = serde_json::from_str::<serde_json::Value>(&text) {
            // Numbers beyond doubles are an error in both, so ours must be fine.
            prop_assert!(ours.is_ok(), "{text}: {value}");
        }
    }

    #[test]
    fn well_formed_texts_print_to_the_same_values(numbers in prop::collection::vec(any::<i64>(), 0..5), text in ".{0,8}") {
        let value = serde_json::json!({ "a": numbers, "b": [{ "c": text }, null, true] });
        let printed = again(&value.to_string());
        prop_assume!(printed.len() < crate::limits::JSON_IN_MESSAGE_BYTES_MAX);
        prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&printed).unwrap(), value);
    }
}
