//! scikit-learn estimators, rebuilt from an inert pickle or skops file and answering with
//! scikit-learn's numbers.
//!
//! One table, [`registry`], has one row per class: its name, the modules it has
//! lived in, and the builder that reads its attributes ([`state`]) into an
//! [`Estimator`]. A class that is not in the table is refused, as is an attribute
//! that would change the answer and is not understood: nothing is guessed.
//!
//! What an estimator is to the rest is in [`estimator`], its methods in [`method`], what
//! it may be given in [`samples`]. Each family has a room of its own, with its rows of
//! the table. [`model`] makes a servable of the outermost estimator.
//!
//! Numbers are `f64` throughout, so an answer to `float32` input is more exact
//! than scikit-learn's, which keeps some of them in `float32`. What a row is
//! answered never depends on the other rows of its batch.

mod adaboost;
mod attributes;
mod boosters;
mod boosting;
mod calibration;
mod cluster;
mod compose;
mod contributions;
mod decomposition;
mod discriminant;
mod dummy;
mod embedding;
mod encoding;
mod error;
mod estimator;
mod forest;
mod gaussian_process;
mod hist;
mod imputing;
mod isolation;
mod isotonic;
mod json_rows;
mod kernel_machines;
mod labels;
mod linalg;
mod linear;
mod math;
mod method;
mod mixture;
mod model;
mod multiclass;
mod multioutput;
mod naive_bayes;
mod neighbors;
mod neural_network;
mod normal;
mod pairwise;
mod pipeline;
mod preprocessing;
mod registry;
mod samples;
mod selection;
mod special;
mod state;
mod svm;
mod text;
mod tree;

use bytes::Bytes;

use self::estimator::{
    Check, Estimator, Facts, Input, answer, ask, ask_frame, ask_one, bounded, flat, matrix, numbers,
};
use self::method::{Gives, Method, Spec, Takes};
use crate::formats::{pickle, skops};

pub use error::{ModelError, Whom};
pub(super) use model::SklearnModel;

/// Reads a pickle or joblib file and builds the estimator in it.
pub(super) fn open(file: impl Into<Bytes>) -> Result<SklearnModel, ModelError> {
    build(&pickle::load(file)?)
}

/// The same for a skops file.
pub(super) fn open_skops(file: impl Into<Bytes>) -> Result<SklearnModel, ModelError> {
    build(&skops::load(file)?)
}

fn build(document: &pickle::Document) -> Result<SklearnModel, ModelError> {
    let budget = state::Budget::default();
    let estimator = state::build(document, document.root(), String::new(), 0, &budget)?;
    SklearnModel::new(estimator)
}
