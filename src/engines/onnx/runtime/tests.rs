//! What can be told without the library; the rest is in tests/interop.

use std::path::PathBuf;

use super::*;

fn message(choice: LibraryChoice) -> String {
    let runtime = OnnxRuntime::new(choice);
    let first = runtime.report().unwrap_err();
    assert_eq!(runtime.report().unwrap_err(), first);
    first
}

#[test]
fn without_it_the_message_says_what_to_do() {
    assert_eq!(message(LibraryChoice::Off), "ONNX Runtime is switched off (--onnxruntime_library=off)");
    let folder = tempfile::tempdir().unwrap();
    let absent = message(LibraryChoice::Path(folder.path().join("libonnxruntime.so")));
    assert!(absent.contains("No such file") && absent.contains("expected ONNX Runtime"), "{absent}");
    let text = folder.path().join("libonnxruntime.so.1");
    std::fs::write(&text, "nothing to see").unwrap();
    let unrelated = message(LibraryChoice::Path(text));
    assert!(unrelated.contains("libonnxruntime.so.1: it is no shared library"), "{unrelated}");
}

#[test]
fn it_is_looked_for_again_after_it_was_missing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("libonnxruntime.so");
    let runtime = OnnxRuntime::new(LibraryChoice::Path(path.clone()));
    assert!(runtime.report().unwrap_err().contains("No such file"));
    std::fs::write(&path, "nothing to see").unwrap();
    assert!(runtime.report().unwrap_err().contains("it is no shared library"));
}

#[test]
#[cfg(target_os = "linux")]
fn an_unrelated_library_is_never_opened() {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let line = maps.lines().find(|line| line.contains("/libc.so") || line.contains("/ld-musl")).unwrap();
    let libc = PathBuf::from(&line[line.find('/').unwrap()..]);
    let unrelated = message(LibraryChoice::Path(libc.clone()));
    assert!(unrelated.contains("it exports no symbol OrtGetApiBase"), "{unrelated}");
    // And if it were, it would be refused by what it lacks.
    let opened = Library::open(&libc).unwrap_err();
    assert_eq!(opened, "it exports no symbol OrtGetApiBase");
}
