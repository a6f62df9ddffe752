//! The stack machine: opcodes in, inert values out.
//!
//! After `Lib/pickle.py` and `Lib/pickletools.py` of CPython 3.14, which say what
//! every opcode does. Where Python would import, a name is kept; where it would
//! call, a node is made.

use bytes::Bytes;

use super::arena::{Arena, Node};
use super::cursor::Cursor;
use super::error::{PickleError, Problem};
use super::opcode;
use super::stream::Stream;
use super::text::{self, Decimal};
use super::value::{Document, NodeId, clip};
use crate::limits;

/// Reads one pickle to its STOP. What follows is ignored, as by `pickle.load`.
pub(super) fn read(source: Bytes) -> Result<Document, PickleError> {
    let mut machine =
        Machine { arena: Arena::new(source.clone()), cursor: Cursor::new(source), op_at: 0, op: "PROTO" };
    let read = machine.run(false).and_then(|root| machine.finish().map(|()| root));
    match read {
        Ok(root) => Ok(Document { arena: machine.arena, root }),
        Err(problem) => Err(PickleError {
            offset: Some(machine.op_at as u64),
            container: None,
            problem: Box::new(problem),
        }),
    }
}

/// What all streams of one file share.
pub(super) struct Machine {
    pub(super) arena: Arena,
    pub(super) cursor: Cursor,
    /// Where the instruction that is being carried out begins.
    op_at: usize,
    /// Its name.
    pub(super) op: &'static str,
}

impl Machine {
    /// Carries out one stream; gives what STOP leaves.
    pub(super) fn run(&mut self, nested: bool) -> Result<NodeId, Problem> {
        let mut stream = Stream::new(nested);
        loop {
            self.op_at = self.cursor.at();
            let op = self.cursor.u8("the next instruction (a pickle ends with STOP)")?;
            if op == b'.' {
                self.op = "STOP";
                let root = self.pop(&mut stream)?;
                if !stream.stack.is_empty() {
                    let found = format!("{} more", stream.stack.len());
                    return Err(Problem::unexpected("STOP", "one value on the stack", found));
                }
                return Ok(root);
            }
            self.step(op, &mut stream)?;
        }
    }

    /// Object arrays refer to lists that later instructions could have changed.
    fn finish(&mut self) -> Result<(), Problem> {
        for array in self.arena.arrays() {
            if let Some(list) = array.object_list()
                && self.arena.list(list).len() != array.len()
            {
                let found = format!("{} objects", self.arena.list(list).len());
                return Err(Problem::unexpected(
                    array.to_string(),
                    format!("{} objects", array.len()),
                    found,
                ));
            }
        }
        Ok(())
    }

