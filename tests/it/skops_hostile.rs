//! skops files that attack whoever reads them, or are damaged: refused with words that
//! name the place, and nothing runs, hangs or panics.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::DeflateEncoder;
use longshore::formats::pickle::{DTypeKind, Document, Ref, View};
use longshore::formats::skops::load;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::fuzz_corpus::drive;

/// A member of an archive, as it is said to be.
struct Member<'a> {
    name: &'a str,
    data: &'a [u8],
    deflated: bool,
    /// What the directory says of the size, if not the truth.
    size: Option<u32>,
    flags: u16,
}

impl<'a> Member<'a> {
    fn stored(name: &'a str, data: &'a [u8]) -> Self {
        Self { name, data, deflated: false, size: None, flags: 0 }
    }

    fn deflated(name: &'a str, data: &'a [u8]) -> Self {
        Self { deflated: true, ..Self::stored(name, data) }
    }
}

fn archive(members: &[Member<'_>]) -> Vec<u8> {
    let (mut file, mut directory) = (Vec::new(), Vec::new());
    for member in members {
        let packed = if member.deflated {
            let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
            encoder.write_all(member.data).unwrap();
            encoder.finish().unwrap()
        } else {
            member.data.to_vec()
        };
        let mut crc = flate2::Crc::new();
        crc.update(member.data);
        let at = u32::try_from(file.len()).unwrap();
        let size = member.size.unwrap_or(u32::try_from(member.data.len()).unwrap());
        let method: u16 = if member.deflated { 8 } else { 0 };
        let mut common = Vec::new();
        for field in [20, member.flags, method, 0, 0] {
            common.extend_from_slice(&field.to_le_bytes());
        }
        for field in [crc.sum(), u32::try_from(packed.len()).unwrap(), size] {
            common.extend_from_slice(&field.to_le_bytes());
        }
        let name_len = u16::try_from(member.name.len()).unwrap().to_le_bytes();
        file.extend(
            [b"PK\x03\x04", &common[..], &name_len, &[0; 2], member.name.as_bytes(), &packed].concat(),
        );
        directory.extend(
            [
                b"PK\x01\x02\x14\x00",
                &common[..],
                &name_len,
                &[0; 12],
                &at.to_le_bytes(),
                member.name.as_bytes(),
            ]
            .concat(),
        );
    }
    let count = u16::try_from(members.len()).unwrap().to_le_bytes();
    let (at, bytes) = (u32::try_from(file.len()).unwrap(), u32::try_from(directory.len()).unwrap());
    file.extend(&directory);
    let end = [b"PK\x05\x06", &[0; 4][..], &count, &count, &bytes.to_le_bytes(), &at.to_le_bytes(), &[0; 2]];
    file.extend(end.concat());
    file
}

fn plain(content: &str) -> Value {
    json!({"__class__": "str", "__module__": "builtins", "__loader__": "JsonNode", "content": content})
}

fn node(loader: &str, class: &str, content: Value) -> Value {
    let (module, name) = class.rsplit_once('.').unwrap();
    json!({"__class__": name, "__module__": module, "__loader__": loader, "content": content})
}

fn list(items: Vec<Value>) -> Value {
    node("ListNode", "builtins.list", items.into())
}

fn tuple(items: Vec<Value>) -> Value {
    node("TupleNode", "builtins.tuple", items.into())
}

fn array(file: &str) -> Value {
    json!({"__class__": "ndarray", "__module__": "numpy", "__loader__": "NdArrayNode", "type": "numpy", "file": file})
}

fn schema(mut root: Value) -> Vec<u8> {
    root["protocol"] = 2.into();
    root["_skops_version"] = "0.16.0".into();
    serde_json::to_vec(&root).unwrap()
}

/// A file whose root is this node.
fn file(root: Value, members: &[Member<'_>]) -> Vec<u8> {
    let schema = schema(root);
    let mut all = vec![Member::stored("schema.json", &schema)];
    all.extend(members.iter().map(|member| Member { ..*member }));
    archive(&all)
}

fn npy(header: &str, data: &[u8]) -> Vec<u8> {
    let len = u16::try_from(header.len()).unwrap().to_le_bytes();
    [b"\x93NUMPY\x01\x00", &len[..], header.as_bytes(), data].concat()
}

fn refused(file: Vec<u8>) -> String {
    let said = load(file).expect_err("it was read").to_string();
    assert!(said.len() < 1200 && !said.contains(char::is_control), "not fit for a log: {said:?}");
    said
}

#[test]
fn attacks_are_refused_by_name_and_place() {
    let call = node("ConstructorFromReduceNode", "os.system", tuple(vec![plain("\"touch x\"")]));
    let method = node("MethodNode", "sklearn.base.X", json!({"func": "fit", "obj": plain("1")}));
    let mut getter = node("OperatorFuncNode", "operator.attrgetter", Value::Null);
    getter["attrs"] = tuple(vec![plain("\"a\"")]);
    let again = json!({"__class__": null, "__module__": null, "__loader__": "CachedNode", "__id__": 7});
    let mut within = list(vec![list(vec![again.clone()])]);
    within["__id__"] = 7.into();
    for (root, words) in [
        (list(vec![plain("1"), call]), "[1]: the file makes os.system, which no model needs"),
        (node("ObjectNode", "subprocess.Popen", Value::Null), "the file makes subprocess.Popen"),
        (method, "sklearn.base.X is written as a MethodNode, which is not read"),
        (getter, "the file makes operator.attrgetter"),
        (list(vec![again]), "[0]: expected a reference to a value that was described before"),
        (within, "[0][0]: expected a reference to a value that was described before"),
        (list(vec![json!(3)]), "[0]: expected a node of skops, found 3"),
        (node("NewNode", "a.B", Value::Null), "a.B is written as a NewNode"),
        (plain("{\"a\": 1}"), "expected a plain value, found an object of 1"),
        (plain("1 +"), "schema.json: "),
    ] {
        let said = refused(file(root, &[]));
        assert!(said.starts_with(words), "{said}");
    }
    let keys = json!({"__class__": "dict", "__module__": "builtins", "__loader__": "DictNode",
        "content": {"a": plain("1"), "b": plain("x")}, "key_types": list(vec![])});
    assert_eq!(refused(file(keys, &[])), "expected a type for each of 2 keys, found 0 types");
}

#[test]
fn arrays_that_contradict_themselves_are_refused() {
    let told = |header: &str, data: &[u8]| {
        let npy = npy(header, data);
        refused(file(list(vec![array("a.npy")]), &[Member::stored("a.npy", &npy)]))
    };
    let huge = told("{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999,)}", &[0; 8]);
    assert!(
        huge.starts_with("[0]: a numpy array: expected data that fit the shape, found 8 bytes"),
        "{huge}"
    );
    let objects = told("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}", b"cos\nsystem\n.");
    assert!(
        objects.starts_with("[0]: expected a numpy array file (.npy), found one whose header is"),
        "{objects}"
    );
    assert!(refused(file(array("b.npy"), &[])).contains("the zip archive has no member 'b.npy'"));
    let mut ragged = array("");
    ragged["type"] = "json".into();
    ragged["shape"] = tuple(vec![plain("2"), plain("2")]);
    ragged["content"] = json!([list(vec![plain("1")]), list(vec![plain("1"), plain("2")])]);
    assert_eq!(refused(file(ragged, &[])), "[0]: expected 2 objects, found 1 of them");
}

#[test]
fn bombs_and_broken_archives_are_refused() {
    let zeros = vec![b' '; 64 << 20];
    let bomb = refused(archive(&[Member::deflated("schema.json", &zeros)]));
    assert!(bomb.starts_with("the size of the expanded members of the zip archive is "), "{bomb}");
    let lie = Member { size: Some(10), ..Member::deflated("schema.json", &zeros[..5000]) };
    let lie = refused(archive(&[lie]));
    assert_eq!(lie, "the zip archive says that its member 'schema.json' has 10 bytes, which it has not");
    let locked = Member { flags: 1, ..Member::stored("schema.json", b"{}") };
    assert_eq!(refused(archive(&[locked])), "the zip archive has its member 'schema.json' encrypted");
    let twice = archive(&[Member::stored("a", b"1"), Member::stored("a", b"2")]);
    assert_eq!(refused(twice), "the zip archive has two members 'a'");
    assert_eq!(refused(archive(&[])), "the zip archive has no member 'schema.json'");
    assert_eq!(
        refused(Vec::new()),
        "the zip archive is none: the file begins otherwise; expected what skops.io.dump writes"
    );
    let numbered = file(plain("1"), &[Member::stored("é", b"")]);
    assert!(load(numbered).is_ok());
    let mut hurt = file(plain("12345"), &[]);
    let at = hurt.windows(5).position(|five| five == b"12345").unwrap();
    hurt[at] = b'9';
    assert_eq!(
        refused(hurt),
        "the zip archive has its member 'schema.json' damaged: its checksum is another"
    );
    let deep = [b"[".repeat(5000), b"]".repeat(5000)].concat();
    assert!(refused(archive(&[Member::stored("schema.json", &deep)])).contains("recursion limit"));
    let newer = br#"{"protocol": 3, "_skops_version": "9.0"}"#;
    let newer = refused(archive(&[Member::stored("schema.json", newer)]));
    assert_eq!(newer, "expected a skops protocol from 0 to 2, found 3 of skops 9.0");
    let whole = file(plain("1"), &[]);
    for len in 0..whole.len() {
        refused(whole[..len].to_vec());
    }
}

fn corpus(name: &str) -> Vec<u8> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/skops");
    std::fs::read(folder.join(name)).unwrap()
}

/// What `tests/golden/sklearn/skops_corpus.py` says that `values.skops` holds.
#[test]
fn every_kind_of_value_is_read() {
    let document: Document = load(corpus("values.skops")).unwrap();
    let root = document.root();
    let a: Vec<Ref<'_>> = root.get("a").unwrap().items().unwrap().collect();
    assert_eq!(
        (a[0].as_i64(), a[1].as_f64(), a[3].as_bool(), a[4].as_str()),
        (Some(1), Some(2.5), Some(true), Some("é"))
    );
    assert!(a[2].is_none() && matches!(a[5].view(), View::BigInt(_)) && a[6].as_f64().unwrap().is_nan());
    let entry =
        |wanted: fn(Ref<'_>) -> bool| root.entries().unwrap().find(|(key, _)| wanted(*key)).unwrap().1;
    let bytes = entry(|key| key.as_i64() == Some(2)).items().unwrap();
    assert_eq!(bytes.map(|one| one.as_bytes().unwrap()).collect::<Vec<_>>(), [&b"bytes"[..], b"more"]);
    let set = entry(|key| matches!(key.view(), View::Float(value) if value == 1.5));
    let View::Set(mut items) = set.view() else { panic!("{set:?}") };
    assert_eq!(items.next().and_then(Ref::as_str), Some("set"));
    let arrays: Vec<Ref<'_>> = root.get("arrays").unwrap().items().unwrap().collect();
    assert_eq!(arrays[0].array().unwrap().shape(), [2, 2]);
    let objects: Vec<String> = arrays[0].elements().unwrap().map(Ref::describe).collect();
    assert_eq!(objects, ["str 'x'", "None", "int 1", "float 2"]);
    assert_eq!(arrays[1].array().unwrap().to_strings(&document).unwrap(), ["a", "bc"]);
    assert_eq!((arrays[2].as_f64(), arrays[3].dtype().unwrap().to_string()), (Some(2.0), "<i4".to_owned()));
    let records = root.get("records").unwrap().array().unwrap();
    assert!(matches!(records.dtype().kind(), DTypeKind::Struct(fields) if fields[1].offset() == 8));
    assert_eq!(records.field("b").unwrap().to_f64().unwrap(), [2.0]);
    let sparse = root.get("sparse").unwrap().object().unwrap();
    assert!(sparse.class().is("scipy.sparse._csr", "csr_matrix"));
    assert_eq!(sparse.attr("data").unwrap().array().unwrap().to_f64().unwrap(), [1.0, 2.0, 1.0, 2.0, 1.0]);
    let shape: Vec<_> =
        sparse.attr("_shape").unwrap().items().unwrap().map(|n| n.as_i64().unwrap()).collect();
    assert_eq!(shape, [4, 2]);
    let names: Vec<String> = root.get("names").unwrap().items().unwrap().map(Ref::describe).collect();
    assert_eq!(names[1..], ["the name builtins.int", "builtins.slice object"]);
    assert!(names[0].ends_with(".exp"), "{}", names[0]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    /// Damage to what the archive holds, with its checksums put right, is refused or harmless.
    #[test]
    fn a_damaged_file_is_refused_or_answers(
        which in prop::sample::select(vec!["line.skops", "tree.skops", "pipeline.skops", "values.skops", "density.skops"]),
        wounds in proptest::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut members = members(&corpus(which));
        for (member, at, byte) in wounds {
            let count = members.len();
            let data = &mut members[member.index(count)].1;
            if !data.is_empty() {
                let at = at.index(data.len());
                data[at] = byte;
            }
        }
        let members: Vec<Member<'_>> = members.iter().map(|(name, data)| Member::stored(name, data)).collect();
        drive::skops(&archive(&members));
    }

    /// The same for the archive itself.
    #[test]
    fn a_damaged_archive_is_refused_or_answers(
        wounds in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in proptest::option::weighted(0.1, any::<prop::sample::Index>()),
    ) {
        let mut file = corpus("line_stored.skops");
        for (at, byte) in wounds {
            let at = at.index(file.len());
            file[at] = byte;
        }
        if let Some(cut) = cut {
            file.truncate(cut.index(file.len()));
        }
        drive::skops(&file);
    }
}

/// The members of a deflated archive without extra fields, by its local headers.
fn members(file: &[u8]) -> Vec<(String, Vec<u8>)> {
    let number =
        |at: usize, len: usize| file[at..at + len].iter().rev().fold(0, |n, &b| n << 8 | usize::from(b));
    let (mut at, mut found) = (0, Vec::new());
    while file[at..].starts_with(b"PK\x03\x04") {
        let (packed, name, extra) = (number(at + 18, 4), number(at + 26, 2), number(at + 28, 2));
        let start = at + 30 + name + extra;
        let mut data = Vec::new();
        let mut decoder = flate2::write::DeflateDecoder::new(&mut data);
        decoder.write_all(&file[start..start + packed]).unwrap();
        decoder.finish().unwrap();
        found.push((String::from_utf8(file[at + 30..at + 30 + name].to_vec()).unwrap(), data));
        at = start + packed;
    }
    assert!(found.len() > 1);
    found
}

/// Archives of more than 65 535 members or 4 GiB have their numbers in other fields.
#[test]
fn numbers_of_64_bits_are_read() {
    let schema = schema(plain("\"wide\""));
    let small = archive(&[Member::stored("schema.json", &schema)]);
    let directory = small.windows(4).position(|four| four == b"PK\x01\x02").unwrap();
    let header = &small[directory..directory + 46];
    let len = u64::try_from(schema.len()).unwrap().to_le_bytes();
    let wide = [
        &header[..20],
        &[0xff; 8],
        &header[28..30],
        &[28, 0],
        &header[32..42],
        &[0xff; 4],
        b"schema.json",
        &[1, 0, 24, 0],
        &len,
        &len,
        &[0; 8],
    ]
    .concat();
    let end_at = u64::try_from(directory + wide.len()).unwrap();
    let end = |count: u64| {
        let wide_len = u64::try_from(wide.len()).unwrap().to_le_bytes();
        let at = u64::try_from(directory).unwrap().to_le_bytes();
        [
            b"PK\x06\x06",
            &44u64.to_le_bytes()[..],
            &[45, 0, 45, 0],
            &[0; 8],
            &count.to_le_bytes(),
            &count.to_le_bytes(),
            &wide_len,
            &at,
            b"PK\x06\x07",
            &[0; 4],
            &end_at.to_le_bytes(),
            &[1, 0, 0, 0],
            b"PK\x05\x06",
            &[0; 4],
            &[0xff; 12],
            &[0; 2],
        ]
        .concat()
    };
    let with = |end: &[u8]| [&small[..directory], &wide, end].concat();
    assert_eq!(load(with(&end(1))).unwrap().root().as_str(), Some("wide"));
    assert_eq!(refused(with(&end(2))), "the zip archive has a directory that ends too early");
    let many = refused(with(&end(1 << 40)));
    assert!(
        many.starts_with("the number of members of the zip archive is 1099511627776; at most "),
        "{many}"
    );
}
