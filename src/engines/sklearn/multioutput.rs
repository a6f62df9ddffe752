//! Several outputs: an estimator for each, side by side or each after the others.

use ndarray::{Array2, ArrayView2, s};

use super::compose::members::{Members, members, reals, shared};
use super::registry::Row;
use super::samples::Samples;
use super::state::Part;
use super::{Check, Estimator, Facts, Gives, Method, ModelError, Spec, answer, ask_one, bounded, numbers};
use crate::servable::RunError;
use crate::tensor::{DType, Elements, Tensor};

const MODULE: &str = "sklearn.multioutput";
const NAME: &str = "estimators_";

/// The classes that are built here.
pub(super) const ROWS: &[Row] = &[
    Row::new(MODULE, "ClassifierChain", &[], build_classifier_chain),
    Row::new(MODULE, "MultiOutputClassifier", &[], build_classifier),
    Row::new(MODULE, "MultiOutputRegressor", &[], build_regressor),
    Row::new(MODULE, "RegressorChain", &[], build_regressor_chain),
];

/// An estimator for each output.
#[derive(Debug)]
struct Several {
    facts: Facts,
    members: Members,
}

/// Source: `sklearn.multioutput.MultiOutputRegressor`.
fn build_regressor(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    build(part, false)
}

/// Source: `sklearn.multioutput.MultiOutputClassifier`.
fn build_classifier(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    build(part, true)
}

fn build(part: &Part<'_>, classifies: bool) -> Result<Box<dyn Estimator>, ModelError> {
    let members = members(part, NAME)?;
    let all = shared(part, NAME, &members)?;
    let first = members[0].facts().spec(Method::Predict).map(|spec| spec.dtype);
    let alike = |member: &dyn Estimator| {
        member
            .facts()
            .spec(Method::Predict)
            .is_some_and(|spec| spec.gives == Gives::One && Some(spec.dtype) == first)
    };
    let Some(dtype) = first.filter(|_| members.iter().all(|member| alike(&**member))) else {
        return Err(part.refuse(NAME, "has estimators that do not all predict one value of one kind"));
    };
    let mut methods = vec![Spec::new(Method::Predict, dtype, Some(members.len()))];
    let shares: Vec<Option<Spec>> =
        members.iter().map(|member| member.facts().spec(Method::PredictProba).copied()).collect();
    if classifies && shares.iter().all(Option::is_some) {
        let each = (0..=u16::MAX).zip(shares.into_iter().flatten());
        methods.extend(each.map(|(i, spec)| Spec { method: Method::PredictProbaOf(i), ..spec }));
    }
    let facts = all.facts(part, Check::Within, methods);
    Ok(Box::new(Several { facts, members }))
}

/// One value a row from each, row by row; all of them are of one kind.
fn interleave(said: &[Tensor], rows: usize) -> Result<Elements, RunError> {
    let mixed = || RunError::Internal("members predict values of several kinds".to_owned());
    macro_rules! of {
        ($($kind:ident),*) => {
            match said.first().map(Tensor::elements) {
                $(Some(Elements::$kind(_)) => {
                    let mut all = Vec::with_capacity(rows * said.len());
                    for i in 0..rows {
                        for one in said {
                            let Elements::$kind(values) = one.elements() else { return Err(mixed()) };
                            all.push(values[i].clone());
                        }
                    }
                    Ok(Elements::$kind(all.into()))
                })*
                _ => Err(mixed()),
            }
        };
    }
    of!(F64, I64, Bool, Strings)
}

impl Estimator for Several {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn compute_samples(
        &self,
        x: Samples<'_>,
        wanted: &[Method],
        answers: &mut Vec<Tensor>,
    ) -> Result<(), RunError> {
        bounded(self.facts.class, x.rows(), self.members.len())?;
        for &method in wanted {
            if let Method::PredictProbaOf(i) = method {
                answers.push(ask_one(&*self.members[usize::from(i)], x, Method::PredictProba)?);
                continue;
            }
            let said: Result<Vec<Tensor>, RunError> =
                self.members.iter().map(|member| ask_one(&**member, x, Method::Predict)).collect();
            let elements = interleave(&said?, x.rows())?;
            answers.push(answer(x.rows(), self.facts.gives(method), elements)?);
        }
        Ok(())
    }
}

/// Estimators each of which is given what those before it have said.
#[derive(Debug)]
struct Chain {
    facts: Facts,
    members: Members,
    /// Which output each of them is for.
    order: Vec<usize>,
    /// What they hand on to the next.
    hands_on: Method,
}

/// Source: `sklearn.multioutput.RegressorChain`.
fn build_regressor_chain(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    build_chain(part, false)
}

/// Source: `sklearn.multioutput.ClassifierChain`.
fn build_classifier_chain(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    build_chain(part, true)
}

