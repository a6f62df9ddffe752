//! Values printed again, for error messages.

use super::{Cursor, Kind};
use crate::frontends::tfs::rest::number;
use crate::frontends::tfs::rest::write::put_string;
use crate::limits::JSON_IN_MESSAGE_BYTES_MAX;

/// The value at the cursor as error messages show it: objects indented by four
/// spaces, lists on one line, cut at [`JSON_IN_MESSAGE_BYTES_MAX`] bytes.
pub(crate) fn print(mut cursor: Cursor<'_>) -> String {
    let mut out = Vec::new();
    put(&mut cursor, 0, &mut out);
    let mut text = String::from_utf8_lossy(&out).into_owned();
    if text.len() > JSON_IN_MESSAGE_BYTES_MAX {
        text.truncate(text.floor_char_boundary(JSON_IN_MESSAGE_BYTES_MAX));
    }
    text
}

fn put(cursor: &mut Cursor<'_>, level: usize, out: &mut Vec<u8>) {
    // What is cut off anyway is not printed.
    if out.len() > JSON_IN_MESSAGE_BYTES_MAX {
        cursor.skip();
        return;
    }
    match cursor.kind() {
        Kind::String => put_string(out, &cursor.string().unwrap_or_default()),
        Kind::List => {
            out.push(b'[');
            for i in 0..cursor.enter() {
                out.extend_from_slice(if i > 0 { b", " } else { b"" });
                put(cursor, level + 1, out);
            }
            cursor.leave();
            out.push(b']');
        }
        Kind::Object => {
            out.push(b'{');
            let size = cursor.enter();
            for i in 0..size {
                out.extend_from_slice(if i > 0 { b",\n" } else { b"\n" });
                out.resize(out.len() + 4 * (level + 1), b' ');
                put_string(out, &cursor.string().unwrap_or_default());
                out.extend_from_slice(b": ");
                put(cursor, level + 1, out);
            }
            cursor.leave();
            if size > 0 {
                out.push(b'\n');
                out.resize(out.len() + 4 * level, b' ');
            }
            out.push(b'}');
        }
        Kind::Number => put_number(cursor, out),
        Kind::Null | Kind::True | Kind::False => out.extend_from_slice(cursor.token().as_bytes()),
    }
}

/// Whole numbers as they are, others as answers have them.
fn put_number(cursor: &mut Cursor<'_>, out: &mut Vec<u8>) {
    let mut ahead = cursor.clone();
    let token = ahead.token();
    if token.parse::<i64>().is_ok() || token.parse::<u64>().is_ok() {
        out.extend_from_slice(token.as_bytes());
    } else {
        number::put_f64(out, token.parse().unwrap_or(f64::NAN));
    }
    *cursor = ahead;
}
