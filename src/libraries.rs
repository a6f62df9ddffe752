//! Where foreign libraries lie. Nothing is opened here: a file is only recognised,
//! by the symbols that it exports, so that the code of what is no such library
//! never runs (opening a library runs its initialisers, whatever it is).

use std::env;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use object::read::{Object as _, ObjectSymbol as _, ReadCache};

/// Which library to use.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum LibraryChoice {
    /// The first that is found in the usual places.
    #[default]
    Auto,
    /// None.
    Off,
    /// This file.
    Path(PathBuf),
}

/// What is looked for.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// What people call it: `ONNX Runtime`.
    pub name: &'static str,
    /// The flag that chooses it, for messages: `--onnxruntime_library`.
    pub flag: &'static str,
    /// The variable of the environment that holds its path, where there is a known one.
    pub variable: Option<&'static str>,
    /// The names that its file has, the best first; what follows such a name after
    /// a point is its version: `libonnxruntime.so.1.32.0`.
    pub files: &'static [&'static str],
    /// The folder that holds it in a Python environment's `site-packages`.
    pub package_folder: &'static str,
    /// A symbol that it exports, and nothing else does.
    pub symbol: &'static str,
    /// How a person gets it.
    pub advice: &'static str,
}

/// Why there is no library.
#[derive(Debug, thiserror::Error)]
pub enum LibraryError {
    /// Nobody wants it.
    #[error("{name} is switched off ({flag}=off)")]
    Off {
        /// The library.
        name: &'static str,
        /// The flag that says so.
        flag: &'static str,
    },
    /// It is in none of the usual places.
    #[error("{name} was not found: {advice}, or give its file with {flag}{skipped}")]
    NotFound {
        /// The library.
        name: &'static str,
        /// How to get it.
        advice: &'static str,
        /// The flag that would name it.
        flag: &'static str,
        /// What was found and is none, for a person to read.
        skipped: String,
    },
    /// The file that was named cannot be read.
    #[error("{path}: {source}; expected {name}, the file {file}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
        /// The library.
        name: &'static str,
        /// What its file is called.
        file: &'static str,
    },
    /// The file that was named is something else.
    #[error("{path}: {why}; expected {name}, the file {file}")]
    Unrelated {
        /// The file.
        path: PathBuf,
        /// What it is, or lacks.
        why: String,
        /// The library.
        name: &'static str,
        /// What its file is called.
        file: &'static str,
    },
}

/// The file of the library, recognised by its symbols, with all links followed.
/// Reads the environment and the disk; opens nothing.
///
/// # Errors
/// [`LibraryError`]: what was looked for, and what was found instead.
pub fn find(wanted: &Wanted, choice: &LibraryChoice) -> Result<PathBuf, LibraryError> {
    let variable = || wanted.variable.and_then(env::var_os).filter(|path| !path.is_empty());
    match choice {
        LibraryChoice::Off => Err(LibraryError::Off { name: wanted.name, flag: wanted.flag }),
        LibraryChoice::Path(path) => named(wanted, path),
        LibraryChoice::Auto => match variable() {
            Some(path) => named(wanted, Path::new(&path)),
            None => search(wanted, &folders(wanted, &env::var_os, env::current_exe().ok().as_deref())),
        },
    }
}

/// The file that somebody named: it, or nothing.
fn named(wanted: &Wanted, path: &Path) -> Result<PathBuf, LibraryError> {
    let (name, file) = (wanted.name, wanted.files[0]);
    let unreadable = |source| LibraryError::Unreadable { path: path.to_owned(), source, name, file };
    let real = path.canonicalize().map_err(unreadable)?;
    match recognise(&real, wanted.symbol).map_err(unreadable)? {
        None => Ok(real),
        Some(why) => Err(LibraryError::Unrelated { path: path.to_owned(), why, name, file }),
    }
}

