//! The body of a request: of a Predict → typed tensors, row or columnar; of a
//! Classify or Regress → examples.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;

use super::examples;
use super::json::{Cursor, Kind, Scanned, print, scan};
use super::values::{Filling, is_base64};
use crate::dataplane::Examples;
use crate::error::{Code, ServingError};
use crate::limits::REQUEST_INPUTS_MAX;
use crate::servable::{Signature, TensorSpec};
use crate::tensor::NamedTensors;

/// How the request's tensors were laid out, and so the answer's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// `instances`: one entry per row.
    Row,
    /// `inputs`: one entry per tensor.
    Columnar,
}

/// A request that is JSON, before its model is known.
#[derive(Debug)]
pub(super) struct Request {
    text: Scanned,
    /// `signature_name`; empty when there is none.
    pub(super) signature: String,
}

fn invalid(text: impl Into<String>) -> ServingError {
    ServingError::invalid_argument(text.into())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The members that a request may have; [`Scanned::member`] counts along.
const MEMBERS: [&str; 6] = ["signature_name", "output_filter", "instances", "inputs", "context", "examples"];
const SIGNATURE_NAME: usize = 0;
const OUTPUT_FILTER: usize = 1;
const INSTANCES: usize = 2;
const INPUTS: usize = 3;
const CONTEXT: usize = 4;
const EXAMPLES: usize = 5;

impl Request {
    /// Reads what is neither tensor nor example.
    ///
    /// # Errors
    /// INVALID_ARGUMENT for what is no JSON object, and for a `signature_name` of
    /// another type.
    pub(super) fn parse(body: Bytes) -> Result<Self, ServingError> {
        if body.is_empty() {
            return Err(invalid("JSON Parse error: The document is empty"));
        }
        let text = scan(body, &MEMBERS).map_err(|why| invalid(format!("JSON Parse error: {why}")))?;
        let all = text.cursor();
        if all.kind() != Kind::Object {
            return Err(invalid(format!("JSON Value: {} Is not object", print(all))));
        }
        let signature = match text.member(SIGNATURE_NAME) {
            None => String::new(),
            Some(mut name) => match name.string() {
                Some(name) => self::text(&name),
                None => {
                    return Err(invalid(format!(
                        "JSON Value: {} not formatted correctly. 'signature_name' key must be a string value.",
                        print(all)
                    )));
                }
            },
        };
        Ok(Self { text, signature })
    }

    /// `output_filter`: the outputs that are wanted, all when there is none.
    ///
    /// # Errors
    /// INVALID_ARGUMENT when it is no list of strings.
    pub(super) fn outputs_wanted(&self) -> Result<Vec<String>, ServingError> {
        let Some(names) = self.text.member(OUTPUT_FILTER) else { return Ok(Vec::new()) };
        output_filter(names).ok_or_else(|| {
            self.wrong("not formatted correctly. 'output_filter' key must be a list of strings.")
        })
    }

    /// The whole body, and what is wrong with it.
    fn wrong(&self, why: &str) -> ServingError {
        invalid(format!("JSON Value: {} {why}", print(self.text.cursor())))
    }

    /// Whether it is about examples, and not tensors.
    pub(super) fn has_examples(&self) -> bool {
        self.text.member(EXAMPLES).is_some()
    }

    /// Reads the examples of a Classify or Regress.
    ///
    /// # Errors
    /// INVALID_ARGUMENT as the reference words it (which says "classify" of both).
    pub(super) fn examples(&self) -> Result<Examples, ServingError> {
        let context = match self.text.member(CONTEXT) {
            None => Bytes::new(),
            Some(mut context) => examples::example(&mut context)?,
        };
        let Some(mut list) = self.text.member(EXAMPLES) else {
            return Err(self.wrong("When method is classify, key 'examples' is expected and was not found"));
        };
        if list.kind() != Kind::List {
            return Err(self.wrong("Expecting 'examples' value to be an list/array"));
        }
        if list.size() == 0 {
            return Err(self.wrong("'examples' value is an empty array"));
        }
        let examples = (0..list.enter()).map(|_| examples::example(&mut list)).collect::<Result<_, _>>()?;
        Ok(Examples { examples, context })
    }

    /// Reads the tensors, as the signature wants them.
    ///
    /// # Errors
    /// INVALID_ARGUMENT as the reference words it, and UNIMPLEMENTED for a dtype
    /// that JSON does not hold.
    pub(super) fn tensors(&self, signature: &Signature) -> Result<(Format, NamedTensors), ServingError> {
        let specs = &signature.inputs;
        if specs.is_empty() {
            let name = if self.signature.is_empty() { "DEFAULT" } else { &self.signature };
            return Err(invalid(format!("Failed to get input map for signature: {name}")));
        }
        let wrong = |why: &str| Err(self.wrong(why));
        match (self.text.member(INSTANCES), self.text.member(INPUTS)) {
            (Some(_), Some(_)) => {
                wrong("Not formatted correctly expecting only one of 'inputs' or 'instances' keys to exist ")
            }
            (Some(rows), None) if rows.kind() != Kind::List => {
                wrong("Expecting 'instances' to be an list/array")
            }
            (Some(rows), None) if rows.size() == 0 => wrong("No values in 'instances' array"),
            (Some(rows), None) => Ok((Format::Row, instances(rows, specs)?)),
            (None, Some(inputs)) => Ok((Format::Columnar, columns(inputs, specs)?)),
            (None, None) => Err(invalid("Missing 'inputs' or 'instances' key")),
        }
    }
}

fn output_filter(mut names: Cursor<'_>) -> Option<Vec<String>> {
    if names.kind() != Kind::List || names.size() > REQUEST_INPUTS_MAX {
        return None;
    }
    (0..names.enter()).map(|_| names.string().map(|name| text(&name))).collect()
}

/// Where the input of this name stands. Callers mostly keep an order, so the
/// search begins where the last one ended.
fn position(specs: &[TensorSpec], name: &[u8], last: usize) -> Option<usize> {
    let (before, after) = specs.split_at(last.min(specs.len()));
    let is = |spec: &TensorSpec| spec.name.as_bytes() == name;
    after.iter().position(is).map(|i| i + before.len()).or_else(|| before.iter().position(is))
}

fn instances(mut rows: Cursor<'_>, specs: &[TensorSpec]) -> Result<NamedTensors, ServingError> {
    let is_object = |row: &Cursor<'_>| row.kind() == Kind::Object && !is_base64(row);
    let count = rows.enter();
    let objects = is_object(&rows);
    if !objects && specs.len() > 1 {
        return Err(invalid(
            "instances is a plain list, but expecting list of objects as multiple input tensors required as per \
             tensorinfo_map",
        ));
    }
    let mut fillings: Vec<Filling> = specs.iter().map(|spec| Filling::new(spec.dtype)).collect();
    for i in 0..count {
        match (objects, is_object(&rows)) {
            (true, false) => {
                return Err(invalid(format!("Expecting object but got list at item {i} of input list")));
            }
            (false, true) => {
                return Err(invalid(format!(
                    "Expecting value/list but got object at item {i} of input list"
                )));
            }
            (true, true) => instance(&mut rows, i, count, specs, &mut fillings)?,
            (false, false) => fillings[0].add(&mut rows, count - i - 1).map_err(|why| {
                let why = with_code(&why);
                invalid(format!("Failed to process element: {i} of 'instances' list. Error: {why}"))
            })?,
        }
    }
    finish(specs, fillings, true)
}

/// One element in object form: exactly the signature's inputs.
fn instance(
    rows: &mut Cursor<'_>,
    i: usize,
    count: usize,
    specs: &[TensorSpec],
    fillings: &mut [Filling],
) -> Result<(), ServingError> {
    let whole = rows.clone();
    let mut last = 0;
    for _ in 0..rows.enter() {
        let key = rows.string().unwrap_or_default();
        let at = position(specs, &key, last);
        let added = match at {
            // A name for the second time: the first counts.
            Some(at) if fillings[at].count() > i => {
                rows.skip();
                Ok(())
            }
            Some(at) => fillings[at].add(rows, count - i - 1),
            None => Err(invalid(format!("JSON object: does not have named input: {}", text(&key)))),
        };
        added.map_err(|why| {
            let (key, why) = (text(&key), with_code(&why));
            invalid(format!("Failed to process element: {i} key: {key} of 'instances' list. Error: {why}"))
        })?;
        last = at.map_or(0, |at| at + 1);
    }
    rows.leave();
    if fillings.iter().any(|filling| filling.count() != i + 1) {
        let names: BTreeSet<&str> = specs.iter().map(|spec| &*spec.name).collect();
        return Err(invalid(format!(
            "Failed to process element: {i} of 'instances' list. JSON object: {} keys must be equal to: {}",
            print(whole),
            names.into_iter().collect::<Vec<_>>().join(",")
        )));
    }
    Ok(())
}

fn columns(mut inputs: Cursor<'_>, specs: &[TensorSpec]) -> Result<NamedTensors, ServingError> {
    let mut fillings: Vec<Filling> = specs.iter().map(|spec| Filling::new(spec.dtype)).collect();
    if inputs.kind() != Kind::Object || is_base64(&inputs) {
        if specs.len() > 1 {
            return Err(invalid(
                "inputs is a plain value/list, but expecting an object as multiple input tensors required as per \
                 tensorinfo_map",
            ));
        }
        fillings[0].add(&mut inputs, 0)?;
        return finish(specs, fillings, false);
    }
    let mut last = 0;
    for _ in 0..inputs.enter() {
        let key = inputs.string().unwrap_or_default();
        match position(specs, &key, last) {
            Some(at) if fillings[at].count() == 0 => {
                fillings[at].add(&mut inputs, 0)?;
                last = at + 1;
            }
            // Not the signature's, or there already.
            _ => inputs.skip(),
        }
    }
    if let Some(missing) = fillings.iter().position(|filling| filling.count() == 0) {
        let alias = &specs[missing].name;
        return Err(invalid(format!("Missing named input: {alias} in 'inputs' object.")));
    }
    finish(specs, fillings, false)
}

fn finish(specs: &[TensorSpec], fillings: Vec<Filling>, batch: bool) -> Result<NamedTensors, ServingError> {
    let tensors = specs.iter().zip(fillings);
    tensors.map(|(spec, filling)| Ok((Arc::clone(&spec.name), filling.finish(batch)?))).collect()
}

/// `INVALID_ARGUMENT: message`, as a status prints itself.
fn with_code(error: &ServingError) -> String {
    let code: Code = error.code();
    format!("{}: {}", code.name(), error.message())
}

#[cfg(test)]
mod tests;