    #[allow(clippy::too_many_lines, reason = "one arm for each opcode is the clearest table of them")]
    fn step(&mut self, op: u8, s: &mut Stream) -> Result<(), Problem> {
        self.op = opcode::name(op);
        match op {
            // --- framing ---
            0x80 => {
                let protocol = self.cursor.u8("the protocol's number")?;
                if protocol > 5 {
                    return Err(Problem::unexpected(
                        "PROTO",
                        "a pickle protocol from 0 to 5",
                        protocol.to_string(),
                    ));
                }
            }
            0x95 => {
                // A frame only promises bytes. joblib writes array data between frames, so nothing more rests on it.
                let len = self.cursor.u64("a frame's length")?;
                if len > self.cursor.left() as u64 {
                    let left = self.cursor.left() as u64;
                    return Err(Problem::Truncated { wanted: "a frame".into(), needed: len, left });
                }
            }
            // --- constants and numbers ---
            b'N' => s.push(Arena::NONE)?,
            0x88 => s.push(Arena::TRUE)?,
            0x89 => s.push(Arena::FALSE)?,
            b'J' => {
                let value = self.cursor.i32("an integer")?;
                self.push(s, Node::Int(i64::from(value)))?;
            }
            b'K' => {
                let value = self.cursor.u8("an integer")?;
                self.push(s, Node::Int(i64::from(value)))?;
            }
            b'M' => {
                let value = self.cursor.u16("an integer")?;
                self.push(s, Node::Int(i64::from(value)))?;
            }
            0x8a => {
                let len = self.cursor.u8("an integer's length")?;
                self.long(s, u64::from(len))?;
            }
            0x8b => {
                let len = self.length("an integer's length")?;
                self.long(s, len)?;
            }
            b'I' | b'L' => self.decimal(op, s)?,
            b'G' => {
                let value = f64::from_be_bytes(self.cursor.array("a float")?);
                self.push(s, Node::Float(value))?;
            }
            b'F' => {
                let line = self.cursor.line("FLOAT")?;
                let line = &self.arena.source()[line];
                let value = str::from_utf8(line).ok().and_then(|line| line.parse().ok());
                let Some(value) = value else {
                    return Err(Problem::unexpected(
                        "FLOAT",
                        "a decimal number",
                        clip(&String::from_utf8_lossy(line)),
                    ));
                };
                self.push(s, Node::Float(value))?;
            }
            // --- text and bytes ---
            0x8c => {
                let len = self.cursor.u8("a string's length")?;
                self.unicode(s, u64::from(len))?;
            }
            b'X' => {
                let len = self.cursor.u32("a string's length")?;
                self.unicode(s, u64::from(len))?;
            }
            0x8d => {
                let len = self.cursor.u64("a string's length")?;
                self.unicode(s, len)?;
            }
            b'V' => {
                let line = self.cursor.line("UNICODE")?;
                let text = text::raw_unicode_escape(&self.arena.source()[line])
                    .map_err(|found| Problem::unexpected("UNICODE", "raw-unicode-escape text", found))?;
                let id = self.arena.add_text(text)?;
                s.push(id)?;
            }
            b'C' => {
                let len = self.cursor.u8("the length of bytes")?;
                self.bytes(s, u64::from(len))?;
            }
            b'B' => {
                let len = self.cursor.u32("the length of bytes")?;
                self.bytes(s, u64::from(len))?;
            }
            0x8e | 0x96 => {
                let len = self.cursor.u64("the length of bytes")?;
                self.bytes(s, len)?;
            }
            b'U' => {
                let len = self.cursor.u8("a string's length")?;
                self.python2_string(s, u64::from(len))?;
            }
            b'T' => {
                let len = self.length("a string's length")?;
                self.python2_string(s, len)?;
            }
            b'S' => {
                let line = self.cursor.line("STRING")?;
                let line = self.arena.source()[line].trim_ascii();
                let quoted = match line {
                    [b'\'', inside @ .., b'\''] | [b'"', inside @ .., b'"'] => inside,
                    _ => return Err(Problem::unexpected("STRING", "text in quotes", "none")),
                };
                let decoded = text::string_escape(quoted)
                    .map_err(|found| Problem::unexpected("STRING", "text as Python 2 escapes it", found))?;
                let id = match String::from_utf8(decoded) {
                    Ok(text) if text.is_ascii() => self.arena.add_text(text)?,
                    Ok(text) => self.add_made_bytes(text.into_bytes())?,
                    Err(error) => self.add_made_bytes(error.into_bytes())?,
                };
                s.push(id)?;
            }
            // --- collections ---
            b']' => {
                let list = self.arena.add_list()?;
                self.push(s, Node::List(list))?;
            }
            b'}' => {
                let list = self.arena.add_list()?;
                self.push(s, Node::Dict(list))?;
            }
            0x8f => {
                let list = self.arena.add_list()?;
                self.push(s, Node::Set(list))?;
            }
            b')' => s.push(Arena::EMPTY_TUPLE)?,
            0x85..=0x87 => {
                let from =
                    s.stack.len().checked_sub(usize::from(op - 0x84)).filter(|&from| from >= s.floor());
                let Some(from) = from else { return Err(self.underflow(s)) };
                self.tuple(s, from)?;
            }
            b't' => {
                let from = self.pop_mark(s)?;
                self.tuple(s, from)?;
            }
            b'l' | b'd' | 0x91 => {
                let from = self.pop_mark(s)?;
                if op == b'd' {
                    pairs(self.op, s.stack.len() - from)?;
                }
                let list = self.arena.add_list()?;
                self.arena.extend_list(list, &s.stack[from..])?;
                s.stack.truncate(from);
                self.push(
                    s,
                    match op {
                        b'l' => Node::List(list),
                        b'd' => Node::Dict(list),
                        _ => Node::Set(list),
                    },
                )?;
            }
            b'a' => {
                let item = self.pop(s)?;
                self.append(s, &[item])?;
            }
            b'e' => {
                let from = self.pop_mark(s)?;
                let items = s.stack.split_off(from);
                self.append(s, &items)?;
            }
            b's' => {
                let value = self.pop(s)?;
                let key = self.pop(s)?;
                self.set_items(s, &[key, value])?;
            }
            b'u' => {
                let from = self.pop_mark(s)?;
                let items = s.stack.split_off(from);
                pairs(self.op, items.len())?;
                self.set_items(s, &items)?;
            }
            0x90 => {
                let from = self.pop_mark(s)?;
                let items = s.stack.split_off(from);
                let target = self.top(s)?;
                match *self.arena.node(target) {
                    Node::Set(list) => self.arena.extend_list(list, &items)?,
                    _ => return Err(self.wrong(target, "a set")),
                }
            }
            // --- the stack and the memo ---
            b'(' => {
                if s.marks.len() >= limits::PICKLE_STACK_MAX {
                    return Err(Problem::TooLarge {
                        what: "the number of open marks".into(),
                        found: s.marks.len() as u64 + 1,
                        max: limits::PICKLE_STACK_MAX as u64,
                        unit: "marks",
                    });
                }
                s.marks.push(s.stack.len());
            }
            b'0' => {
                // A POP right after a MARK takes the mark.
                if s.marks.last() == Some(&s.stack.len()) {
                    s.marks.pop();
                } else {
                    self.pop(s)?;
                }
            }
            b'1' => {
                let from = self.pop_mark(s)?;
                s.stack.truncate(from);
            }
            b'2' => {
                let top = self.top(s)?;
                s.push(top)?;
            }
            b'p' => {
                let key = self.memo_line()?;
                self.put(s, key)?;
            }
            b'q' => {
                let key = self.cursor.u8("a memo number")?;
                self.put(s, u64::from(key))?;
            }
            b'r' => {
                let key = self.cursor.u32("a memo number")?;
                self.put(s, u64::from(key))?;
            }
            0x94 => {
                let key = s.memo.next();
                self.put(s, key)?;
            }
            b'g' => {
                let key = self.memo_line()?;
                self.get(s, key)?;
            }
            b'h' => {
                let key = self.cursor.u8("a memo number")?;
                self.get(s, u64::from(key))?;
            }
            b'j' => {
                let key = self.cursor.u32("a memo number")?;
                self.get(s, u64::from(key))?;
            }
            // --- names, calls and state ---
            b'c' => {
                let module = self.name_line()?;
                let name = self.name_line()?;
                self.push(s, Node::Global { module, name })?;
            }
            0x93 => {
                let name = self.pop(s)?;
                let module = self.pop(s)?;
                for id in [module, name] {
                    match self.arena.text_bytes(id) {
                        Some(text) => name_len(text.len())?,
                        None => return Err(self.wrong(id, "a string")),
                    }
                }
                self.push(s, Node::Global { module, name })?;
            }
            b'R' => {
                let args = self.pop(s)?;
                let callable = self.pop(s)?;
                let id = self.reduce(callable, args)?;
                s.push(id)?;
            }
            0x81 => {
                let args = self.pop(s)?;
                let class = self.pop(s)?;
                let id = self.instance(class, args, None)?;
                s.push(id)?;
            }
            0x92 => {
                let kwargs = self.pop(s)?;
                let args = self.pop(s)?;
                let class = self.pop(s)?;
                let id = self.instance(class, args, Some(kwargs))?;
                s.push(id)?;
            }
            b'b' => {
                let state = self.pop(s)?;
                let target = self.top(s)?;
                self.build(target, state, s.nested)?;
            }
            _ => return Err(opcode::refuse(op, self.op_at)),
        }
        Ok(())
    }

