//! `FeatureUnion`: transformers that are given the same samples, their columns side by side.

use super::frames::{join, join_sparse, weighted};
use super::{Slot, common, handed_on, named, shown, slot, weight};
use crate::engines::sklearn::samples::{Frame, Samples};
use crate::engines::sklearn::state::Part;
use crate::engines::sklearn::{Check, Estimator, Facts, Method, ModelError, Spec, ask_frame, bounded};
use crate::servable::RunError;
use crate::tensor::{DType, Tensor};

#[derive(Debug)]
struct Union {
    facts: Facts,
    members: Vec<Member>,
    width: usize,
}

#[derive(Debug)]
struct Member {
    /// `None` passes the samples on.
    transformer: Option<Box<dyn Estimator>>,
    weight: Option<f64>,
}

/// Source: `sklearn.pipeline.FeatureUnion`.
pub(super) fn build(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    const NAME: &str = "transformer_list";
    let mut members = Vec::new();
    for (i, (name, [value])) in named::<1>(part, NAME, "(name, transformer)")?.into_iter().enumerate() {
        // It was a way to say `drop` until 0.24.
        if value.is_none() {
            continue;
        }
        let transformer = match slot(part, value, &format!("{NAME}[{i}] ('{}')", shown(&name)), None)? {
            Slot::Drop => continue,
            Slot::Pass => None,
            Slot::Is(transformer) => Some(transformer),
        };
        members.push(Member { transformer, weight: weight(part, &name)? });
    }
    let transformers = || members.iter().filter_map(|member| member.transformer.as_deref());
    let all = common(part, NAME, transformers())?;
    let mut width = 0usize;
    let mut text = false;
    for member in &members {
        let of_member = match &member.transformer {
            Some(transformer) => {
                let dtype = transformer.facts().spec(Method::Transform).map(|spec| spec.dtype);
                text |= dtype == Some(DType::String);
                handed_on(part, NAME, &**transformer)?
            }
            None => all.n_features,
        };
        width = width.saturating_add(of_member);
    }
    let dtype = if text { DType::String } else { DType::Double };
    let methods = vec![Spec::new(Method::Transform, dtype, Some(width))];
    let facts = all.facts(part, Check::Within, methods);
    Ok(Box::new(Union { facts, members, width }))
}

impl Estimator for Union {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn compute_samples(
        &self,
        x: Samples<'_>,
        wanted: &[Method],
        answers: &mut Vec<Tensor>,
    ) -> Result<(), RunError> {
        for _ in wanted {
            answers.push(self.transform(x)?.into_tensor(self.facts.class)?);
        }
        Ok(())
    }

    fn transform(&self, x: Samples<'_>) -> Result<Frame, RunError> {
        let class = self.facts.class;
        let passed = self.members.iter().filter(|member| member.transformer.is_none()).count();
        bounded(class, x.rows(), x.width().saturating_mul(passed))?;
        let mut frames = Vec::with_capacity(self.members.len());
        for member in &self.members {
            let frame = match &member.transformer {
                Some(transformer) => ask_frame(&**transformer, x)?,
                None => x.to_frame(),
            };
            frames.push(weighted(class, frame, member.weight)?);
        }
        if frames.iter().any(|frame| matches!(frame, Frame::Sparse(_))) {
            return join_sparse(class, x.rows(), self.width, frames);
        }
        join(class, x.rows(), self.width, frames)
    }
}
