//! Files that attack whoever reads them: all are refused with words that help, or
//! are harmless; and nothing ever runs, hangs, panics or takes memory out of proportion.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use longshore::formats::pickle::{Document, PickleError, Problem, View, load};
use longshore::limits;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use crate::fuzz_corpus::drive;
use crate::pickle_goldens::{folder, goldens};

/// Every hostile file, with the words of its refusal; `None` for the harmless.
fn hostile() -> Vec<(String, Vec<u8>, Option<Vec<String>>)> {
    let folder = folder().join("hostile");
    let table: BTreeMap<String, Option<Vec<String>>> =
        serde_json::from_str(&fs::read_to_string(folder.join("hostile.json")).unwrap()).unwrap();
    let files = fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path());
    let files = files.filter(|path| path.extension().is_some_and(|ending| ending == "pkl")).count();
    assert_eq!(files, table.len(), "a file without a row, or a row without a file");
    table
        .into_iter()
        .map(|(name, words)| {
            let bytes = fs::read(folder.join(format!("{name}.pkl"))).unwrap();
            (name, bytes, words)
        })
        .collect()
}

#[test]
fn every_hostile_file_is_refused_with_words_or_harmless() {
    // What the payloads would make in the working folder, as they do in Python's.
    let tripwire = PathBuf::from("longshore-tripwire");
    assert!(!tripwire.exists(), "left by something else: {}", tripwire.display());
    let mut wrong = Vec::new();
    for (name, bytes, words) in hostile() {
        let begun = Instant::now();
        let size = bytes.len();
        match (load(bytes), words) {
            (Ok(document), None) => drive::walk(&document),
            (Ok(document), Some(_)) => wrong.push(format!("{name}: was read as {document:?}")),
            (Err(error), None) => wrong.push(format!("{name}: {error}")),
            (Err(error), Some(words)) => {
                let text = error.to_string();
                for word in words.iter().filter(|word| !text.contains(*word)) {
                    wrong.push(format!("{name}: no {word:?} in: {text}"));
                }
                if text.len() > 1200 || text.contains(char::is_control) {
                    wrong.push(format!("{name}: not fit for a log: {text:?}"));
                }
            }
        }
        // The largest expand to 16 MiB, which an unoptimised decompressor takes its time for.
        assert!(
            begun.elapsed() < Duration::from_secs(20),
            "{name} of {size} bytes took {:?}",
            begun.elapsed()
        );
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(!tripwire.exists(), "something was executed");
}

#[test]
fn a_golden_cut_anywhere_is_refused() {
    for (name, bytes, _) in goldens() {
        // Every place in small files, some in large ones; the last byte is STOP, or a checksum's.
        let step = bytes.len() / 200 + 1;
        for len in (0..bytes.len() - 8).step_by(step) {
            let cut = load(bytes[..len].to_vec());
            assert!(cut.is_err(), "{name} cut to {len} of {} bytes was read", bytes.len());
        }
    }
}

#[test]
fn many_references_to_one_long_string_stay_one_string() {
    // Looking at every byte for every reference would take hours.
    let (refs, chars) = (400_000_u32, 10_000_000_u32);
    let object_array = |list: &[u8]| {
        let text = |text: &str| [&[0x8c, u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
        let name = |module: &str, name: &str| [text(module), text(name), vec![0x93]].concat();
        [
            b"\x80\x04".to_vec(),
            name("numpy.core.multiarray", "_reconstruct"),
            name("numpy", "ndarray"),
            b"K\x00\x85C\x01b\x87R".to_vec(),
            [b"(K\x01J".to_vec(), refs.to_le_bytes().to_vec(), vec![0x85]].concat(),
            name("numpy", "dtype"),
            [text("O8"), b"\x89\x88\x87R\x89".to_vec()].concat(),
            list.to_vec(),
            b"tb.".to_vec(),
        ]
        .concat()
    };
    let long = [b"X".to_vec(), chars.to_le_bytes().to_vec(), vec![b'x'; chars as usize]].concat();
    let list = [b"](".to_vec(), long, vec![0x94], b"h\x00".repeat(refs as usize - 1), b"e".to_vec()].concat();
    let file = object_array(&list);
    let size = file.len();
    let begun = Instant::now();
    let document = load(file).unwrap();
    let array = document.root().array().unwrap();
    let strings = array.to_strings(&document).unwrap();
    assert_eq!(strings.len(), refs as usize);
    assert!(strings.iter().all(|text| std::ptr::eq(text.as_ptr(), strings[0].as_ptr())));
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    assert!(document.held_bytes() < 4 * size, "{} bytes for {size}", document.held_bytes());
}

#[test]
fn a_compressed_file_may_expand_to_the_bound_and_no_further() {
    let floor = limits::PICKLE_EXPANSION_BYTES_FLOOR;
    let expanding_to = |size: usize| {
        let head = [&b"\x80\x04\x8e"[..], &(size as u64 - 12).to_le_bytes()].concat();
        let pickle = [head, vec![0; size - 12], b".".to_vec()].concat();
        assert_eq!(pickle.len(), size);
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(&pickle).unwrap();
        encoder.finish().unwrap()
    };
    let document = load(expanding_to(floor)).unwrap();
    assert_eq!(document.root().as_bytes().map(<[u8]>::len), Some(floor - 12));
    let error = load(expanding_to(floor + 1)).unwrap_err();
    assert!(matches!(error.problem(), Problem::Bomb { .. }), "{error}");
}

#[test]
fn the_stack_has_an_end() {
    let file = [vec![b'N'; limits::PICKLE_STACK_MAX + 1], b".".to_vec()].concat();
    let error = load(file).unwrap_err();
    assert!(matches!(error.problem(), Problem::TooLarge { .. }), "{error}");
    assert_eq!(error.offset(), Some(limits::PICKLE_STACK_MAX as u64));
}

/// Reads what can be read, and holds memory against the file's size.
fn survive(bytes: Vec<u8>) -> Result<Document, PickleError> {
    let size = bytes.len();
    let begun = Instant::now();
    let read = load(bytes);
    if let Ok(document) = &read {
        drive::walk(document);
        let plain =
            size.saturating_mul(limits::PICKLE_EXPANSION_MAX).max(limits::PICKLE_EXPANSION_BYTES_FLOOR);
        assert!(document.held_bytes() <= plain * limits::PICKLE_HELD_PER_BYTE_MAX);
    }
    if let Err(error) = &read {
        let text = error.to_string();
        assert!(!text.is_empty() && !text.contains(char::is_control), "{text:?}");
    }
    assert!(begun.elapsed() < Duration::from_secs(20), "{size} bytes took {:?}", begun.elapsed());
    read
}

/// Programs of instructions rather than noise: each mostly well-formed.
fn instructions() -> impl Strategy<Value = Vec<u8>> {
    let bare = select(b"NRbesuatld012(.]})\x81\x85\x86\x87\x88\x89\x8f\x90\x91\x92\x93\x94".to_vec());
    let short = select(b"KhqCU\x8a\x8c".to_vec());
    let names: &[&[u8]] = &[
        b"cnumpy\ndtype\n",
        b"cnumpy\nndarray\n",
        b"cnumpy.core.multiarray\n_reconstruct\n",
        b"cnumpy.core.multiarray\nscalar\n",
        b"cnumpy._core.numeric\n_frombuffer\n",
        b"cjoblib.numpy_pickle\nNumpyArrayWrapper\n",
        b"c_codecs\nencode\n",
        b"ccopyreg\n_reconstructor\n",
        b"cbuiltins\nset\n",
        b"cmine\nThing\n",
        b"\x8c\x02f8",
        b"\x8c\x02O8",
        b"\x8c\x01<",
        b"\x8c\x01C",
        b"\x8c\x05shape",
        b"\x8c\x05order",
        b"\x8c\x05dtype",
        b"(K\x03\x8c\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00t",
    ];
    let one = prop_oneof![
        4 => bare.prop_map(|op| vec![op]),
        2 => (short, prop::collection::vec(any::<u8>(), 0..4)).prop_map(|(op, data)| match op {
            b'C' | b'U' | 0x8a | 0x8c => [vec![op, u8::try_from(data.len()).unwrap()], data].concat(),
            _ => vec![op, data.len().to_le_bytes()[0]],
        }),
        3 => select(names).prop_map(<[u8]>::to_vec),
    ];
    prop::collection::vec(one, 0..60).prop_map(|program| [program.concat(), b".".to_vec()].concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        drive::joblib_container(&bytes);
        let _ = survive(bytes);
    }

    #[test]
    fn any_instructions_are_read_or_refused(program in instructions()) {
        let size = program.len();
        if let Ok(document) = survive(program) {
            let max = size * limits::PICKLE_HELD_PER_BYTE_MAX + limits::PICKLE_HELD_BYTES_FLOOR;
            prop_assert!(document.held_bytes() <= max);
            prop_assert!(!matches!(document.root().view(), View::Str(text) if text.contains("tripwire")));
        }
    }

    #[test]
    fn damaged_files_are_read_or_refused(
        which: Index,
        other: Index,
        flips in prop::collection::vec((any::<Index>(), 0u8..8), 0..6),
        cut in any::<Option<Index>>(),
        splice in any::<Option<(Index, Index, Index)>>(),
    ) {
        let all = corpus();
        let mut bytes = all[which.index(all.len())].clone();
        if let Some((at, from, to)) = splice {
            let donor = &all[other.index(all.len())];
            let (from, to) = (from.index(donor.len() + 1), to.index(donor.len() + 1));
            let at = at.index(bytes.len() + 1);
            bytes.splice(at..at, donor[from.min(to)..to].iter().copied());
        }
        for (at, bit) in flips {
            if !bytes.is_empty() {
                let at = at.index(bytes.len());
                bytes[at] ^= 1 << bit;
            }
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len() + 1));
        }
        let _ = survive(bytes);
    }
}

/// What is damaged: goldens, and hostile files that do not expand.
fn corpus() -> &'static [Vec<u8>] {
    static CORPUS: std::sync::OnceLock<Vec<Vec<u8>>> = std::sync::OnceLock::new();
    CORPUS.get_or_init(|| {
        let goldens = goldens().into_iter().map(|(_, bytes, _)| bytes);
        let plain = hostile()
            .into_iter()
            .filter(|(name, ..)| !["bomb-", "harmless-deep"].iter().any(|start| name.starts_with(start)));
        goldens.chain(plain.map(|(_, bytes, _)| bytes)).collect()
    })
}
