//! XGBoost's and LightGBM's estimators, whose boosters lie in a pickle in the libraries'
//! own formats.
//!
//! Source: `xgboost.sklearn` of 1.0 to 3.4 and `lightgbm.sklearn` of 2.3 to 4.7.

use std::sync::Arc;

use ndarray::{Array2, ArrayView2};

use super::labels::Labels;
use super::math::argmax;
use super::registry::Row;
use super::samples::Samples;
use super::state::Part;
use super::{Check, Estimator, Facts, Gives, Input, Method, ModelError, Spec, answer, flat};
use crate::engines::boosted::{self, Booster as _};
use crate::engines::{lightgbm, xgboost};
use crate::servable::RunError;
use crate::tensor::{DType, Elements, Tensor};

const XGBOOST: &str = "xgboost";
const LIGHTGBM: &str = "lightgbm";
const WRAPPERS: &[&str] = &["sklearn"];

pub(super) const ROWS: &[Row] = &[
    Row::new(XGBOOST, "Booster", &["core"], build_xgboost_booster),
    Row::new(XGBOOST, "XGBClassifier", WRAPPERS, build_xgboost_classifier),
    Row::new(XGBOOST, "XGBRFClassifier", WRAPPERS, build_xgboost_classifier),
    Row::new(XGBOOST, "XGBRanker", WRAPPERS, build_xgboost),
    Row::new(XGBOOST, "XGBRegressor", WRAPPERS, build_xgboost),
    Row::new(XGBOOST, "XGBRFRegressor", WRAPPERS, build_xgboost),
    Row::new(LIGHTGBM, "Booster", &["basic"], build_lightgbm_booster),
    Row::new(LIGHTGBM, "LGBMClassifier", WRAPPERS, build_lightgbm_classifier),
    Row::new(LIGHTGBM, "LGBMRanker", WRAPPERS, build_lightgbm),
    Row::new(LIGHTGBM, "LGBMRegressor", WRAPPERS, build_lightgbm),
];

/// A booster of either library.
#[derive(Debug)]
enum Booster {
    Xgboost {
        booster: xgboost::Booster,
        /// What is missing beside NaN: the parameter `missing`.
        missing: Option<f32>,
    },
    Lightgbm(lightgbm::Booster),
}

/// What an estimator makes of its booster's predictions.
#[derive(Debug)]
enum Target {
    /// They are the answer.
    Numbers,
    /// Probabilities of the second class, or of each.
    Label(Arc<Labels>),
    /// Probabilities of several labels that a row may have at the same time.
    Several,
}

#[derive(Debug)]
struct Boosted {
    facts: Facts,
    booster: Booster,
    target: Target,
}

/// The name of the attribute with the booster.
const BOOSTER: &str = "_Booster";

fn open_xgboost(part: &Part<'_>, holder: &Part<'_>) -> Result<Booster, ModelError> {
    const HANDLE: &str = "handle";
    let handle = holder.fitted(HANDLE)?;
    let Some(bytes) = handle.as_bytes() else {
        return Err(holder.unexpected(HANDLE, handle, "the bytes of a model"));
    };
    holder.pay_for(HANDLE, bytes, bytes.len())?;
    // A wrapper predicts with the best iteration, a booster with all.
    let count = if part.class == "Booster" { xgboost::Count::All } else { xgboost::Count::Best };
    let booster = xgboost::Booster::read(bytes, count);
    let booster = booster.map_err(|error| holder.refuse(HANDLE, format!("holds no model: {error}")))?;
    #[allow(clippy::cast_possible_truncation, reason = "as the library does")]
    let missing = match part.attr("missing") {
        None => None,
        Some(value) => match value.as_f64() {
            Some(missing) if missing.is_nan() => None,
            Some(missing) => Some(missing as f32),
            None => return Err(part.unexpected("missing", value, "a number")),
        },
    };
    Ok(Booster::Xgboost { booster, missing })
}

fn open_lightgbm(holder: &Part<'_>) -> Result<Booster, ModelError> {
    // `handle` until 3.3.
    let handle = if holder.has("_handle") { "_handle" } else { "handle" };
    let value = holder.fitted(handle)?;
    let Some(text) = value.as_str() else {
        return Err(holder.unexpected(handle, value, "the text of a model"));
    };
    holder.pay_for(handle, text.as_bytes(), text.len())?;
    // Only a positive number is one.
    let best = holder.attr("best_iteration").and_then(|best| best.as_i64());
    let best = best.and_then(|best| usize::try_from(best).ok()).filter(|&best| best > 0);
    let booster = lightgbm::Booster::read(text.as_bytes(), best);
    booster.map(Booster::Lightgbm).map_err(|error| holder.refuse(handle, format!("holds no model: {error}")))
}

impl Booster {
    fn features(&self) -> usize {
        match self {
            Self::Xgboost { booster, .. } => booster.features(),
            Self::Lightgbm(booster) => booster.features(),
        }
    }

