//! Dummies: the same answer for every sample.

use ndarray::ArrayView2;

use super::labels::Labels;
use super::math::argmax;
use super::registry::Row;
use super::state::Part;
use super::{Check, Estimator, Facts, Method, ModelError, Spec, answer, bounded};
use crate::servable::RunError;
use crate::tensor::{DType, Elements, Tensor};

/// The classes that are built here.
pub(super) const ROWS: &[Row] = &[
    Row::new("sklearn.dummy", "DummyClassifier", &[], build_classifier),
    Row::new("sklearn.dummy", "DummyRegressor", &[], build_regressor),
];

#[derive(Debug)]
struct Classifier {
    facts: Facts,
    outputs: Vec<Labels>,
    /// The probability of each class of each output.
    shares: Vec<Vec<f64>>,
    /// The class that is predicted of each output.
    places: Vec<usize>,
}

#[derive(Debug)]
struct Regressor {
    facts: Facts,
    constant: Vec<f64>,
}

/// Source: `sklearn.dummy.DummyClassifier`. `stratified` and `uniform` answer at random.
pub(super) fn build_classifier(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    const CLASSES: &str = "classes_";
    const PRIOR: &str = "class_prior_";
    let value = part.fitted(CLASSES)?;
    let strategy =
        part.one_of("strategy", "prior", &["most_frequent", "prior", "constant", "stratified", "uniform"])?;
    if matches!(strategy, "stratified" | "uniform") {
        let why =
            format!("is '{strategy}', which answers at random; expected most_frequent, prior or constant");
        return Err(part.refuse("strategy", why));
    }
    let (outputs, priors) = if value.array().is_some() {
        (vec![part.labels(CLASSES)?], vec![part.finite_numbers(PRIOR)?.values])
    } else {
        let labels: Result<Vec<Labels>, _> =
            part.list(CLASSES)?.into_iter().map(|one| part.labels_of(CLASSES, one)).collect();
        let priors: Result<Vec<Vec<f64>>, _> =
            part.list(PRIOR)?.into_iter().map(|one| part.numbers_of(PRIOR, one)).collect();
        (labels?, priors?)
    };
    let fits = !outputs.is_empty()
        && outputs.len() == priors.len()
        && outputs
            .iter()
            .zip(&priors)
            .all(|(labels, prior)| labels.len() == prior.len() && !prior.is_empty())
        && outputs.iter().all(|labels| labels.dtype() == outputs[0].dtype());
    if !fits || u16::try_from(outputs.len()).is_err() {
        return Err(part.refuse(PRIOR, "has not one number for each label of classes_"));
    }
    let places = match strategy {
        "constant" => constants(part, &outputs)?,
        _ => priors.iter().map(|prior| argmax(prior)).collect(),
    };
    let shares = match strategy {
        "prior" => priors,
        _ => {
            let one_hot = |(labels, &place): (&Labels, &usize)| {
                (0..labels.len()).map(|i| f64::from(u8::from(i == place))).collect()
            };
            outputs.iter().zip(&places).map(one_hot).collect()
        }
    };
    let several = (outputs.len() > 1).then_some(outputs.len());
    let mut methods = vec![Spec::new(Method::Predict, outputs[0].dtype(), several)];
    for (i, labels) in (0..=u16::MAX).zip(&outputs) {
        let (share, log) = match several {
            None => (Method::PredictProba, Method::PredictLogProba),
            Some(_) => (Method::PredictProbaOf(i), Method::PredictLogProbaOf(i)),
        };
        methods.push(Spec::new(share, DType::Double, Some(labels.len())));
        methods.push(Spec::new(log, DType::Double, Some(labels.len())));
    }
    let labels = several.is_none().then(|| outputs[0].clone().into());
    let facts = Facts::of_any_width(part, Check::Width, methods)?.labelled(labels);
    Ok(Box::new(Classifier { facts, outputs, shares, places }))
}

/// The places of the labels that are always predicted.
fn constants(part: &Part<'_>, outputs: &[Labels]) -> Result<Vec<usize>, ModelError> {
    const NAME: &str = "constant";
    let value = part.fitted(NAME)?;
    let wrong = || part.unexpected(NAME, value, "a label of classes_ for each output");
    let elements: Vec<Elements> = match value.items() {
        Some(items) => items.map(|item| element(item, outputs)).collect::<Option<_>>().ok_or_else(wrong)?,
        None => match value.array().filter(|array| !array.shape().is_empty()) {
            Some(array) => {
                let flat = part.labels_of(NAME, value)?;
                (0..array.len()).map(|i| flat.take(std::iter::once(i))).collect()
            }
            None => vec![element(value, outputs).ok_or_else(wrong)?],
        },
    };
    if elements.len() != outputs.len() {
        return Err(wrong());
    }
    let places =
        outputs.iter().zip(&elements).map(|(labels, element)| labels.places(element).first().copied()?);
    places.collect::<Option<_>>().ok_or_else(wrong)
}

/// One label as the labels of the outputs are kept.
fn element(value: crate::formats::pickle::Ref<'_>, outputs: &[Labels]) -> Option<Elements> {
    Some(match outputs.first()? {
        Labels::Ints(_) => vec![value.as_i64()?].into(),
        Labels::Floats(_) => vec![value.as_f64()?].into(),
        Labels::Bools(_) => Elements::Bool(vec![u8::from(value.as_bool()?)].into()),
        Labels::Texts(_) => vec![bytes::Bytes::from(value.to_str()?.into_owned())].into(),
    })
}

/// Source: `sklearn.dummy.DummyRegressor`.
pub(super) fn build_regressor(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    let constant = part.finite_numbers("constant_")?.values;
    if constant.is_empty() {
        return Err(part.refuse("constant_", "has no numbers; expected one for each output"));
    }
    let several = (constant.len() > 1).then_some(constant.len());
    let methods = vec![Spec::new(Method::Predict, DType::Double, several)];
    let facts = Facts::of_any_width(part, Check::Width, methods)?;
    Ok(Box::new(Regressor { facts, constant }))
}

impl Estimator for Classifier {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn compute(
        &self,
        x: ArrayView2<'_, f64>,
        wanted: &[Method],
        answers: &mut Vec<Tensor>,
    ) -> Result<(), RunError> {
        let rows = x.nrows();
        for &method in wanted {
            let elements: Elements = match method {
                Method::PredictProba => self.shares[0].repeat(rows).into(),
                Method::PredictProbaOf(i) => self.shares[usize::from(i)].repeat(rows).into(),
                Method::PredictLogProba => logs(&self.shares[0]).repeat(rows).into(),
                Method::PredictLogProbaOf(i) => logs(&self.shares[usize::from(i)]).repeat(rows).into(),
                _ => {
                    bounded(self.facts.class, rows, self.places.len())?;
                    Labels::take_each(&self.outputs, &self.places.repeat(rows))
                }
            };
            answers.push(answer(rows, self.facts.gives(method), elements)?);
        }
        Ok(())
    }
}

fn logs(shares: &[f64]) -> Vec<f64> {
    shares.iter().map(|share| share.ln()).collect()
}

impl Estimator for Regressor {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn compute(
        &self,
        x: ArrayView2<'_, f64>,
        wanted: &[Method],
        answers: &mut Vec<Tensor>,
    ) -> Result<(), RunError> {
        for &method in wanted {
            let values = self.constant.repeat(x.nrows());
            answers.push(answer(x.nrows(), self.facts.gives(method), values.into())?);
        }
        Ok(())
    }
}
