//! `ColumnTransformer`: each transformer is given columns of its own.

use super::frames::{join, join_sparse, pick, weighted};
use super::{Slot, handed_on, named, shown, slot, weight};
use crate::engines::sklearn::samples::{Column, Frame, Kind, Samples};
use crate::engines::sklearn::state::Part;
use crate::engines::sklearn::{Check, Estimator, Facts, Input, Method, ModelError, Spec, ask_frame};
use crate::formats::pickle::{DTypeKind, Ref};
use crate::servable::RunError;
use crate::tensor::{DType, Tensor};

#[derive(Debug)]
struct ColumnTransformer {
    facts: Facts,
    branches: Vec<Branch>,
    width: usize,
    /// Whether the columns come out sparse, as `fit` has found.
    sparse: bool,
}

#[derive(Debug)]
struct Branch {
    columns: Vec<usize>,
    /// `None` passes the columns on.
    transformer: Option<Box<dyn Estimator>>,
    weight: Option<f64>,
}

/// Source: `sklearn.compose.ColumnTransformer`. `transformers_` has what was made of
/// `remainder`, too; its layout is the same since 0.24, but for passed columns, which are
/// text until 1.3 and a `FunctionTransformer` since.
pub(super) fn build(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    const NAME: &str = "transformers_";
    let all = named::<2>(part, NAME, "(name, transformer, columns)")?;
    let n_features = part.n_features_in()?;
    let names = part.feature_names(n_features)?;
    let column_names: Vec<&str> = names.iter().flatten().map(|name| &**name).collect();
    let mut branches = Vec::with_capacity(all.len());
    let mut kinds = vec![Kind::Unused; n_features];
    let mut passed = Vec::new();
    let (mut width, mut text) = (0usize, false);
    for (i, (name, [value, columns])) in all.into_iter().enumerate() {
        let place = format!("{NAME}[{i}] ('{}')", shown(&name));
        if value.as_str() == Some("drop") {
            continue;
        }
        let (columns, alone) = selected(part, &name, columns, n_features, &column_names)?;
        // Places are held for each time that they are named.
        part.pay_again(NAME, columns.len().saturating_mul(16))?;
        // A transformer without columns was not fitted.
        if columns.is_empty() {
            continue;
        }
        let transformer = match slot(part, value, &place, Some(columns.len()))? {
            Slot::Drop => continue,
            Slot::Pass => None,
            Slot::Is(transformer) => Some(transformer),
        };
        match &transformer {
            None => {
                width = width.saturating_add(columns.len());
                passed.extend_from_slice(&columns);
            }
            Some(transformer) => {
                take(part, i, &**transformer, &columns, alone, &mut kinds)?;
                width = width.saturating_add(handed_on(part, NAME, &**transformer)?);
                let dtype = transformer.facts().spec(Method::Transform).map(|spec| spec.dtype);
                text |= dtype == Some(DType::String);
            }
        }
        branches.push(Branch { columns, transformer, weight: weight(part, &name)? });
    }
    // What is passed on is numbers, unless a transformer takes the same column as text.
    for &column in &passed {
        match kinds[column] {
            Kind::Texts => text = true,
            Kind::Numbers | Kind::Unused => kinds[column] = Kind::Numbers,
        }
    }
    let sparse = part.flag("sparse_output_", false)?;
    let dtype = if text && !sparse { DType::String } else { DType::Double };
    let methods = vec![Spec::new(Method::Transform, dtype, Some(width))];
    let facts = Facts::new(part, n_features, Check::Width, methods)?.taking(Input::of_kinds(kinds));
    Ok(Box::new(ColumnTransformer { facts, branches, width, sparse }))
}

/// Notes what kinds the columns of a transformer are; it must take so many.
fn take(
    part: &Part<'_>,
    i: usize,
    transformer: &dyn Estimator,
    columns: &[usize],
    alone: bool,
    kinds: &mut [Kind],
) -> Result<(), ModelError> {
    let Facts { class, n_features, input, .. } = transformer.facts();
    let refuse = |why: String| Err(part.refuse("transformers_", format!("has a {class} at [{i}] {why}")));
    if *n_features != columns.len() {
        return refuse(format!("that takes {n_features} features and is given {}", columns.len()));
    }
    let of_columns = match input {
        Input::Texts if alone => vec![Kind::Texts],
        Input::Texts => {
            return refuse("that takes texts; expected one column by its name, not a list".to_owned());
        }
        Input::Vector => vec![Kind::Numbers],
        Input::Matrix | Input::AnyWidth | Input::Table(_) => input.kinds(columns.len()).unwrap_or_default(),
    };
    for (&column, kind) in columns.iter().zip(of_columns) {
        // Text can be read as numbers, so that it wins where both are wanted.
        if kind == Kind::Texts || kinds[column] == Kind::Unused {
            kinds[column] = kind;
        }
    }
    Ok(())
}