/// The first file in these folders that is the library.
fn search(wanted: &Wanted, folders: &[PathBuf]) -> Result<PathBuf, LibraryError> {
    let mut skipped = String::new();
    for folder in folders {
        for stem in wanted.files {
            for path in versions(folder, stem) {
                let Ok(real) = path.canonicalize() else { continue };
                match recognise(&real, wanted.symbol) {
                    Ok(None) => return Ok(real),
                    Ok(Some(why)) => skipped.push_str(&format!("; {} is none: {why}", path.display())),
                    Err(error) => skipped.push_str(&format!("; {}: {error}", path.display())),
                }
            }
        }
    }
    let Wanted { name, advice, flag, .. } = *wanted;
    Err(LibraryError::NotFound { name, advice, flag, skipped })
}

/// The files `stem` and `stem.<version>` in `folder`, the newest version first and
/// the one without a version, which is mostly a link to it, before them.
fn versions(folder: &Path, stem: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut found: Vec<(Vec<u32>, PathBuf)> = Vec::new();
    for entry in entries.flatten() {
        let name = entry.file_name();
        let Some(rest) = name.to_str().and_then(|name| name.strip_prefix(stem)) else { continue };
        let version = match rest.strip_prefix('.') {
            None if rest.is_empty() => vec![u32::MAX],
            None => continue,
            Some(numbers) => match numbers.split('.').map(str::parse).collect() {
                Ok(version) => version,
                Err(_) => continue,
            },
        };
        found.push((version, entry.path()));
    }
    found.sort_by(|a, b| b.cmp(a));
    found.into_iter().map(|(_, path)| path).collect()
}

/// Where the library may lie, the most particular place first: beside this program,
/// where the environment says, in its Python environment, where systems have them.
fn folders(
    wanted: &Wanted,
    variable: &dyn Fn(&'static str) -> Option<OsString>,
    program: Option<&Path>,
) -> Vec<PathBuf> {
    let mut folders = Vec::new();
    if let Some(folder) = program.and_then(Path::parent) {
        folders.push(folder.to_owned());
        folders.extend(folder.parent().map(|above| above.join("lib")));
    }
    for list in ["LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"] {
        folders.extend(variable(list).iter().flat_map(env::split_paths).filter(|path| path.is_absolute()));
    }
    for root in ["VIRTUAL_ENV", "CONDA_PREFIX"].into_iter().filter_map(variable) {
        folders.push(PathBuf::from(&root).join("lib"));
        folders.extend(packages(&PathBuf::from(&root), wanted.package_folder));
    }
    let system = ["/usr/local/lib", "/usr/lib64", "/usr/lib", "/opt/homebrew/lib"];
    folders.extend(system.map(PathBuf::from));
    folders.push(PathBuf::from(format!("/usr/lib/{}-linux-gnu", env::consts::ARCH)));
    for root in ["/usr/local", "/usr"] {
        folders.extend(packages(Path::new(root), wanted.package_folder));
    }
    folders
}

/// The package's folder in each Python under `root`, the newest Python first.
fn packages(root: &Path, package_folder: &str) -> Vec<PathBuf> {
    let lib = root.join("lib");
    let mut pythons: Vec<(u32, PathBuf)> = Vec::new();
    for entry in fs::read_dir(&lib).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some(minor) = name.to_str().and_then(|name| name.strip_prefix("python3")) else { continue };
        pythons
            .push((minor.strip_prefix('.').and_then(|minor| minor.parse().ok()).unwrap_or(0), entry.path()));
    }
    pythons.sort_by(|a, b| b.cmp(a));
    let of = |python: &PathBuf| {
        ["site-packages", "dist-packages"].map(|packages| python.join(packages).join(package_folder))
    };
    pythons.iter().flat_map(|(_, python)| of(python)).collect()
}