    // --- parts of instructions ---

    fn push(&mut self, s: &mut Stream, node: Node) -> Result<(), Problem> {
        let id = self.arena.add(node)?;
        s.push(id)
    }

    fn pop(&self, s: &mut Stream) -> Result<NodeId, Problem> {
        if s.stack.len() <= s.floor() {
            return Err(self.underflow(s));
        }
        s.stack.pop().ok_or_else(|| self.underflow(s))
    }

    fn top(&self, s: &Stream) -> Result<NodeId, Problem> {
        match s.stack.last() {
            Some(&top) if s.stack.len() > s.floor() => Ok(top),
            _ => Err(self.underflow(s)),
        }
    }

    /// Where the items above the last MARK begin.
    fn pop_mark(&self, s: &mut Stream) -> Result<usize, Problem> {
        s.marks.pop().ok_or_else(|| Problem::unexpected(self.op, "a MARK on the stack", "none"))
    }

    fn underflow(&self, s: &Stream) -> Problem {
        let found = if s.marks.is_empty() { "an empty stack" } else { "a MARK" };
        Problem::unexpected(self.op, "a value on the stack", found)
    }

    /// The error for a value that is not what the instruction needs.
    pub(super) fn wrong(&self, id: NodeId, expected: &'static str) -> Problem {
        Problem::unexpected(self.op, expected, self.describe(id))
    }