fn build_chain(part: &Part<'_>, classifies: bool) -> Result<Box<dyn Estimator>, ModelError> {
    const ORDER: &str = "order_";
    let members = members(part, NAME)?;
    let order = part.fitted(ORDER)?;
    let order = match order.array() {
        Some(_) => part.indices_of(ORDER, order)?,
        None => {
            let places = part.list(ORDER)?.into_iter().map(|at| usize::try_from(at.as_i64()?).ok());
            let places: Option<Vec<usize>> = places.collect();
            places.ok_or_else(|| part.unexpected(ORDER, order, "a list of places"))?
        }
    };
    let mut sorted = order.clone();
    sorted.sort_unstable();
    if !sorted.iter().copied().eq(0..members.len()) {
        let why = format!("is no order of {} outputs", members.len());
        return Err(part.refuse(ORDER, why));
    }
    let n_features = part.n_features(members[0].facts().n_features, NAME)?;
    // Since 1.5 a classifier's chain may hand on something else than predictions.
    let hands_on = match part.one_of(
        "chain_method_",
        "predict",
        &["predict", "predict_proba", "predict_log_proba", "decision_function"],
    )? {
        "predict_proba" => Method::PredictProba,
        "predict_log_proba" => Method::PredictLogProba,
        "decision_function" => Method::DecisionFunction,
        _ => Method::Predict,
    };
    let tells = |member: &dyn Estimator, method| {
        member.facts().spec(method).is_some_and(|spec| match method {
            Method::Predict => spec.gives == Gives::One && spec.dtype != DType::String,
            Method::DecisionFunction => spec.gives == Gives::One,
            _ => spec.gives == Gives::Columns(2),
        })
    };
    for (i, member) in members.iter().enumerate() {
        let facts = member.facts();
        let fits = Some(facts.n_features) == n_features.checked_add(i)
            && tells(&**member, hands_on)
            && tells(&**member, Method::Predict);
        if !fits {
            let why = format!(
                "has a {} of {} features at [{i}]; expected one that gives one number for {n_features} features \
                 and what {i} others said",
                facts.class, facts.n_features
            );
            return Err(part.refuse(NAME, why));
        }
    }
    let count = members.len();
    let all = |method| members.iter().all(|member| tells(&**member, method));
    let mut methods = vec![Spec::new(Method::Predict, DType::Double, Some(count))];
    if classifies && all(Method::PredictProba) {
        methods.push(Spec::new(Method::PredictProba, DType::Double, Some(count)));
        if part.version() >= (1, 4) {
            methods.push(Spec::new(Method::PredictLogProba, DType::Double, Some(count)));
        }
    }
    if classifies && all(Method::DecisionFunction) {
        methods.push(Spec::new(Method::DecisionFunction, DType::Double, Some(count)));
    }
    let facts = Facts::new(part, n_features, Check::Finite, methods)?;
    Ok(Box::new(Chain { facts, members, order, hands_on }))
}

impl Chain {
    /// One number a row; of two probabilities, the second.
    fn say(&self, i: usize, x: ArrayView2<'_, f64>, method: Method) -> Result<Vec<f64>, RunError> {
        let said = ask_one(&*self.members[i], x, method)?;
        match method {
            Method::PredictProba | Method::PredictLogProba => {
                Ok(numbers(&said)?.iter().skip(1).step_by(2).copied().collect())
            }
            _ => reals(&said),
        }
    }

    /// What all say by a method: `[rows, outputs]`, in the order of the outputs.
    fn run(&self, x: ArrayView2<'_, f64>, method: Method) -> Result<Vec<f64>, RunError> {
        let (rows, width, count) = (x.nrows(), x.ncols(), self.members.len());
        let mut outputs = vec![0.0; rows * count];
        let mut before: Vec<Vec<f64>> = Vec::with_capacity(count);
        for i in 0..count {
            let mut given = Array2::zeros((rows, width + i));
            given.slice_mut(s![.., ..width]).assign(&x);
            for (j, said) in before.iter().enumerate() {
                given.column_mut(width + j).iter_mut().zip(said).for_each(|(to, &value)| *to = value);
            }
            let handed_on = self.say(i, given.view(), self.hands_on)?;
            let said =
                if method == self.hands_on { handed_on.clone() } else { self.say(i, given.view(), method)? };
            for (row, value) in said.into_iter().enumerate() {
                outputs[row * count + self.order[i]] = value;
            }
            before.push(handed_on);
        }
        Ok(outputs)
    }
}

impl Estimator for Chain {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn compute(
        &self,
        x: ArrayView2<'_, f64>,
        wanted: &[Method],
        answers: &mut Vec<Tensor>,
    ) -> Result<(), RunError> {
        let width = x.ncols().saturating_add(self.members.len());
        bounded(self.facts.class, x.nrows(), width)?;
        for &method in wanted {
            let values = match method {
                Method::PredictLogProba => {
                    self.run(x, Method::PredictProba)?.into_iter().map(f64::ln).collect()
                }
                method => self.run(x, method)?,
            };
            answers.push(answer(x.nrows(), self.facts.gives(method), values.into())?);
        }
        Ok(())
    }
}
