//! The names of the opcodes, and why some are refused.

use super::error::Problem;

/// Opcodes that no model file needs, and bytes that are none.
pub(super) fn refuse(op: u8, at: usize) -> Problem {
    let why = match op {
        b'P' | b'Q' => "a persistent id refers to something outside of the file",
        0x82..=0x84 => "extension codes refer to a registry outside of the file",
        b'i' | b'o' => "instances of Python 2's classic classes are not read",
        0x97 | 0x98 => "the data lie in a buffer outside of the file; save the model without one",
        _ if at == 0 => {
            let what = format!("it begins with the byte 0x{op:02x}, which begins no pickle");
            return Problem::NotAPickle(what.into());
        }
        _ => {
            let (expected, found) = ("an opcode of pickle protocol 0 to 5", format!("0x{op:02x}"));
            return Problem::unexpected("the instructions", expected, found);
        }
    };
    Problem::Unsupported(format!("{}: {why}", name(op)).into())
}

/// The name of an opcode in `pickletools`.
pub(super) fn name(op: u8) -> &'static str {
    match op {
        0x80 => "PROTO",
        0x95 => "FRAME",
        b'N' => "NONE",
        0x88 => "NEWTRUE",
        0x89 => "NEWFALSE",
        b'J' => "BININT",
        b'K' => "BININT1",
        b'M' => "BININT2",
        0x8a => "LONG1",
        0x8b => "LONG4",
        b'I' => "INT",
        b'L' => "LONG",
        b'G' => "BINFLOAT",
        b'F' => "FLOAT",
        0x8c => "SHORT_BINUNICODE",
        b'X' => "BINUNICODE",
        0x8d => "BINUNICODE8",
        b'V' => "UNICODE",
        b'C' => "SHORT_BINBYTES",
        b'B' => "BINBYTES",
        0x8e => "BINBYTES8",
        0x96 => "BYTEARRAY8",
        b'U' => "SHORT_BINSTRING",
        b'T' => "BINSTRING",
        b'S' => "STRING",
        b']' => "EMPTY_LIST",
        b'}' => "EMPTY_DICT",
        0x8f => "EMPTY_SET",
        b')' => "EMPTY_TUPLE",
        0x85 => "TUPLE1",
        0x86 => "TUPLE2",
        0x87 => "TUPLE3",
        b't' => "TUPLE",
        b'l' => "LIST",
        b'd' => "DICT",
        0x91 => "FROZENSET",
        b'a' => "APPEND",
        b'e' => "APPENDS",
        b's' => "SETITEM",
        b'u' => "SETITEMS",
        0x90 => "ADDITEMS",
        b'(' => "MARK",
        b'0' => "POP",
        b'1' => "POP_MARK",
        b'2' => "DUP",
        b'p' => "PUT",
        b'q' => "BINPUT",
        b'r' => "LONG_BINPUT",
        0x94 => "MEMOIZE",
        b'g' => "GET",
        b'h' => "BINGET",
        b'j' => "LONG_BINGET",
        b'c' => "GLOBAL",
        0x93 => "STACK_GLOBAL",
        b'R' => "REDUCE",
        0x81 => "NEWOBJ",
        0x92 => "NEWOBJ_EX",
        b'b' => "BUILD",
        b'P' => "PERSID",
        b'Q' => "BINPERSID",
        0x82 => "EXT1",
        0x83 => "EXT2",
        0x84 => "EXT4",
        b'i' => "INST",
        b'o' => "OBJ",
        0x97 => "NEXT_BUFFER",
        0x98 => "READONLY_BUFFER",
        _ => "an unknown opcode",
    }
}