    /// As `Ref::describe`, before there is a document.
    pub(super) fn describe(&self, id: NodeId) -> String {
        match *self.arena.node(id) {
            Node::None => "None".to_owned(),
            Node::Bool(_) => "a bool".to_owned(),
            Node::Int(value) => format!("int {value}"),
            Node::BigInt { .. } => "a large int".to_owned(),
            Node::Float(value) => format!("float {value}"),
            Node::Str { .. } | Node::MadeStr { .. } => {
                format!("str '{}'", clip(self.arena.text(id).unwrap_or_default()))
            }
            Node::Bytes { blob } => format!("bytes of length {}", self.arena.blob(blob).len()),
            Node::List(list) => format!("list of {}", self.arena.list(list).len()),
            Node::Tuple { len, .. } => format!("tuple of {len}"),
            Node::Set(_) => "a set".to_owned(),
            Node::Dict(list) => format!("dict of {}", self.arena.list(list).len() / 2),
            Node::Global { .. } => format!("the name {}", self.global_name(id)),
            Node::Object(object) => format!("{} object", self.global_name(self.arena.object(object).class)),
            Node::Array(array) => self.arena.array(array).to_string(),
            Node::DType(dtype) => format!("dtype {}", self.arena.dtype(dtype)),
        }
    }

    /// A length that the format gives a sign.
    fn length(&mut self, wanted: &'static str) -> Result<u64, Problem> {
        let len = self.cursor.i32(wanted)?;
        u64::try_from(len).map_err(|_| Problem::unexpected(self.op, "a length", len.to_string()))
    }

    fn long(&mut self, s: &mut Stream, len: u64) -> Result<(), Problem> {
        int_len(len)?;
        let range = self.cursor.take(len, "an integer")?;
        let bytes = text::shortest(&self.arena.source()[range.clone()]);
        let node = match text::small(bytes) {
            Some(value) => Node::Int(value),
            None => {
                let blob = self.arena.source().slice(range.start..range.start + bytes.len());
                Node::BigInt { blob: self.arena.add_blob(blob)? }
            }
        };
        self.push(s, node)
    }

    fn decimal(&mut self, op: u8, s: &mut Stream) -> Result<(), Problem> {
        let line = self.cursor.line(self.op)?;
        let line = &self.arena.source()[line];
        let digits = match (op, line) {
            (b'I', b"00") => return s.push(Arena::FALSE),
            (b'I', b"01") => return s.push(Arena::TRUE),
            (b'L', [digits @ .., b'L']) => digits,
            _ => line,
        };
        // A digit has 3.3 bits.
        let digits_max = limits::PICKLE_INT_BYTES_MAX * 2;
        let node = match text::decimal(digits, digits_max) {
            Some(Decimal::Small(value)) => Node::Int(value),
            Some(Decimal::Big(bytes)) => {
                self.arena.charge(bytes.len())?;
                Node::BigInt { blob: self.arena.add_blob(Bytes::from(bytes))? }
            }
            None if digits.len() > digits_max => return Err(int_len(digits.len() as u64 / 2).unwrap_err()),
            None => {
                let found = clip(&String::from_utf8_lossy(digits));
                return Err(Problem::unexpected(self.op, "a decimal integer", found));
            }
        };
        self.push(s, node)
    }

    fn unicode(&mut self, s: &mut Stream, len: u64) -> Result<(), Problem> {
        let range = self.cursor.take(len, "a string")?;
        let id = self.arena.add_source_text(range)?;
        s.push(id)
    }

    fn bytes(&mut self, s: &mut Stream, len: u64) -> Result<(), Problem> {
        let bytes = self.cursor.slice(len, "bytes")?;
        let id = self.arena.add_bytes(bytes)?;
        s.push(id)
    }

