//! Typed readers of an estimator's attributes. Their errors name the class, its
//! place in the file and the attribute.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::sync::Arc;

use smallvec::SmallVec;

use super::attributes::is_sparse;
use super::error::{ModelError, Whom};
use super::labels::Labels;
use super::{Estimator, Method, registry};
use crate::formats::pickle::{Array, DTypeKind, Document, Items, Object, Ref, View};
use crate::limits;

/// What building a file has cost so far. Values may be shared in a pickle, so a
/// small file can describe a large model; a shared value is paid for each time.
#[derive(Debug, Default)]
pub(super) struct Budget {
    estimators: Cell<usize>,
    copied_again: Cell<usize>,
    copied: RefCell<HashSet<usize>>,
}

/// One estimator in the file, about to be built.
pub(super) struct Part<'a> {
    /// Its class, as the table names it.
    pub(super) class: &'static str,
    object: Object<'a>,
    document: &'a Document,
    place: String,
    depth: usize,
    budget: &'a Budget,
    /// How many features it is given, where the one around it knows.
    given: Option<usize>,
}

/// Numbers with a shape, in C order. A Python number has rank 0.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Numbers {
    pub(super) values: Vec<f64>,
    pub(super) shape: SmallVec<[usize; 2]>,
}

impl Numbers {
    /// As Python writes a shape: `(2, 3)`, `(3,)`, `()`.
    pub(super) fn shown_shape(&self) -> String {
        let dims: Vec<String> = self.shape.iter().map(usize::to_string).collect();
        if dims.len() == 1 { format!("({},)", dims[0]) } else { format!("({})", dims.join(", ")) }
    }
}

/// Builds the estimator that `value` is.
pub(super) fn build<'a>(
    document: &'a Document,
    value: Ref<'a>,
    place: String,
    depth: usize,
    budget: &'a Budget,
) -> Result<Box<dyn Estimator>, ModelError> {
    let (part, row) = enter(document, value, place, depth, budget)?;
    (row.build)(&part)
}

/// The estimator that `value` is, about to be built, and its row of the table.
fn enter<'a>(
    document: &'a Document,
    value: Ref<'a>,
    place: String,
    depth: usize,
    budget: &'a Budget,
) -> Result<(Part<'a>, &'static registry::Row), ModelError> {
    let Some(object) = value.object() else {
        return Err(ModelError::NotAnEstimator { place, found: value.describe() });
    };
    let global = object.class();
    let Some(row) = registry::find(global.module, global.name) else {
        let whom = Whom { class: global.to_string(), place };
        let nearest = registry::nearest(global.module, global.name).map(registry::Row::canonical);
        return Err(ModelError::UnknownClass { whom, nearest });
    };
    let part = Part { class: row.class, object, document, place, depth, budget, given: None };
    if depth >= limits::ESTIMATOR_DEPTH_MAX {
        return Err(ModelError::TooDeep { whom: part.whom(), max: limits::ESTIMATOR_DEPTH_MAX });
    }
    budget.estimators.set(budget.estimators.get() + 1);
    if budget.estimators.get() > limits::ESTIMATORS_MAX {
        return Err(ModelError::TooMany { whom: part.whom(), max: limits::ESTIMATORS_MAX });
    }
    // Python looks in the instance before it looks in the class, so an attribute of this
    // name would be what runs, and we do not know what it does.
    if let Some(method) = Method::NAMES.into_iter().find(|name| part.attr(name).is_some()) {
        return Err(part.refuse(method, "replaces the method of its class"));
    }
    Ok((part, row))
}

impl<'a> Part<'a> {
    /// Class and place, for messages.
    pub(super) fn whom(&self) -> Whom {
        Whom { class: self.class.to_owned(), place: self.place.clone() }
    }

