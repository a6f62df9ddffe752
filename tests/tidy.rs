//! The house rules that a program can check: rooms look down only, pure rooms
//! stay pure, files stay readable.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The rooms by floor, lowest first. A room may name rooms on lower floors and
/// itself. The numbers are those of `ARCHITECTURE.md`; a floor in two rows has
/// a step in it.
const FLOORS: &[(u8, &[&str])] = &[
    (0, &["limits", "memory"]),
    (0, &["error", "ids", "proto"]),
    (1, &["libraries", "telemetry", "tensor"]),
    (2, &["formats", "storage"]),
    (3, &["servable"]),
    (3, &["engines"]),
    (4, &["request_log"]),
    (4, &["execution", "lifecycle", "repository"]),
    (5, &["dataplane"]),
    (6, &["frontends"]),
    (7, &["security"]),
    (7, &["config"]),
    (8, &["server"]),
    (8, &["cli"]),
];

/// Rooms without clock, network, file system, threads or async.
const PURE: &[&str] = &["limits", "error", "ids", "tensor", "formats", "servable", "engines", "dataplane"];
const IMPURE: &[&str] = &["std::fs", "std::net", "std::process", "std::thread", "std::env", "tokio::"];

/// Lines of one file, tests included: past this it is two rooms.
const LINES_MAX: usize = 700;

struct Source {
    path: PathBuf,
    room: String,
    text: String,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut found, mut folders) = (Vec::new(), vec![root.clone()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let below = path.strip_prefix(&root).unwrap().to_owned();
                let first = below.iter().next().unwrap().to_str().unwrap();
                let room = first.trim_end_matches(".rs").to_owned();
                let text = fs::read_to_string(&path).unwrap();
                found.push(Source { path: below, room, text });
            }
        }
    }
    found.retain(|source| source.room != "main" && source.room != "lib");
    found.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(found.len() > 20, "the sources were not found");
    found
}

/// The code of a file without its comments.
fn code(text: &str) -> String {
    text.lines().map(|line| line.split("//").next().unwrap_or("")).collect::<Vec<_>>().join("\n")
}

/// The rooms that this code names: `crate::room` and `crate::{room, other::x}`.
fn named_rooms(code: &str) -> Vec<String> {
    let mut rooms = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        let Some(group) = rest.strip_prefix('{') else {
            rooms.extend(word(rest));
            continue;
        };
        let mut depth = 1;
        let mut start_of_item = true;
        for (i, c) in group.char_indices() {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 1 => start_of_item = true,
                c if start_of_item && c.is_alphabetic() => {
                    rooms.extend(word(&group[i..]));
                    start_of_item = false;
                }
                _ => {}
            }
            if depth == 0 {
                break;
            }
        }
    }
    rooms
}

fn word(text: &str) -> Option<String> {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    (end > 0).then(|| text[..end].to_owned())
}

#[test]
fn rooms_look_down_only() {
    let height: BTreeMap<&str, usize> =
        FLOORS.iter().enumerate().flat_map(|(i, (_, rooms))| rooms.iter().map(move |&r| (r, i))).collect();
    let mut wrong = Vec::new();
    for source in sources() {
        let Some(own) = height.get(source.room.as_str()) else {
            wrong.push(format!("src/{}: `{}` is on no floor", source.path.display(), source.room));
            continue;
        };
        for named in named_rooms(&code(&source.text)) {
            let may = named == source.room || height.get(named.as_str()).is_some_and(|other| other < own);
            if !may {
                let path = source.path.display();
                wrong.push(format!("src/{path}: `{}` may not look at `{named}`", source.room));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_reader_of_names_sees_what_it_should() {
    let code = "use crate::{ids::{A, B}, limits};\nfn f() -> crate::tensor::Tensor {}";
    assert_eq!(named_rooms(code), ["ids", "limits", "tensor"]);
    assert!(named_rooms(&self::code("// crate::cli is only mentioned")).is_empty());
}

#[test]
fn pure_rooms_stay_pure() {
    let mut wrong = Vec::new();
    for source in sources().iter().filter(|source| PURE.contains(&source.room.as_str())) {
        // Tests beside the code may do what they need.
        if source.path.file_name().is_some_and(|name| name == "tests.rs") {
            continue;
        }
        let code = code(source.text.split("#[cfg(test)]").next().unwrap_or(""));
        for what in IMPURE.iter().filter(|what| code.contains(*what)) {
            wrong.push(format!("src/{}: a pure room names {what}", source.path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn files_are_short_enough_to_read() {
    let long: Vec<String> = sources()
        .iter()
        .map(|source| (source.path.display().to_string(), source.text.lines().count()))
        .filter(|(_, lines)| *lines > LINES_MAX)
        .map(|(path, lines)| format!("src/{path}: {lines} lines"))
        .collect();
    assert!(long.is_empty(), "{}", long.join("\n"));
}

#[test]
fn the_map_names_every_room() {
    let map = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("ARCHITECTURE.md")).unwrap();
    for room in FLOORS.iter().flat_map(|(_, rooms)| rooms.iter()) {
        assert!(map.contains(&format!("`{room}`")), "ARCHITECTURE.md does not name `{room}`");
    }
}