    /// The names of a data frame's columns. LightGBM has names for other data, too.
    fn feature_names(&self) -> Option<Vec<Arc<str>>> {
        match self {
            Self::Xgboost { booster, .. } => booster.feature_names().map(<[_]>::to_vec),
            Self::Lightgbm(booster) => booster
                .feature_names()
                .filter(|names| names.iter().enumerate().any(|(i, name)| **name != *format!("Column_{i}")))
                .map(<[_]>::to_vec),
        }
    }

    /// How many predictions a row has; `None` is one, without a dimension.
    fn columns(&self) -> Option<usize> {
        let specs = match self {
            Self::Xgboost { booster, .. } => booster.specs(),
            Self::Lightgbm(booster) => booster.specs(),
        };
        specs[0].dims.first().copied()
    }

    /// How many trees there are, where `apply` tells their leaves.
    fn trees(&self) -> Option<usize> {
        let Self::Xgboost { booster, .. } = self else { return None };
        let leaf = booster.specs().into_iter().find(|spec| spec.method == boosted::Method::Leaf);
        leaf.and_then(|spec| spec.dims.first().copied())
    }

    fn ask(&self, method: boosted::Method, x: &[f64], rows: usize) -> Result<Elements, RunError> {
        match self {
            Self::Xgboost { booster, missing } => {
                #[allow(clippy::cast_possible_truncation, reason = "as the library does")]
                let single = |&value: &f64| {
                    let value = value as f32;
                    if missing.is_some_and(|missing| missing == value) { f32::NAN } else { value }
                };
                let x: Vec<f32> = x.iter().map(single).collect();
                booster.compute(method, &x, rows)
            }
            Self::Lightgbm(booster) => booster.compute(method, x, rows),
        }
    }

    /// In double precision, whatever they were computed in.
    fn predict(&self, x: &[f64], rows: usize) -> Result<Vec<f64>, RunError> {
        match self.ask(boosted::Method::Predict, x, rows)? {
            Elements::F32(values) => Ok(values.iter().map(|&value| f64::from(value)).collect()),
            Elements::F64(values) => Ok(values.to_vec()),
            other => Err(RunError::Internal(format!("a booster answered {}", other.dtype()))),
        }
    }
}

/// An estimator whose booster's predictions are its own.
fn numbers(part: &Part<'_>, booster: Booster) -> Result<Box<dyn Estimator>, ModelError> {
    let mut methods = vec![Spec::new(Method::Predict, DType::Double, booster.columns())];
    methods.extend(apply(part, &booster));
    finish(part, booster, Target::Numbers, methods)
}

/// `apply` of XGBoost's wrappers.
fn apply(part: &Part<'_>, booster: &Booster) -> Option<Spec> {
    let trees = booster.trees().filter(|_| part.class != "Booster")?;
    Some(Spec::new(Method::Apply, DType::Int64, Gives::Columns(trees)))
}

/// One whose booster's predictions are probabilities; `labels` are those of its classes.
fn classifier(part: &Part<'_>, booster: Booster, labels: Labels) -> Result<Box<dyn Estimator>, ModelError> {
    let classes = labels.len();
    let (target, mut methods) = match booster.columns() {
        None if classes == 2 => (Target::Label(labels.into()), Vec::new()),
        Some(columns) if columns == classes => (Target::Label(labels.into()), Vec::new()),
        Some(columns) if classes == 2 && matches!(booster, Booster::Xgboost { .. }) => {
            let spec = |method, dtype| Spec::new(method, dtype, Gives::Columns(columns));
            (
                Target::Several,
                vec![spec(Method::Predict, DType::Int64), spec(Method::PredictProba, DType::Double)],
            )
        }
        columns => {
            let columns = columns.map_or("one number".to_owned(), |columns| format!("{columns} numbers"));
            return Err(part.refuse(BOOSTER, format!("predicts {columns} for {classes} classes")));
        }
    };
    if let Target::Label(labels) = &target {
        methods.push(Spec::new(Method::Predict, labels.dtype(), Gives::One));
        methods.push(Spec::new(Method::PredictProba, DType::Double, Gives::Columns(classes)));
    }
    methods.extend(apply(part, &booster));
    finish(part, booster, target, methods)
}

fn finish(
    part: &Part<'_>,
    booster: Booster,
    target: Target,
    methods: Vec<Spec>,
) -> Result<Box<dyn Estimator>, ModelError> {
    let labels = match &target {
        Target::Label(labels) => Some(Arc::clone(labels)),
        Target::Numbers | Target::Several => None,
    };
    let facts = Facts {
        class: part.class,
        n_features: booster.features(),
        input: Input::Matrix,
        feature_names: booster.feature_names(),
        labels,
        check: Check::Width,
        methods,
    };
    Ok(Box::new(Boosted { facts, booster, target }))
}

/// `Booster` of XGBoost.
fn build_xgboost_booster(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    numbers(part, open_xgboost(part, part)?)
}

/// `XGBRegressor`, `XGBRFRegressor` and `XGBRanker`.
fn build_xgboost(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    numbers(part, open_xgboost(part, &part.within(BOOSTER, &["xgboost.core"], "Booster")?)?)
}