    pub(super) fn add_made_bytes(&mut self, bytes: Vec<u8>) -> Result<NodeId, Problem> {
        self.arena.charge(bytes.len())?;
        self.arena.add_bytes(Bytes::from(bytes))
    }

    /// Python 2's `str` is text where it is ASCII, as Python 3 reads it by default, and bytes otherwise.
    fn python2_string(&mut self, s: &mut Stream, len: u64) -> Result<(), Problem> {
        let range = self.cursor.take(len, "a string")?;
        let id = if self.arena.source()[range.clone()].is_ascii() {
            self.arena.add_source_text(range)?
        } else {
            let bytes = self.arena.source().slice(range);
            self.arena.add_bytes(bytes)?
        };
        s.push(id)
    }

    fn tuple(&mut self, s: &mut Stream, from: usize) -> Result<(), Problem> {
        let id = self.arena.add_tuple(&s.stack[from..])?;
        s.stack.truncate(from);
        s.push(id)
    }

    fn append(&mut self, s: &Stream, items: &[NodeId]) -> Result<(), Problem> {
        let target = self.top(s)?;
        match *self.arena.node(target) {
            Node::List(list) => self.arena.extend_list(list, items),
            Node::Object(object) => {
                let list = match self.arena.object(object).items {
                    Some(list) => list,
                    None => self.arena.add_list()?,
                };
                self.arena.object_mut(object).items = Some(list);
                self.arena.extend_list(list, items)
            }
            _ => Err(self.wrong(target, "a list")),
        }
    }

    fn set_items(&mut self, s: &Stream, pairs: &[NodeId]) -> Result<(), Problem> {
        let target = self.top(s)?;
        match *self.arena.node(target) {
            Node::Dict(list) => self.arena.extend_list(list, pairs),
            Node::Object(object) => {
                let list = match self.arena.object(object).entries {
                    Some(list) => list,
                    None => self.arena.add_list()?,
                };
                self.arena.object_mut(object).entries = Some(list);
                self.arena.extend_list(list, pairs)
            }
            _ => Err(self.wrong(target, "a dict")),
        }
    }

    fn memo_line(&mut self) -> Result<u64, Problem> {
        let line = self.cursor.line(self.op)?;
        let line = &self.arena.source()[line];
        let key = str::from_utf8(line).ok().and_then(|line| line.parse().ok());
        key.ok_or_else(|| Problem::unexpected(self.op, "a memo number", clip(&String::from_utf8_lossy(line))))
    }

    fn put(&mut self, s: &mut Stream, key: u64) -> Result<(), Problem> {
        let top = self.top(s)?;
        self.arena.charge(size_of::<NodeId>())?;
        s.memo.put(key, top);
        Ok(())
    }

    fn get(&mut self, s: &mut Stream, key: u64) -> Result<(), Problem> {
        match s.memo.get(key) {
            Some(id) => s.push(id),
            None => Err(Problem::unexpected(
                self.op,
                "a value that was kept in the memo",
                format!("number {key}, which was not"),
            )),
        }
    }

    fn name_line(&mut self) -> Result<NodeId, Problem> {
        let range = self.cursor.line("GLOBAL")?;
        name_len(range.len())?;
        self.arena.add_source_text(range)
    }
}

fn pairs(op: &'static str, len: usize) -> Result<(), Problem> {
    if len.is_multiple_of(2) {
        Ok(())
    } else {
        Err(Problem::unexpected(op, "pairs of keys and values", format!("{len} items")))
    }
}

fn name_len(len: usize) -> Result<(), Problem> {
    if len <= limits::PICKLE_NAME_BYTES_MAX {
        return Ok(());
    }
    Err(Problem::TooLarge {
        what: "the length of a name".into(),
        found: len as u64,
        max: limits::PICKLE_NAME_BYTES_MAX as u64,
        unit: "bytes",
    })
}

fn int_len(len: u64) -> Result<(), Problem> {
    if len <= limits::PICKLE_INT_BYTES_MAX as u64 {
        return Ok(());
    }
    Err(Problem::TooLarge {
        what: "an integer's length".into(),
        found: len,
        max: limits::PICKLE_INT_BYTES_MAX as u64,
        unit: "bytes",
    })
}
