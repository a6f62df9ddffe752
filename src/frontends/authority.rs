//! `:authority` of requests that come through a Unix socket, made readable.
//!
//! Clients on gRPC's C core send the path of the socket there, percent-encoded
//! (`%2Ftmp%2Fserving.sock`); others send it as it is. Neither is an authority in
//! HTTP's sense, and the HTTP/2 library resets the stream. The reference's server
//! never looks at it, nor do we: so the two characters that are in the way become
//! `-` before the library sees them.
//!
//! That needs no HPACK table, because no length changes: `-` takes as many bits as
//! `%` and `/` do, plain and in HPACK's Huffman code. What the client's table and
//! the library's table hold of it is of the same size, so that they go on agreeing
//! about every index.
//!
//! Sources: RFC 9113 (frames), RFC 7541 (HPACK; its appendix B has the code).

/// What each client sends first: RFC 9113 section 3.4.
const PREFACE_BYTES: usize = 24;
const FRAME_HEADER_BYTES: usize = 9;
/// The largest frame that we let clients send: HTTP/2's default.
const FRAME_BYTES_MAX: usize = 16_384;
const HEADERS: u8 = 1;
const PADDED: u8 = 0x8;
const PRIORITY: u8 = 0x20;

/// `:authority`, plain and in the Huffman code.
const NAMES: [&[u8]; 2] = [b":authority", &[0xb8, 0x3b, 0x53, 0x39, 0xec, 0x32, 0x7d, 0x7f]];
/// Its place in the static table.
const STATIC_INDEX: usize = 1;

/// Goes through the bytes of one connection, from its first on.
#[derive(Debug, Clone)]
pub struct Mender {
    /// What may pass as it is before the next frame begins, in bytes.
    passing: usize,
}

impl Default for Mender {
    fn default() -> Self {
        Self { passing: PREFACE_BYTES }
    }
}

impl Mender {
    /// Mends what it can, and tells how many of the `bytes` may go on. The others
    /// are part of a frame whose end is missing, at most 16 393 bytes, and have to
    /// be shown again with what follows them. No byte is added or taken away.
    ///
    /// What is no HTTP/2 goes on as it is: saying so is the library's part. So do
    /// header blocks that do not name the authority in their first frame.
    pub fn mend(&mut self, bytes: &mut [u8]) -> usize {
        let mut done = 0;
        loop {
            let rest = &mut bytes[done..];
            let passed = self.passing.min(rest.len());
            self.passing -= passed;
            done += passed;
            let Some((header, rest)) = rest[passed..].split_first_chunk_mut::<FRAME_HEADER_BYTES>() else {
                return done;
            };
            let length = usize::from(header[0]) << 16 | usize::from(header[1]) << 8 | usize::from(header[2]);
            if header[3] != HEADERS || length > FRAME_BYTES_MAX {
                self.passing = FRAME_HEADER_BYTES + length;
                continue;
            }
            let Some(payload) = rest.get_mut(..length) else { return done };
            if let Some(block) = header_block(payload, header[4]) {
                // A block that is broken, or goes on in the next frame, ends early.
                let _: Option<()> = mend_block(block);
            }
            done += FRAME_HEADER_BYTES + length;
        }
    }
}

/// The header block within a HEADERS frame, without padding and priority.
fn header_block(payload: &mut [u8], flags: u8) -> Option<&mut [u8]> {
    let (mut start, mut end) = (0, payload.len());
    if flags & PADDED != 0 {
        end = end.checked_sub(usize::from(*payload.first()?))?;
        start += 1;
    }
    if flags & PRIORITY != 0 {
        start += 5;
    }
    payload.get_mut(start..end)
}

/// Mends the authority's values in a header block; `None` where it ends too early.
fn mend_block(block: &mut [u8]) -> Option<()> {
    let mut at = 0;
    while let Some(&first) = block.get(at) {
        // RFC 7541 section 6: what it is, and how many bits its number begins with.
        let (is_literal, bits) = match first.leading_zeros() {
            0 => (false, 7),
            1 => (true, 6),
            2 => (false, 5),
            _ => (true, 4),
        };
        let index = integer(block, &mut at, bits)?;
        if !is_literal {
            continue;
        }
        let is_authority = match index {
            0 => {
                let (name, is_huffman) = string(block, &mut at)?;
                *name == *NAMES[usize::from(is_huffman)]
            }
            // Nobody takes a name from the dynamic table that is in the static one.
            index => index == STATIC_INDEX,
        };
        let (value, is_huffman) = string(block, &mut at)?;
        match (is_authority, is_huffman) {
            (false, _) => {}
            (true, false) => value.iter_mut().filter(|c| matches!(c, b'%' | b'/')).for_each(|c| *c = b'-'),
            (true, true) => mend_huffman(value),
        }
    }
    Some(())
}

