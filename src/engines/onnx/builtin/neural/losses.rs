//! Losses: how far predictions are from the classes that were meant.

use std::borrow::Cow;

use super::super::numbers::doubles;
use super::super::op::{Built, Inputs, Node, Outputs, op};
use super::super::registry::{Row, row};
use super::reals::tensor;
use crate::tensor::Tensor;

pub(super) const ROWS: &[Row] = &[
    row("NegativeLogLikelihoodLoss", 12, |node| loss(node, false)),
    row("SoftmaxCrossEntropyLoss", 12, |node| loss(node, true)),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reduction {
    None,
    Sum,
    Mean,
}

/// With scores, they become the logarithms of probabilities first.
fn loss(node: &mut Node<'_>, of_scores: bool) -> Built {
    let reduction = match node.attributes.text("reduction")?.unwrap_or("mean") {
        "none" => Reduction::None,
        "sum" => Reduction::Sum,
        "mean" => Reduction::Mean,
        other => return Err(format!("reduction is {other:?}; expected none, sum or mean")),
    };
    let ignored = node.attributes.int("ignore_index")?;
    let with_logs = node.has_output(1);
    op(move |inputs| run(&inputs, of_scores, reduction, ignored, with_logs))
}

fn run(
    inputs: &Inputs<'_>,
    of_scores: bool,
    reduction: Reduction,
    ignored: Option<i64>,
    with_logs: bool,
) -> Result<Outputs, String> {
    let (x, target) = (inputs.tensor(0)?, inputs.tensor(1)?);
    let dims = x.shape();
    let fits = dims.rank() >= 2
        && target.shape().rank() == dims.rank() - 1
        && target.shape()[0] == dims[0]
        && target.shape()[1..] == dims[2..];
    if !fits {
        return Err(format!("scores of shape {dims} and classes of {}", target.shape()));
    }
    let (classes, area): (usize, usize) = (dims[1], dims[2..].iter().product());
    let mut values = doubles(x.elements())?;
    if of_scores {
        values = Cow::Owned(log_softmax(&values, classes, area));
    }
    let weights = inputs.optional(2)?.map(|weights| doubles(weights.elements())).transpose()?;
    if weights.as_ref().is_some_and(|weights| weights.len() != classes) {
        return Err(format!("the weights are not one for each of {classes} classes"));
    }
    let targets = super::super::op::ints(target).map_err(|error| format!("the classes: {error}"))?;
    let (mut losses, mut weighed) = (Vec::with_capacity(targets.len()), 0.0);
    for (at, &class) in targets.iter().enumerate() {
        if Some(class) == ignored {
            losses.push(0.0);
            continue;
        }
        let class = usize::try_from(class).ok().filter(|&class| class < classes);
        let class = class.ok_or_else(|| format!("class {} of {classes}", targets[at]))?;
        let weight = weights.as_ref().map_or(1.0, |weights| weights[class]);
        let (stack, place) = (at / area, at % area);
        losses.push(-values[(stack * classes + class) * area + place] * weight);
        weighed += weight;
    }
    let sum: f64 = losses.iter().sum();
    let loss = match reduction {
        Reduction::None => tensor::<f64>(target.shape().iter().copied(), losses, x.dtype())?,
        Reduction::Sum => tensor::<f64>([], vec![sum], x.dtype())?,
        Reduction::Mean => tensor::<f64>([], vec![sum / weighed], x.dtype())?,
    };
    let mut made: Outputs = [loss.into()].into_iter().collect();
    if with_logs {
        let logs: Tensor = tensor::<f64>(dims.iter().copied(), values.into_owned(), x.dtype())?;
        made.push(logs.into());
    }
    Ok(made)
}

/// The logarithm of the softmax along dimension 1.
fn log_softmax(values: &[f64], classes: usize, area: usize) -> Vec<f64> {
    let mut made = values.to_vec();
    for block in made.chunks_mut((classes * area).max(1)) {
        for at in 0..area {
            let line = || block[at..].iter().step_by(area);
            let most = line().copied().fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = line().map(|value| (value - most).exp()).sum();
            let shift = most + sum.ln();
            block[at..].iter_mut().step_by(area).for_each(|value| *value -= shift);
        }
    }
    made
}