/// `None` when the file exports `symbol`; else what is wrong with it.
fn recognise(path: &Path, symbol: &str) -> io::Result<Option<String>> {
    let file = File::open(path)?;
    if !file.metadata()?.is_file() {
        return Ok(Some("it is no file".to_owned()));
    }
    let cache = ReadCache::new(file);
    let Ok(library) = object::File::parse(&cache) else {
        return Ok(Some("it is no shared library".to_owned()));
    };
    let architecture = format!("{:?}", library.architecture()).to_ascii_lowercase();
    if architecture != env::consts::ARCH {
        let own = env::consts::ARCH;
        return Ok(Some(format!("it is made for {architecture}, and this is {own}")));
    }
    // Mach-O puts an underscore before each name of C.
    let is_it = |name: &str| name == symbol || name.strip_prefix('_') == Some(symbol);
    let exports = library
        .dynamic_symbols()
        .chain(library.symbols())
        .any(|found| found.is_definition() && found.name().is_ok_and(is_it));
    Ok((!exports).then(|| format!("it exports no symbol {symbol}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIBRARY: Wanted = Wanted {
        name: "Some Library",
        flag: "--some_library",
        variable: None,
        files: &["libsome.so", "libother.so"],
        package_folder: "some/capi",
        symbol: "SomeBase",
        advice: "pip install some",
    };

    /// Any shared library of this system that exports `malloc`.
    #[cfg(target_os = "linux")]
    fn libc() -> PathBuf {
        let maps = fs::read_to_string("/proc/self/maps").unwrap();
        let line = maps.lines().find(|line| line.contains("/libc.so") || line.contains("/ld-musl")).unwrap();
        PathBuf::from(&line[line.find('/').unwrap()..])
    }

    fn refusal(path: &Path) -> String {
        find(&LIBRARY, &LibraryChoice::Path(path.to_owned())).unwrap_err().to_string()
    }

    #[test]
    fn a_file_that_is_something_else_is_said_to_be() {
        let folder = tempfile::tempdir().unwrap();
        let text = folder.path().join("notes.txt");
        fs::write(&text, "nothing to see").unwrap();
        assert!(
            refusal(&text)
                .ends_with("notes.txt: it is no shared library; expected Some Library, the file libsome.so")
        );
        assert!(refusal(folder.path()).contains("it is no file"));
        let absent = refusal(&folder.path().join("absent.so"));
        assert!(absent.contains("absent.so: No such file"), "{absent}");
        assert_eq!(
            find(&LIBRARY, &LibraryChoice::Off).unwrap_err().to_string(),
            "Some Library is switched off (--some_library=off)"
        );
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_library_is_known_by_what_it_exports() {
        assert!(refusal(&libc()).contains("it exports no symbol SomeBase"));
        let wanted = Wanted { symbol: "malloc", ..LIBRARY };
        let found = find(&wanted, &LibraryChoice::Path(libc())).unwrap();
        assert_eq!(found, libc().canonicalize().unwrap());
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_newest_in_the_first_folder_that_has_one_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let (first, second) = (folder.path().join("first"), folder.path().join("second"));
        let python = folder.path().join("venv/lib/python3.11/site-packages/some/capi");
        for made in [&first, &second, &python] {
            fs::create_dir_all(made).unwrap();
        }
        let wanted = Wanted { symbol: "malloc", ..LIBRARY };
        fs::write(first.join("libsome.so"), "broken").unwrap();
        let copy = |to: PathBuf| fs::copy(libc(), to).unwrap();
        copy(python.join("libsome.so.1"));
        let environment = |name: &'static str| match name {
            "LD_LIBRARY_PATH" => Some(env::join_paths([&first, &second]).unwrap()),
            "VIRTUAL_ENV" => Some(folder.path().join("venv").into_os_string()),
            _ => None,
        };
        let found = || search(&wanted, &folders(&wanted, &environment, None));
        assert_eq!(found().unwrap(), python.join("libsome.so.1").canonicalize().unwrap());
        for name in ["libsome.so.1.9.0", "libsome.so.1.20.1", "libsome.so.old", "libother.so"] {
            copy(second.join(name));
        }
        assert_eq!(found().unwrap(), second.join("libsome.so.1.20.1").canonicalize().unwrap());

        let nowhere = search(&LIBRARY, &[first.clone(), second]).unwrap_err().to_string();
        assert!(nowhere.starts_with(
            "Some Library was not found: pip install some, or give its file with --some_library; "
        ));
        assert!(nowhere.contains("libsome.so is none: it is no shared library"), "{nowhere}");
    }
}
