//! What the fuzz targets of the formats do with their bytes. `cargo test` replays
//! the corpus through the same functions.

use std::collections::HashSet;

use longshore::formats::pickle::{Array, Document, Ref, View, load};

/// Reads `data` as a pickle, and looks at everything in it from every side.
pub(crate) fn pickle(data: &[u8]) {
    if let Ok(document) = load(data.to_vec()) {
        walk(&document);
    }
}

/// Reads `data` as a pickle in one of joblib's compressions: the first byte
/// chooses which, the rest follows the magic bytes. What fits none is left to
/// [`pickle`].
pub(crate) fn joblib_container(data: &[u8]) {
    const MAGIC: [&[u8]; 6] = [
        &[0x78, 0x9c],
        &[0x1f, 0x8b, 8],
        b"BZh9",
        &[0x5d, 0, 0],
        &[0xfd, b'7', b'z', b'X', b'Z', 0],
        &[0x04, 0x22, 0x4d, 0x18],
    ];
    let Some((&choice, rest)) = data.split_first() else { return };
    match MAGIC.get(usize::from(choice)) {
        Some(magic) => pickle(&[magic, rest].concat()),
        None => pickle(data),
    }
}

/// Visits every value once, through every conversion.
pub(crate) fn walk(document: &Document) {
    // Arrays can share their bytes, so that their elements can outnumber the file.
    let mut elements_left: usize = 1 << 20;
    let mut seen = HashSet::new();
    let mut open = vec![document.root()];
    while let Some(value) = open.pop() {
        if !seen.insert(value.id()) {
            continue;
        }
        look(value);
        match value.view() {
            View::List(items) | View::Tuple(items) | View::Set(items) => open.extend(items),
            View::Dict(entries) => open.extend(entries.flat_map(|(key, value)| [key, value])),
            View::Object(object) => {
                let _ = (object.attr("me"), object.attrs().count(), object.class().to_string());
                open.extend(object.args());
                open.extend(object.items());
                open.extend(object.entries().flat_map(|(key, value)| [key, value]));
                open.extend(object.state());
                open.extend(object.kwargs());
            }
            View::Array(array) => {
                convert(array, document, &mut elements_left);
                for field in array.dtype().fields() {
                    let field = array.field(field.name());
                    if let Some(field) = field {
                        convert(&field, document, &mut elements_left);
                    }
                }
                open.extend(array.objects(document).into_iter().flatten());
            }
            _ => {}
        }
    }
}

fn look(value: Ref<'_>) {
    let told = value.describe();
    assert!(told.len() < 20_000 && !told.contains(char::is_control), "{told:?}");
    let _ =
        (value.as_bool(), value.as_i64(), value.as_f64(), value.as_str(), value.to_str(), value.as_bytes());
    let _ =
        (value.items().map(|i| i.len()), value.elements().map(|i| i.len()), value.get("x"), value.dtype());
}

fn convert(array: &Array, document: &Document, elements_left: &mut usize) {
    if array.len() > *elements_left {
        return;
    }
    *elements_left -= array.len();
    for len in [
        array.to_f64().map(|values| values.len()),
        array.to_i64().map(|values| values.len()),
        array.to_bools().map(|values| values.len()),
        array.to_strings(document).map(|values| values.len()),
        Ok(array.objects(document).map_or(array.len(), |items| items.len())),
        Ok(array.as_f64_slice().map_or(array.len(), <[f64]>::len)),
    ]
    .into_iter()
    .flatten()
    {
        assert_eq!(len, array.len());
    }
    let bytes = array.len() * array.dtype().itemsize();
    assert!(array.as_bytes().is_none_or(|all| all.len() == bytes));
}
