//! Signatures: the named entry points of a model.

use std::sync::Arc;

use smallvec::SmallVec;

use super::DEFAULT_SIGNATURE;
use crate::tensor::{DType, Tensor};

/// The dimensions that a signature states; `None` in a place is "any", the
/// wire's -1.
pub type Dims = SmallVec<[Option<usize>; 4]>;

/// Which dtypes an input takes besides its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accepts {
    /// Its own dtype only, as TensorFlow does.
    Exactly,
    /// Any real number, converted as numpy's `astype` would; scikit-learn's habit.
    AnyReal,
}

/// One input or output of a signature.
#[derive(Debug, Clone, PartialEq)]
pub struct TensorSpec {
    /// The alias that clients use.
    pub name: Arc<str>,
    /// What its elements are.
    pub dtype: DType,
    /// Its dimensions; `None` when even the rank is open.
    pub dims: Option<Dims>,
    /// Which dtypes are taken. Without meaning for an output.
    pub accepts: Accepts,
    /// The tensor's name in the model's graph, where it has one of its own.
    pub tensor: Option<Arc<str>>,
    /// What an input is when a request leaves it out; without one it may not.
    pub default: Option<Arc<Tensor>>,
}

impl TensorSpec {
    /// A spec of known rank that takes its own dtype only.
    #[must_use]
    pub fn new(name: impl Into<Arc<str>>, dtype: DType, dims: &[Option<usize>]) -> Self {
        Self {
            name: name.into(),
            dtype,
            dims: Some(dims.into()),
            accepts: Accepts::Exactly,
            tensor: None,
            default: None,
        }
    }

    /// The same, taking any real number.
    #[must_use]
    pub fn any_real(mut self) -> Self {
        self.accepts = Accepts::AnyReal;
        self
    }

    /// The tensor's name in the graph, `<node>:<output>`. Where the model has no
    /// graph, the node is the alias, for clients that split the name.
    #[must_use]
    pub fn tensor_name(&self) -> String {
        self.tensor.as_ref().map_or_else(|| format!("{}:0", self.name), ToString::to_string)
    }

    /// Whether a tensor of this dtype may be given for it.
    #[must_use]
    pub fn takes(&self, dtype: DType) -> bool {
        dtype == self.dtype || (self.accepts == Accepts::AnyReal && dtype.is_real())
    }
}

/// What a signature is for: `SignatureDef.method_name`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Method {
    /// Tensors in, tensors out.
    Predict,
    /// `tf.Example`s in, classes and scores out.
    Classify,
    /// `tf.Example`s in, one number each out.
    Regress,
    /// Whatever its model's file says. Any call may ask for it, unless methods are checked.
    Other(Arc<str>),
}

impl Method {
    /// TensorFlow's name for it.
    #[must_use]
    pub fn wire_name(&self) -> &str {
        match self {
            Self::Predict => "tensorflow/serving/predict",
            Self::Classify => "tensorflow/serving/classify",
            Self::Regress => "tensorflow/serving/regress",
            Self::Other(name) => name,
        }
    }

    /// The method of this name.
    #[must_use]
    pub fn from_wire_name(name: &str) -> Self {
        let known = [Self::Predict, Self::Classify, Self::Regress];
        known
            .into_iter()
            .find(|method| method.wire_name() == name)
            .unwrap_or_else(|| Self::Other(name.into()))
    }

    /// The name that the engines here give to a model's signature for it.
    #[must_use]
    pub fn signature_name(&self) -> &'static str {
        match self {
            Self::Predict | Self::Other(_) => DEFAULT_SIGNATURE,
            Self::Classify => "classify",
            Self::Regress => "regress",
        }
    }
}

/// One entry point of a model.
#[derive(Debug, Clone, PartialEq)]
pub struct Signature {
    /// Its name: `serving_default`, `predict_proba`, …
    pub name: Arc<str>,
    /// What it takes, in the order of [`Call::inputs`](super::Call::inputs).
    pub inputs: Vec<TensorSpec>,
    /// What it can give.
    pub outputs: Vec<TensorSpec>,
    /// What it is for.
    pub method: Method,
}

/// The entry points of a model, in a fixed order.
#[derive(Debug, Clone, PartialEq)]
pub struct Signatures {
    callable: Vec<Signature>,
    /// Names of those that cannot be called, and why.
    refused: Vec<(Arc<str>, Arc<str>)>,
}

impl Signatures {
    /// Keeps them in the order given, which is the order of
    /// [`Call::signature`](super::Call::signature). The first one is what a model is
    /// measured with. Most engines give a [`DEFAULT_SIGNATURE`]; a model that has its
    /// signatures from its file may lack one.
    ///
    /// # Panics
    /// When two share a name: an engine's bug.
    #[must_use]
    pub fn new(signatures: Vec<Signature>) -> Self {
        let names: std::collections::BTreeSet<&str> = signatures.iter().map(|s| &*s.name).collect();
        assert_eq!(names.len(), signatures.len(), "two signatures of one name");
        Self { callable: signatures, refused: Vec::new() }
    }

    /// The same, with the names of those that the model has and no request can call,
    /// and why each cannot.
    #[must_use]
    pub fn with_refused(self, refused: Vec<(Arc<str>, Arc<str>)>) -> Self {
        Self { refused, ..self }
    }

    /// Why the signature of this name cannot be called, if the model has one that cannot.
    #[must_use]
    pub fn refusal(&self, name: &str) -> Option<&str> {
        let name = if name.is_empty() { DEFAULT_SIGNATURE } else { name };
        self.refused.iter().find(|(refused, _)| **refused == *name).map(|(_, why)| &**why)
    }

    /// Position and signature of this name; an empty name is [`DEFAULT_SIGNATURE`].
    #[must_use]
    pub fn find(&self, name: &str) -> Option<(usize, &Signature)> {
        let name = if name.is_empty() { DEFAULT_SIGNATURE } else { name };
        self.callable.iter().enumerate().find(|(_, signature)| &*signature.name == name)
    }

    /// Position and signature for a caller who wants `method` and may have given no
    /// name: then it is [`DEFAULT_SIGNATURE`] if that is for the method, else the one
    /// named after the method, if there is one, else [`DEFAULT_SIGNATURE`] after all.
    #[must_use]
    pub fn find_for(&self, method: &Method, name: &str) -> Option<(usize, &Signature)> {
        let own = |found: &(usize, &Signature)| found.1.method == *method;
        let by_name = self.find(name);
        if !name.is_empty() || by_name.as_ref().is_some_and(own) {
            return by_name;
        }
        self.find(method.signature_name()).filter(own).or(by_name)
    }

    /// All of them.
    pub fn iter(&self) -> std::slice::Iter<'_, Signature> {
        self.callable.iter()
    }
}

impl std::ops::Index<usize> for Signatures {
    type Output = Signature;

    fn index(&self, position: usize) -> &Signature {
        &self.callable[position]
    }
}
