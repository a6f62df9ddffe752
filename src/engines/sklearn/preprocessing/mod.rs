//! Preprocessing of numbers: scalers, what looks at one row at a time, and features made of features.

mod bins;
mod kernel;
mod polynomial;
mod power;
mod quantile;
mod rows;
mod scalers;
mod spline;

use super::registry::Row;

pub(super) use rows::Norm;

const PREPROCESSING: &str = "sklearn.preprocessing";
const POLYNOMIAL: &[&str] = &["_polynomial", "_data", "data"];
const DATA: &[&str] = &["_data", "data"];

/// The classes that are built here.
pub(super) const ROWS: &[Row] = &[
    Row::new(PREPROCESSING, "Binarizer", DATA, rows::build_binarizer),
    Row::new(PREPROCESSING, "KBinsDiscretizer", &["_discretization"], bins::build),
    Row::new(PREPROCESSING, "KernelCenterer", DATA, kernel::build),
    Row::new(PREPROCESSING, "MaxAbsScaler", DATA, scalers::build_max_abs),
    Row::new(PREPROCESSING, "MinMaxScaler", DATA, scalers::build_min_max),
    Row::new(PREPROCESSING, "Normalizer", DATA, rows::build_normalizer),
    Row::new(PREPROCESSING, "PolynomialFeatures", POLYNOMIAL, polynomial::build),
    Row::new(PREPROCESSING, "PowerTransformer", DATA, power::build),
    Row::new(PREPROCESSING, "QuantileTransformer", DATA, quantile::build),
    Row::new(PREPROCESSING, "RobustScaler", DATA, scalers::build_robust),
    Row::new(PREPROCESSING, "SplineTransformer", POLYNOMIAL, spline::build),
    Row::new(PREPROCESSING, "StandardScaler", DATA, scalers::build_standard),
];