    /// The attribute, if it is there and not `None`.
    pub(super) fn attr(&self, name: &str) -> Option<Ref<'a>> {
        self.object.attr(name).filter(|value| !value.is_none())
    }

    /// Whether the attribute is there, `None` too.
    pub(super) fn has(&self, name: &str) -> bool {
        self.object.attr(name).is_some()
    }

    /// The attribute that `fit` makes.
    pub(super) fn fitted(&self, name: &'static str) -> Result<Ref<'a>, ModelError> {
        self.object.attr(name).ok_or_else(|| ModelError::NotFitted { whom: self.whom(), attribute: name })
    }

    /// The error that this attribute is wrong; `why` goes on after its name.
    pub(super) fn refuse(&self, attribute: &str, why: impl Into<String>) -> ModelError {
        ModelError::Attribute { whom: self.whom(), attribute: attribute.to_owned(), why: why.into() }
    }

    /// The error that this attribute is something else than `expected`.
    pub(super) fn unexpected(&self, attribute: &str, value: Ref<'_>, expected: &str) -> ModelError {
        self.refuse(attribute, format!("is {}; expected {expected}", value.describe()))
    }

    /// The version of scikit-learn that wrote the file, (0, 0) when it does not say.
    pub(super) fn version(&self) -> (u32, u32) {
        let text = self.attr("_sklearn_version").and_then(Ref::to_str).unwrap_or_default();
        // `1.9.dev0`, `1.10rc1`: what follows the digits does not matter here.
        let digits = |part: &str| part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len());
        let mut parts = text.split('.').map(|part| part[..digits(part)].parse().unwrap_or(0));
        (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
    }

    /// A constructor argument that is true or false.
    pub(super) fn flag(&self, name: &str, default: bool) -> Result<bool, ModelError> {
        let Some(value) = self.object.attr(name) else { return Ok(default) };
        // Old versions took 1 and 0, too.
        let number = || value.as_i64().filter(|n| (0..=1).contains(n)).map(|n| n == 1);
        value.as_bool().or_else(number).ok_or_else(|| self.unexpected(name, value, "True or False"))
    }

    /// A constructor argument that is text, if it is there.
    pub(super) fn text(&self, name: &str) -> Result<Option<Cow<'a, str>>, ModelError> {
        let Some(value) = self.attr(name) else { return Ok(None) };
        value.to_str().map(Some).ok_or_else(|| self.unexpected(name, value, "text"))
    }

    /// Numbers that `fit` makes: an array, or a Python number.
    pub(super) fn numbers(&self, name: &'static str) -> Result<Numbers, ModelError> {
        let value = self.fitted(name)?;
        if let Some(number) = value.as_f64() {
            return Ok(Numbers { values: vec![number], shape: SmallVec::new() });
        }
        if is_sparse(value) {
            let matrix = self.spread(name)?;
            let shape = SmallVec::from([matrix.rows, matrix.columns]);
            return Ok(Numbers { values: matrix.values, shape });
        }
        let Some(array) = value.array() else {
            return Err(self.unexpected(name, value, "an array of numbers"));
        };
        self.pay(name, array)?;
        let values =
            array.to_f64().map_err(|error| self.refuse(name, format!("is no array of numbers: {error}")))?;
        Ok(Numbers { values, shape: array.shape().into() })
    }

    /// The same, refusing NaN and infinity, with which no answer could be a number.
    pub(super) fn finite_numbers(&self, name: &'static str) -> Result<Numbers, ModelError> {
        let numbers = self.numbers(name)?;
        match numbers.values.iter().position(|value| !value.is_finite()) {
            Some(at) => Err(self.refuse(name, format!("holds {} at element {at}", numbers.values[at]))),
            None => Ok(numbers),
        }
    }

    /// One number per feature that `fit` makes.
    pub(super) fn row_of_numbers(&self, name: &'static str) -> Result<Vec<f64>, ModelError> {
        let numbers = self.numbers(name)?;
        if numbers.shape.len() != 1 || numbers.values.is_empty() {
            let shape = numbers.shown_shape();
            return Err(self.refuse(name, format!("has shape {shape}; expected one number per feature")));
        }
        Ok(numbers.values)
    }

    /// The labels that a classifier answers with.
    pub(super) fn labels(&self, name: &'static str) -> Result<Labels, ModelError> {
        self.labels_of(name, self.fitted(name)?)
    }

    /// The labels that one array of an attribute holds.
    pub(super) fn labels_of(&self, name: &str, value: Ref<'a>) -> Result<Labels, ModelError> {
        let Some(array) = value.array().filter(|array| array.shape().len() == 1) else {
            return Err(self.unexpected(name, value, "an array of one label per class"));
        };
        self.pay(name, array)?;
        match &array.dtype().kind() {
            DTypeKind::Bool => array.to_bools().map(Labels::Bools),
            DTypeKind::Int | DTypeKind::UInt => array.to_i64().map(Labels::Ints),
            DTypeKind::Float => array.to_f64().map(Labels::Floats),
            DTypeKind::Unicode | DTypeKind::ByteString => {
                return Ok(Labels::texts(self.strings(name, array)?.into_iter()));
            }
            DTypeKind::Object => return self.labels_of_objects(name, array),
            _ => {
                return Err(self.unexpected(
                    name,
                    value,
                    "labels that are integers, floats, booleans or text",
                ));
            }
        }
        .map_err(|error| self.refuse(name, format!("holds labels that cannot be read: {error}")))
    }

    fn labels_of_objects(&self, name: &str, array: &'a Array) -> Result<Labels, ModelError> {
        let objects = || array.objects(self.document).into_iter().flatten();
        if objects().all(|item| item.to_str().is_some()) {
            return Ok(Labels::texts(self.strings(name, array)?.into_iter()));
        }
        if objects().all(|item| matches!(item.view(), View::Bool(_))) {
            return Ok(Labels::Bools(objects().filter_map(Ref::as_bool).collect()));
        }
        if objects().all(|item| item.as_i64().is_some() && !matches!(item.view(), View::Bool(_))) {
            return Ok(Labels::Ints(objects().filter_map(Ref::as_i64).collect()));
        }
        if objects().all(|item| matches!(item.view(), View::Float(_))) {
            return Ok(Labels::Floats(objects().filter_map(Ref::as_f64).collect()));
        }
        Err(self.refuse(
            name,
            "mixes kinds of labels; expected all integers, all floats, all booleans or all text",
        ))
    }

    /// The strings of an array, paid for.
    pub(super) fn strings(&self, name: &str, array: &'a Array) -> Result<Vec<Cow<'a, str>>, ModelError> {
        let strings = array
            .to_strings(self.document)
            .map_err(|error| self.refuse(name, format!("is no array of text: {error}")))?;
        // An object array's strings may be one and the same; an own copy of each is paid for.
        for text in strings.iter().filter(|text| matches!(text, Cow::Borrowed(_))) {
            self.pay_again(name, text.len())?;
        }
        Ok(strings)
    }

    /// How many features the estimator takes. `from_shape` is what its arrays say,
    /// and `n_features_in_` (since scikit-learn 0.24) must agree.
    pub(super) fn n_features(&self, from_shape: usize, attribute: &str) -> Result<usize, ModelError> {
        if from_shape == 0 || from_shape > limits::FEATURES_MAX {
            let why = format!("is made for {from_shape} features; expected 1 to {}", limits::FEATURES_MAX);
            return Err(self.refuse(attribute, why));
        }
        let Some(value) = self.attr("n_features_in_") else { return Ok(from_shape) };
        let stated = value.as_i64().and_then(|n| usize::try_from(n).ok()).filter(|&n| n > 0);
        match stated {
            None => Err(self.unexpected("n_features_in_", value, "a number of features")),
            Some(stated) if stated != from_shape => Err(self.refuse(
                "n_features_in_",
                format!("is {stated}, but {attribute} is made for {from_shape} features"),
            )),
            Some(stated) => Ok(stated),
        }
    }

    /// The names of the columns that the estimator was fitted on, if they had any.
    pub(super) fn feature_names(&self, n_features: usize) -> Result<Option<Vec<Arc<str>>>, ModelError> {
        const NAME: &str = "feature_names_in_";
        // Column transformers had it for themselves in 0.24.
        let Some(value) = self.attr(NAME).or_else(|| self.attr("_feature_names_in")) else { return Ok(None) };
        let Some(array) = value.array() else {
            return Err(self.unexpected(NAME, value, "an array of names"));
        };
        let names = self.strings(NAME, array)?;
        if names.len() != n_features {
            return Err(self.refuse(NAME, format!("has {} names for {n_features} features", names.len())));
        }
        Ok(Some(names.into_iter().map(Arc::from).collect()))
    }

    /// The numbers of one array of an attribute, each an index: not below 0.
    pub(super) fn indices_of(&self, name: &str, value: Ref<'a>) -> Result<Vec<usize>, ModelError> {
        let Some(array) = value.array() else {
            return Err(self.unexpected(name, value, "an array of indices"));
        };
        self.pay(name, array)?;
        let numbers = array.to_i64();
        let numbers =
            numbers.map_err(|error| self.refuse(name, format!("is no array of indices: {error}")))?;
        let index =
            |n: i64| usize::try_from(n).map_err(|_| self.refuse(name, format!("holds the index {n}")));
        numbers.into_iter().map(index).collect()
    }

    /// Builds an estimator within this one; `place` is said within this one.
    pub(super) fn child(&self, value: Ref<'a>, place: &str) -> Result<Box<dyn Estimator>, ModelError> {
        self.child_given(value, place, None)
    }

    /// The same of one that is given so many features: some say nothing of it themselves.
    pub(super) fn child_given(
        &self,
        value: Ref<'a>,
        place: &str,
        given: Option<usize>,
    ) -> Result<Box<dyn Estimator>, ModelError> {
        let (part, row) = enter(self.document, value, self.place_of(place), self.depth + 1, self.budget)?;
        (row.build)(&Part { given, ..part })
    }

    /// How many features an estimator takes whose arrays do not tell: as it says itself,
    /// else as the one around it knows, else as many as their names. `None` for one of a version
    /// that took any number.
    pub(super) fn stated_features(&self) -> Result<Option<usize>, ModelError> {
        if self.attr("n_features_in_").is_some() {
            return self.n_features_in().map(Some);
        }
        let names = || self.attr("feature_names_in_").and_then(|names| names.array()).map(Array::len);
        Ok(self.given.or_else(names).filter(|&features| features > 0))
    }

    /// An estimator within this one that is not built on its own, since this one reads
    /// its attributes: item `index` of the attribute. It must be of one of these classes.
    pub(super) fn child_part(
        &self,
        value: Ref<'a>,
        attribute: &str,
        index: usize,
        classes: &[&str],
    ) -> Result<Part<'a>, ModelError> {
        let place = self.place_of(&format!("{attribute}[{index}]"));
        let (part, _) = enter(self.document, value, place, self.depth + 1, self.budget)?;
        if classes.contains(&part.class) {
            return Ok(part);
        }
        let why = format!("has {} at [{index}]; expected {}", part.class, classes.join(" or "));
        Err(self.refuse(attribute, why))
    }

    /// An estimator within this one of any served class, fitted or not, to read attributes from.
    pub(super) fn inner(&self, value: Ref<'a>, place: &str) -> Result<Part<'a>, ModelError> {
        let place = self.place_of(place);
        enter(self.document, value, place, self.depth + 1, self.budget).map(|(part, _)| part)
    }

    /// An object of this class that this one keeps for itself, to read attributes from.
    pub(super) fn within(
        &self,
        name: &'static str,
        modules: &[&str],
        class: &'static str,
    ) -> Result<Part<'a>, ModelError> {
        self.object(self.fitted(name)?, name, name, modules, class)
    }

    /// The same for a value within the attribute, at `place`.
    pub(super) fn object(
        &self,
        value: Ref<'a>,
        name: &str,
        place: &str,
        modules: &[&str],
        class: &'static str,
    ) -> Result<Part<'a>, ModelError> {
        let is_it = |object: &Object<'a>| modules.iter().any(|module| object.class().is(module, class));
        let Some(object) = value.object().filter(is_it) else {
            return Err(self.unexpected(name, value, &format!("a {class}")));
        };
        Ok(Part { class, object, place: self.place_of(place), depth: self.depth + 1, ..*self })
    }

    /// The numbers of one array of an attribute.
    pub(super) fn numbers_of(&self, name: &str, value: Ref<'a>) -> Result<Vec<f64>, ModelError> {
        let Some(array) = value.array() else {
            return Err(self.unexpected(name, value, "an array of numbers"));
        };
        self.pay(name, array)?;
        array.to_f64().map_err(|error| self.refuse(name, format!("is no array of numbers: {error}")))
    }

    /// The positional arguments that the object is made with.
    pub(super) fn args(&self) -> Items<'a> {
        self.object.args()
    }

    /// An array that `fit` makes, paid for.
    pub(super) fn array(&self, name: &'static str) -> Result<&'a Array, ModelError> {
        let value = self.fitted(name)?;
        let array = value.array().ok_or_else(|| self.unexpected(name, value, "an array"))?;
        self.pay(name, array)?;
        Ok(array)
    }

    /// Where something within this one stands in the file.
    pub(super) fn place_of(&self, place: &str) -> String {
        if self.place.is_empty() { place.to_owned() } else { format!("{}.{place}", self.place) }
    }

    /// Pays for a copy of an array's elements. The first copy of each stretch of the
    /// file is justified by the file's own size. Arrays that do not lie in C order
    /// are not told apart, and pay.
    fn pay(&self, name: &str, array: &Array) -> Result<(), ModelError> {
        let bytes = array.len().saturating_mul(array.dtype().itemsize().max(8));
        match array.as_bytes() {
            Some(data) => self.pay_for(name, data, bytes),
            None => self.pay_again(name, bytes),
        }
    }

    /// Pays for what so many bytes of the file are made into.
    pub(super) fn pay_for(&self, name: &str, data: &[u8], bytes: usize) -> Result<(), ModelError> {
        let first = self.budget.copied.borrow_mut().insert(data.as_ptr().addr());
        if first { Ok(()) } else { self.pay_again(name, bytes) }
    }

    pub(super) fn pay_again(&self, name: &str, bytes: usize) -> Result<(), ModelError> {
        let paid = self.budget.copied_again.get().saturating_add(bytes);
        self.budget.copied_again.set(paid);
        if paid <= limits::ESTIMATOR_SHARED_BYTES_MAX {
            return Ok(());
        }
        Err(ModelError::TooShared {
            whom: self.whom(),
            attribute: name.to_owned(),
            max: limits::ESTIMATOR_SHARED_BYTES_MAX,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::pickle;

    /// One scaler stands twice, with arrays of three numbers.
    const SHARED: &[u8] = include_bytes!("../../../tests/golden/sklearn/shared.pkl");

    fn build_with(budget: &Budget) -> Result<Box<dyn Estimator>, ModelError> {
        let document = pickle::load(SHARED).unwrap();
        build(&document, document.root(), String::new(), 0, budget)
    }

    #[test]
    fn what_is_shared_is_paid_for_each_time_but_the_first() {
        let budget = Budget::default();
        build_with(&budget).unwrap();
        assert_eq!(budget.estimators.get(), 3);
        // `mean_` and `scale_` of the second.
        assert_eq!(budget.copied_again.get(), 2 * 3 * 8);
    }

    #[test]
    fn sharing_and_numbers_have_an_end() {
        let budget = Budget::default();
        budget.copied_again.set(limits::ESTIMATOR_SHARED_BYTES_MAX - 47);
        assert_eq!(
            build_with(&budget).unwrap_err().to_string(),
            "StandardScaler at steps[1] ('b'): attribute scale_ shares its data with others; at most 1073741824 bytes \
             are copied for sharers"
        );
        let budget = Budget::default();
        budget.estimators.set(limits::ESTIMATORS_MAX - 2);
        assert_eq!(
            build_with(&budget).unwrap_err().to_string(),
            "StandardScaler at steps[1] ('b') is one too many: at most 200000 estimators are built, each counted \
             wherever it stands"
        );
    }
}