/// RFC 7541 section 5.1: the number that begins in the last `bits` of a byte.
fn integer(block: &[u8], at: &mut usize, bits: u32) -> Option<usize> {
    let mut next = || {
        let byte = *block.get(*at)?;
        *at += 1;
        Some(usize::from(byte))
    };
    let most = (1 << bits) - 1;
    let mut number = next()? & most;
    if number < most {
        return Some(number);
    }
    // No length or index of use has more than 28 bits after that.
    for shift in [0, 7, 14, 21] {
        let byte = next()?;
        number += (byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

/// RFC 7541 section 5.2: a string, and whether it is in the Huffman code.
fn string<'a>(block: &'a mut [u8], at: &mut usize) -> Option<(&'a mut [u8], bool)> {
    let is_huffman = block.get(*at)? & 0x80 != 0;
    let length = integer(block, at, 7)?;
    let start = *at;
    *at = start.checked_add(length)?;
    Some((block.get_mut(start..*at)?, is_huffman))
}

/// The same in the Huffman code. The code is canonical: how long a symbol is follows
/// from the range that its first bits are in. Symbols of more than 8 bits, which no
/// path has that is percent-encoded, end it.
fn mend_huffman(value: &mut [u8]) {
    /// How many bits, and the least and the most that they can be.
    const RANGES: [(usize, u16, u16); 4] = [
        (5, 0, 0b0_1001),
        (6, 0b01_0100, 0b10_1101),
        (7, 0b101_1100, 0b111_1011),
        (8, 0b1111_1000, 0b1111_1101),
    ];
    const PERCENT: u16 = 0b01_0101;
    const MINUS: u16 = 0b01_0110;
    const SLASH: u16 = 0b01_1000;
    let mut bit = 0;
    loop {
        // The 16 bits in which the symbol begins; the end is filled up with ones.
        let pair = |value: &[u8]| {
            let byte = |i: usize| u16::from(value.get(i).copied().unwrap_or(0xff));
            byte(bit / 8) << 8 | byte(bit / 8 + 1)
        };
        let window = pair(value) << (bit % 8);
        let symbol = RANGES.into_iter().find_map(|(bits, least, most)| {
            let symbol = window >> (16 - bits);
            (least..=most).contains(&symbol).then_some((bits, symbol))
        });
        let Some((bits, symbol)) = symbol.filter(|(bits, _)| bit + bits <= value.len() * 8) else { return };
        if matches!(symbol, PERCENT | SLASH) {
            let shift = 16 - bits - bit % 8;
            let mended = pair(value) ^ (symbol ^ MINUS) << shift;
            let [high, low] = mended.to_be_bytes();
            value[bit / 8] = high;
            if let Some(second) = value.get_mut(bit / 8 + 1) {
                *second = low;
            }
        }
        bit += bits;
    }
}

/// Mends any bytes, as they come and in parts; for fuzzing.
///
/// # Panics
/// When more was changed than `%`, `/` and bits of their codes, or parts give
/// something else than the whole.
pub fn check_any_bytes(bytes: &[u8]) {
    let mut whole = bytes.to_vec();
    let done = Mender::default().mend(&mut whole);
    assert!(done <= bytes.len() && whole[done..] == bytes[done..]);
    assert!(bytes.len() - done < FRAME_HEADER_BYTES + FRAME_BYTES_MAX);
    let (mut mender, mut held, mut passed) = (Mender::default(), Vec::new(), Vec::new());
    for part in bytes.chunks(7) {
        held.extend_from_slice(part);
        let done = mender.mend(&mut held);
        passed.extend(held.drain(..done));
    }
    assert!(passed == whole[..done], "parts differ from the whole");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&length[1..], &[kind, flags, 0, 0, 0, 1], payload].concat()
    }

    fn connection(frames: &[Vec<u8>]) -> Vec<u8> {
        [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), frames.concat()].concat()
    }

    #[track_caller]
    fn mended(block: &[u8]) -> Vec<u8> {
        let mut bytes = connection(&[frame(HEADERS, 4, block)]);
        let all = bytes.len();
        assert_eq!(Mender::default().mend(&mut bytes), all);
        bytes[PREFACE_BYTES + FRAME_HEADER_BYTES..].to_vec()
    }

    #[test]
    fn a_path_becomes_an_authority_in_each_form_of_a_field() {
        for (before, after) in [("%2Ftmp%2Fs.sock", "-2Ftmp-2Fs.sock"), ("/tmp/s.sock", "-tmp-s.sock")] {
            let length = u8::try_from(before.len()).unwrap();
            for start in [
                // As gRPC's C core writes it: the name in full, to be put into the table.
                &b"\x40\x0a:authority"[..],
                // As Netty does: the name by its index.
                b"\x41",
                b"\x01",
                b"\x11",
                // After `:method: POST`, a change of the table's size, and another field.
                b"\x83\x3f\xe1\x1f\x04\x05/a/%2\x00\x01x\x02%/\x41",
            ] {
                let field = |value: &str| [start, &[length], value.as_bytes(), b"\x86"].concat();
                assert_eq!(mended(&field(before)), field(after));
            }
        }
        let other = b"\x04\x05/a/%2\x40\x01x\x02%/\xbe\x7e\x02%/";
        assert_eq!(mended(other), other, "only the authority is mended");
    }

    /// Bits of `text` in the code of RFC 7541, appendix B, for what these tests use.
    fn huffman(text: &str) -> Vec<u8> {
        let code = |c| match c {
            '0' => "00000",
            '2' => "00010",
            'c' => "00100",
            'o' => "00111",
            's' => "01000",
            't' => "01001",
            '%' => "010101",
            '-' => "010110",
            '.' => "010111",
            '/' => "011000",
            'F' => "1100001",
            'k' => "1110101",
            'm' => "101001",
            'p' => "101011",
            'X' => "11111100",
            '!' => "1111111000",
            _ => unreachable!("{c}"),
        };
        let mut bits: String = text.chars().map(code).collect();
        while !bits.len().is_multiple_of(8) {
            bits.push('1');
        }
        bits.as_bytes()
            .chunks(8)
            .map(|bits| u8::from_str_radix(std::str::from_utf8(bits).unwrap(), 2).unwrap())
            .collect()
    }

    #[test]
    fn in_the_huffman_code_a_path_keeps_its_length_too() {
        for before in ["%2Ftmp%2Fs.sock", "/tmp/0/s.sock", "X/X%%//", "/", "%", "tmp", "s/m", "", "//!//"] {
            let after = match before.split_once('!') {
                // What follows a symbol of more than 8 bits is left as it is.
                Some((first, rest)) => format!("{}!{rest}", first.replace(['%', '/'], "-")),
                None => before.replace(['%', '/'], "-"),
            };
            let field = |value: &str| {
                let value = huffman(value);
                let length = 0x80 | u8::try_from(value.len()).unwrap();
                [&[0x41, length][..], &value, b"\x86"].concat()
            };
            assert_eq!(mended(&field(before)), field(&after), "{before}");
        }
        let named =
            |value: &[u8]| [&[0x40, 0x88], NAMES[1], &[u8::try_from(value.len()).unwrap()], value].concat();
        assert_eq!(mended(&named(b"/tmp")), named(b"-tmp"));
    }

    #[test]
    fn bytes_may_come_in_any_parts() {
        let block = b"\x83\x86\x40\x0a:authority\x06%2Ftmp\x44\x01/";
        let padded = [&[3, 0, 0, 0, 0, 7][..], block, &[0, 0, 0]].concat();
        let bytes = connection(&[
            frame(4, 0, &[]),
            frame(HEADERS, 4, block),
            frame(0, 1, b"\x41\x04/tmp"),
            frame(HEADERS, 4 | PADDED | PRIORITY, &padded),
        ]);
        let mut want = bytes.clone();
        for i in 0..bytes.len() {
            if bytes[i..].starts_with(b"%2Ftmp") {
                want[i] = b'-';
            }
        }
        for size in [1, 2, 3, 10, 50, 1000] {
            let (mut mender, mut held, mut got) = (Mender::default(), Vec::new(), Vec::new());
            for part in bytes.chunks(size) {
                held.extend_from_slice(part);
                let done = mender.mend(&mut held);
                got.extend(held.drain(..done));
            }
            assert_eq!(got, want, "in parts of {size}");
            assert!(held.is_empty());
        }
    }

    #[test]
    fn what_is_broken_goes_on_as_it_is() {
        for block in [
            &b"\x41"[..],
            b"\x41\x7f",
            b"\x41\x7f\xff\xff\xff\xff\xff\x0f",
            b"\x41\x05/tmp",
            b"\x40\x0a:authorit",
            b"\x7f",
            b"",
        ] {
            assert_eq!(mended(block), block);
        }
        let short = connection(&[frame(HEADERS, 4 | PADDED, &[9, 1, 2])]);
        let mut bytes = short.clone();
        assert_eq!(Mender::default().mend(&mut bytes), bytes.len());
        assert_eq!(bytes, short);
        // A frame that is longer than frames may be is not waited for.
        let mut long = connection(&[vec![0xff, 0xff, 0xff, HEADERS, 4, 0, 0, 0, 1]]);
        assert_eq!(Mender::default().mend(&mut long), long.len());
    }

    proptest! {
        /// Blocks of literals and noise, in frames of any kind, cut anywhere.
        #[test]
        fn hostile_frames_are_no_worse_off(
            frames in prop::collection::vec(
                (0u8..10, any::<u8>(), prop::collection::vec(
                    prop_oneof![
                        Just(b"\x41\x05%2Fab".to_vec()),
                        Just(b"\x40\x0a:authority\x86\x55\x15\x63\x18\x61\xff".to_vec()),
                        prop::collection::vec(any::<u8>(), 0..12),
                    ], 0..6)),
                0..6),
            cut in 0usize..400,
        ) {
            let frames: Vec<_> =
                frames.iter().map(|(kind, flags, parts)| frame(*kind, *flags, &parts.concat())).collect();
            let mut bytes = connection(&frames);
            bytes.truncate(bytes.len().saturating_sub(cut % (bytes.len() + 1)));
            check_any_bytes(&bytes);
        }
    }
}