/// The columns of a transformer, and whether it is given one column by itself, without
/// a second dimension. Since 1.0 `fit` notes their places; before, they are looked for.
fn selected<'a>(
    part: &Part<'a>,
    name: &str,
    columns: Ref<'a>,
    n_features: usize,
    names: &[&str],
) -> Result<(Vec<usize>, bool), ModelError> {
    const PLACES: &str = "_transformer_to_input_indices";
    let alone = columns.as_str().is_some() || (columns.as_i64().is_some() && columns.as_bool().is_none());
    let noted = part.attr(PLACES).and_then(|places| places.get(name));
    let (attribute, places) = match noted {
        Some(noted) => (PLACES, places(noted, n_features, names)),
        None => ("transformers_", places(columns, n_features, names)),
    };
    let places = places.ok_or_else(|| {
        let why = format!(
            "names the columns of '{}' by {}; expected names, places, a slice or a mask of {n_features} columns",
            shown(name),
            noted.unwrap_or(columns).describe()
        );
        part.refuse(attribute, why)
    })?;
    Ok((places, alone))
}

/// Source: `sklearn.utils._indexing._get_column_indices`.
fn places(columns: Ref<'_>, n_features: usize, names: &[&str]) -> Option<Vec<usize>> {
    if let Some(slice) = columns.object().filter(|object| object.class().name == "slice") {
        let bounds: Vec<Ref<'_>> = slice.args().collect();
        let &[start, stop, step] = &bounds[..] else { return None };
        return sliced(start, stop, step, n_features, names);
    }
    if let Some(array) = columns.array().filter(|array| array.shape().len() == 1) {
        return match array.dtype().kind() {
            DTypeKind::Bool => masked(&array.to_bools().ok()?, n_features),
            DTypeKind::Int | DTypeKind::UInt => {
                array.to_i64().ok()?.into_iter().map(|at| place(at, n_features)).collect()
            }
            DTypeKind::Object => each(columns.elements()?, n_features, names),
            _ => {
                let texts = array.to_strings(columns.document()).ok()?;
                texts.iter().map(|name| names.iter().position(|known| **known == **name)).collect()
            }
        };
    }
    match columns.items() {
        Some(items) => each(items, n_features, names),
        None => one(columns, n_features, names).map(|at| vec![at]),
    }
}

fn each<'a>(
    items: impl Iterator<Item = Ref<'a>> + Clone,
    n_features: usize,
    names: &[&str],
) -> Option<Vec<usize>> {
    let flags: Option<Vec<bool>> = items.clone().map(Ref::as_bool).collect();
    match flags {
        Some(flags) if !flags.is_empty() => masked(&flags, n_features),
        _ => items.map(|item| one(item, n_features, names)).collect(),
    }
}

fn masked(flags: &[bool], n_features: usize) -> Option<Vec<usize>> {
    let chosen = flags.iter().enumerate().filter(|(_, chosen)| **chosen).map(|(at, _)| at);
    (flags.len() == n_features).then(|| chosen.collect())
}

/// One column by its name or its place.
fn one(column: Ref<'_>, n_features: usize, names: &[&str]) -> Option<usize> {
    match column.to_str() {
        Some(name) => names.iter().position(|known| **known == *name),
        None => place(column.as_i64()?, n_features),
    }
}

/// A place, which is counted from the end when it is below 0.
fn place(at: i64, n_features: usize) -> Option<usize> {
    let at = if at < 0 { i64::try_from(n_features).ok()?.checked_add(at)? } else { at };
    usize::try_from(at).ok().filter(|&at| at < n_features)
}

/// A slice: of names it has its end, too.
fn sliced(
    start: Ref<'_>,
    stop: Ref<'_>,
    step: Ref<'_>,
    n_features: usize,
    names: &[&str],
) -> Option<Vec<usize>> {
    let step = if step.is_none() { 1 } else { usize::try_from(step.as_i64()?).ok().filter(|&n| n > 0)? };
    let clamp = |at: i64| {
        let n = i64::try_from(n_features).unwrap_or(i64::MAX);
        usize::try_from(if at < 0 { at.saturating_add(n) } else { at }.clamp(0, n)).ok()
    };
    let bound = |value: Ref<'_>, default: usize, beyond: usize| match value.to_str() {
        _ if value.is_none() => Some(default),
        Some(name) => Some(names.iter().position(|known| **known == *name)? + beyond),
        None => clamp(value.as_i64()?),
    };
    let (start, stop) = (bound(start, 0, 0)?, bound(stop, n_features, 1)?);
    Some((start..stop.max(start)).step_by(step).collect())
}

impl Branch {
    fn transform(&self, x: Samples<'_>) -> Result<Frame, RunError> {
        let Some(transformer) = &self.transformer else { return Ok(pick(x, &self.columns)) };
        let facts = transformer.facts();
        if facts.input == Input::Texts {
            let column = x.column(self.columns[0]);
            return match &*column {
                Column::Texts(texts) => ask_frame(&**transformer, Samples::Texts(texts)),
                Column::Numbers(_) => Err(RunError::InvalidInput(format!(
                    "column {} holds numbers; {} expects text",
                    self.columns[0], facts.class
                ))),
            };
        }
        if self.columns.len() == x.width() && self.columns.iter().enumerate().all(|(i, &at)| i == at) {
            return ask_frame(&**transformer, x);
        }
        ask_frame(&**transformer, pick(x, &self.columns).samples())
    }
}

impl Estimator for ColumnTransformer {
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
        let mut frames = Vec::with_capacity(self.branches.len());
        for branch in &self.branches {
            frames.push(weighted(class, branch.transform(x)?, branch.weight)?);
        }
        if self.sparse {
            return join_sparse(class, x.rows(), self.width, frames);
        }
        join(class, x.rows(), self.width, frames)
    }
}