/// `XGBClassifier` and `XGBRFClassifier`.
fn build_xgboost_classifier(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    const NAME: &str = "n_classes_";
    let booster = open_xgboost(part, &part.within(BOOSTER, &["xgboost.core"], "Booster")?)?;
    // Only the encoder of versions before 1.6 had other labels than the first integers.
    if part.attr("_le").is_some() {
        return classifier(part, booster, part.labels("classes_")?);
    }
    let value = part.fitted(NAME)?;
    // No more classes than numbers that are predicted, so that a count of them is no hoax.
    let classes_max = booster.columns().unwrap_or(2).max(2);
    let known = |&classes: &i64| classes >= 2 && usize::try_from(classes).is_ok_and(|n| n <= classes_max);
    let Some(classes) = value.as_i64().filter(known) else {
        return Err(part.unexpected(NAME, value, &format!("a number of classes, 2 to {classes_max}")));
    };
    classifier(part, booster, Labels::Ints((0..classes).collect()))
}

/// `Booster` of LightGBM.
fn build_lightgbm_booster(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    numbers(part, open_lightgbm(part)?)
}

/// `LGBMRegressor` and `LGBMRanker`.
fn build_lightgbm(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    numbers(part, open_lightgbm(&part.within(BOOSTER, &["lightgbm.basic"], "Booster")?)?)
}

/// `LGBMClassifier`.
fn build_lightgbm_classifier(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    const OBJECTIVE: &str = "_objective";
    if let Some(objective) = part.attr(OBJECTIVE).filter(|objective| objective.to_str().is_none()) {
        return Err(part.unexpected(OBJECTIVE, objective, "the name of one of LightGBM's objectives"));
    }
    let booster = open_lightgbm(&part.within(BOOSTER, &["lightgbm.basic"], "Booster")?)?;
    classifier(part, booster, part.labels("_classes")?)
}

impl Boosted {
    /// `[rows, classes]`: what is predicted of the second of two classes leaves the rest to
    /// the first, in the library's own precision.
    fn probabilities(&self, predicted: &[f64]) -> Vec<f64> {
        if self.booster.columns().is_some() {
            return predicted.to_vec();
        }
        #[allow(clippy::cast_possible_truncation, reason = "it was single")]
        let first = |second: f64| match self.booster {
            Booster::Xgboost { .. } => f64::from(1.0 - second as f32),
            Booster::Lightgbm(_) => 1.0 - second,
        };
        predicted.iter().flat_map(|&second| [first(second), second]).collect()
    }

    fn answer(&self, method: Method, predicted: &[f64]) -> Elements {
        match (method, &self.target) {
            (Method::Predict, Target::Label(labels)) => match (&self.booster, self.booster.columns()) {
                (Booster::Xgboost { .. }, None) => {
                    labels.take(predicted.iter().map(|&second| usize::from(second > 0.5)))
                }
                _ => labels.take(self.probabilities(predicted).chunks_exact(labels.len()).map(argmax)),
            },
            (Method::Predict, Target::Several) => {
                predicted.iter().map(|&share| i64::from(share > 0.5)).collect::<Vec<_>>().into()
            }
            (Method::PredictProba, Target::Label(_)) => self.probabilities(predicted).into(),
            _ => predicted.to_vec().into(),
        }
    }
}

impl Estimator for Boosted {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn compute(
        &self,
        x: ArrayView2<'_, f64>,
        wanted: &[Method],
        answers: &mut Vec<Tensor>,
    ) -> Result<(), RunError> {
        let (x, rows) = (flat(&x), x.nrows());
        let predicted = match wanted.iter().any(|&method| method != Method::Apply) {
            true => self.booster.predict(x, rows)?,
            false => Vec::new(),
        };
        for &method in wanted {
            let elements = match method {
                Method::Apply => match self.booster.ask(boosted::Method::Leaf, x, rows)? {
                    Elements::I32(leaves) => {
                        leaves.iter().map(|&leaf| i64::from(leaf)).collect::<Vec<_>>().into()
                    }
                    other => other,
                },
                method => self.answer(method, &predicted),
            };
            answers.push(answer(rows, self.facts.gives(method), elements)?);
        }
        Ok(())
    }

    /// What a sparse matrix does not have is missing to XGBoost, and 0 to LightGBM.
    fn compute_samples(
        &self,
        x: Samples<'_>,
        wanted: &[Method],
        answers: &mut Vec<Tensor>,
    ) -> Result<(), RunError> {
        let dense = match (x, &self.booster) {
            (Samples::Dense(x), _) => return self.compute(x, wanted, answers),
            (Samples::Sparse(sparse), Booster::Xgboost { .. }) => {
                super::bounded(self.facts.class, sparse.rows(), sparse.width())?;
                let mut dense = Array2::from_elem((sparse.rows(), sparse.width()), f64::NAN);
                for (i, mut row) in dense.rows_mut().into_iter().enumerate() {
                    let (columns, values) = sparse.row(i);
                    columns.iter().zip(values).for_each(|(&column, &value)| row[column as usize] = value);
                }
                dense
            }
            (x, _) => x.to_dense(self.facts.class)?,
        };
        self.compute(dense.view(), wanted, answers)
    }
}
