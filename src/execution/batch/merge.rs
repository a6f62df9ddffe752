//! Many inputs into one, one run, and one answer into many.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use smallvec::SmallVec;

use super::shapes::bytes_of;
use super::{BatchFailure, BatchOptions, Key, Part};
use crate::execution::lane::run_caught;
use crate::execution::{Lane, RunFailure};
use crate::limits;
use crate::servable::{Call, RunError};
use crate::telemetry::Batch;
use crate::tensor::{RowsError, Tensor, concat_rows, pad_rows, slice_rows, split_rows};

/// Runs the parts together; one answer for each, in their order. A part that is
/// alone, whole and not to be padded gives its inputs away.
pub(super) fn run(
    (signature, outputs): &Key,
    parts: &mut [Part],
    options: &BatchOptions,
) -> Result<Vec<Vec<Tensor>>, RunFailure> {
    let pieces: Vec<usize> = parts.iter().map(|part| part.rows.len()).collect();
    let rows = pieces.iter().sum();
    // A batch of no rows has none to fill it up with.
    let padded = if rows == 0 { 0 } else { options.padded(rows) };
    let inputs = match parts {
        [only] if padded == rows => given_away(only),
        _ => None,
    };
    let inputs = match inputs {
        Some(inputs) => inputs,
        None => (0..parts[0].source.inputs.len())
            .map(|input| merged(input, parts, padded - rows))
            .collect::<Result<_, _>>()?,
    };
    // Any of the handles will do: they are all of this version.
    let lane: &Lane = &parts[0].source.lane;
    lane.metrics().batch_ran(&Batch { requests: &pieces, inputs: inputs.len(), padded_rows: padded });
    let start = Instant::now();
    let answer = run_caught(lane.servable(), Call { signature: *signature, inputs, outputs })?;
    lane.record(padded, start.elapsed());
    parted(answer, &pieces, padded - rows)
}

fn given_away(part: &mut Part) -> Option<SmallVec<[Tensor; 2]>> {
    let Part { source, rows, .. } = part;
    let source = Arc::get_mut(source)?;
    let is_whole = source.inputs.iter().all(|input| input.shape().first() == Some(&rows.len()));
    is_whole.then(|| std::mem::take(&mut source.inputs))
}

/// One input of all parts, and then the first row of the last request as often as
/// it takes to fill the batch up.
fn merged(input: usize, parts: &[Part], fill: usize) -> Result<Tensor, RunFailure> {
    let misfit = |why: RowsError| RunFailure::from(RunError::Internal(format!("batching failed: {why}")));
    // Where they differ, padding is on, and they have one rank.
    let mut row_dims: SmallVec<[usize; 4]> = SmallVec::new();
    for part in parts {
        let dims = part.source.inputs[input].shape().get(1..).unwrap_or(&[]);
        row_dims.resize(row_dims.len().max(dims.len()), 0);
        row_dims.iter_mut().zip(dims).for_each(|(widest, &dim)| *widest = dim.max(*widest));
    }
    let mut joined = Vec::with_capacity(parts.len() + fill);
    for part in parts {
        joined.push(rows_of(&part.source.inputs[input], part.rows.clone(), &row_dims).map_err(misfit)?);
    }
    let last = parts.iter().rfind(|part| !part.rows.is_empty()).filter(|_| fill > 0);
    let filler = match last {
        None => None,
        Some(part) => {
            let whole = &part.source.inputs[input];
            let bytes = bytes_of(whole.dtype(), fill, &row_dims).unwrap_or(usize::MAX);
            let bytes_max = limits::BATCH_PADDED_BYTES_MAX;
            if bytes > bytes_max {
                return Err(BatchFailure::Padding { added: fill, bytes, bytes_max }.into());
            }
            let first = part.rows.start..part.rows.start + 1;
            Some(rows_of(whole, first, &row_dims).map_err(misfit)?)
        }
    };
    if let Some(row) = &filler {
        joined.extend(std::iter::repeat_n(row, fill).map(|row| Cow::Borrowed(&**row)));
    }
    concat_rows(&joined).map_err(misfit)
}

/// Some rows of a tensor, as wide as the batch; copied only where that takes it.
fn rows_of<'a>(
    whole: &'a Tensor,
    rows: Range<usize>,
    row_dims: &[usize],
) -> Result<Cow<'a, Tensor>, RowsError> {
    let is_whole = whole.shape().first() == Some(&rows.len());
    let cut = if is_whole { Cow::Borrowed(whole) } else { Cow::Owned(slice_rows(whole, rows)?) };
    if cut.shape().get(1..) == Some(row_dims) { Ok(cut) } else { pad_rows(&cut, row_dims).map(Cow::Owned) }
}

/// Parts each output among the requests; what came of the fill is dropped.
fn parted(answer: Vec<Tensor>, pieces: &[usize], fill: usize) -> Result<Vec<Vec<Tensor>>, RunFailure> {
    let filled: Vec<usize> = pieces.iter().copied().chain((fill > 0).then_some(fill)).collect();
    let rows: usize = filled.iter().sum();
    for output in &answer {
        let &own = output.shape().first().ok_or(BatchFailure::ScalarOutput)?;
        if own != rows {
            return Err(BatchFailure::OutputRows.into());
        }
    }
    if filled.len() == 1 {
        return Ok(vec![answer]);
    }
    let mut answers: Vec<Vec<Tensor>> = pieces.iter().map(|_| Vec::with_capacity(answer.len())).collect();
    for output in &answer {
        let split = split_rows(output, &filled).map_err(|_| BatchFailure::OutputRows)?;
        for (answer, output) in answers.iter_mut().zip(split) {
            answer.push(output);
        }
    }
    Ok(answers)
}
