//! What all of libsvm's machines have: support vectors, a kernel, and weights that make
//! decisions of the kernel's values.
//!
//! Source: Chang and Lin, LIBSVM: a library for support vector machines, 2011, sections 2 and 7.

use crate::engines::sklearn::attributes::Matrix;
use crate::engines::sklearn::math::{Affine, dot};
use crate::engines::sklearn::pairwise::{Alike, Kernel};
use crate::engines::sklearn::samples::{Csr, Samples};
use crate::engines::sklearn::state::Part;
use crate::engines::sklearn::{ModelError, bounded};
use crate::servable::RunError;

/// A linear machine becomes one weight a feature, unless that is so many times more numbers
/// than its support vectors have.
const COLLAPSED_MAX: usize = 4;

const DUAL: &str = "_dual_coef_";

/// Decisions from samples: of one kind of sample against another, or a single one.
#[derive(Debug)]
pub(super) struct Machine {
    class: &'static str,
    pub(super) n_features: usize,
    /// How many support vectors each class has; regressors have one.
    n_support: Vec<usize>,
    /// `[classes - 1, vectors]`, or `[1, vectors]`: the vectors' weights.
    weights: Matrix,
    /// What is added to each decision.
    intercept: Vec<f64>,
    vectors: Vectors,
    /// Whether it was fitted on a sparse matrix.
    sparse: bool,
}

#[derive(Debug)]
enum Vectors {
    /// A linear kernel needs no vectors, but a weight for each feature.
    Collapsed(Affine),
    Dense(Alike),
    Sparse(SparseVectors),
    /// The kernel's values are the samples; of these columns.
    Precomputed(Vec<usize>),
}

impl Machine {
    /// Reads a machine that decides between each two of so many classes, or that of a
    /// regressor when there are none.
    pub(super) fn read(part: &Part<'_>, classes: Option<usize>) -> Result<Self, ModelError> {
        const INTERCEPT: &str = "_intercept_";
        const VECTORS: &str = "support_vectors_";
        part.fitted(VECTORS)?;
        let decisions = classes.map_or(1, |classes| classes * (classes - 1) / 2);
        let weights = weights(part)?;
        let count = weights.columns;
        let n_support = n_support(part, classes, count)?;
        let rows = classes.map_or(1, |classes| classes - 1);
        if weights.rows != rows {
            return Err(part.refuse(DUAL, format!("has {} rows; expected {rows}", weights.rows)));
        }
        let intercept = part.vector_of(INTERCEPT, decisions)?;
        // Of a function it is not known how many features there are.
        let kernel = kernel(part)?;
        let n_features = part.n_features_in()?;
        let sparse = part.flag("_sparse", false)?;
        let whole = Self {
            class: part.class,
            n_features,
            n_support,
            weights,
            intercept,
            vectors: Vectors::Precomputed(Vec::new()),
            sparse,
        };
        let Some(kernel) = kernel else {
            let support = part.indices_of("support_", part.fitted("support_")?)?;
            if support.len() != count || support.iter().any(|&column| column >= n_features) {
                let why = format!("does not name {count} of {n_features} samples");
                return Err(part.refuse("support_", why));
            }
            return Ok(Self { vectors: Vectors::Precomputed(support), ..whole });
        };
        let given =
            if sparse { Given::Sparse(part.csr(VECTORS)?) } else { Given::Dense(part.matrix(VECTORS)?) };
        let (found, width, numbers) = match &given {
            Given::Dense(matrix) => (matrix.rows, matrix.columns, matrix.values.len()),
            Given::Sparse(matrix) => (matrix.rows(), matrix.width(), matrix.values().len()),
        };
        // Without any support vector there may be no width either.
        if found != count || (count > 0 && width != n_features) {
            let why = format!("has shape ({found}, {width}); expected ({count}, {n_features})");
            return Err(part.refuse(VECTORS, why));
        }
        let collapsed = decisions.saturating_mul(n_features);
        let vectors = match given {
            given if kernel == Kernel::Linear && collapsed / COLLAPSED_MAX <= numbers => {
                whole.collapse(&given)
            }
            Given::Dense(matrix) => Vectors::Dense(Alike::new(kernel, matrix.values, n_features)),
            Given::Sparse(matrix) => Vectors::Sparse(SparseVectors::new(kernel, &matrix)),
        };
        Ok(Self { vectors, ..whole })
    }

    /// How many decisions there are for each sample.
    pub(super) fn decisions(&self) -> usize {
        self.intercept.len()
    }

    /// What is added to each decision.
    pub(super) fn intercept(&self) -> &[f64] {
        &self.intercept
    }

    /// `[rows, decisions]`, row-major.
    pub(super) fn decide(&self, x: Samples<'_>) -> Result<Vec<f64>, RunError> {
        let rows = x.rows();
        bounded(self.class, rows, self.decisions())?;
        if matches!(x, Samples::Sparse(_)) && !self.sparse {
            return Err(RunError::InvalidInput(format!(
                "cannot use sparse input in '{}' trained on dense data",
                self.class
            )));
        }
        let mut values = vec![0.0; self.weights.columns];
        let mut spread = Vec::new();
        let mut decisions = Vec::with_capacity(rows * self.decisions());
        match (&self.vectors, x) {
            (Vectors::Collapsed(affine), x) => return affine.apply_samples(x, self.class),
            (Vectors::Dense(alike), Samples::Dense(x)) => {
                for row in rows_of(&x) {
                    alike.apply(row, &mut values);
                    self.weigh(&values, &mut decisions);
                }
            }
            (Vectors::Precomputed(support), Samples::Dense(x)) => {
                for row in rows_of(&x) {
                    values.iter_mut().zip(support).for_each(|(value, &column)| *value = row[column]);
                    self.weigh(&values, &mut decisions);
                }
            }
            (Vectors::Sparse(vectors), Samples::Dense(x)) => {
                for row in rows_of(&x) {
                    spread.clear();
                    spread.extend(vectors.used.iter().map(|&place| row[place as usize]));
                    vectors.apply(&spread, dot(row, row), &mut values);
                    self.weigh(&values, &mut decisions);
                }
            }
            (Vectors::Sparse(vectors), Samples::Sparse(x)) => {
                for row in 0..rows {
                    let (places, numbers) = x.row(row);
                    spread.clear();
                    spread.resize(vectors.used.len(), 0.0);
                    for (place, &number) in places.iter().zip(numbers) {
                        if let Ok(at) = vectors.used.binary_search(place) {
                            spread[at] = number;
                        }
                    }
                    vectors.apply(&spread, dot(numbers, numbers), &mut values);
                    self.weigh(&values, &mut decisions);
                }
            }
            _ => return Err(RunError::Internal("a machine was given neither rows nor entries".to_owned())),
        }
        Ok(decisions)
    }

    /// The weighted sums of the kernel's values, one for each pair of classes.
    fn weigh(&self, values: &[f64], decisions: &mut Vec<f64>) {
        let classes = self.n_support.len();
        if classes == 1 {
            decisions.push(dot(values, self.weights.row(0)) + self.intercept[0]);
            return;
        }
        let mut pair = 0;
        let mut first = 0;
        for i in 0..classes {
            let mut second = first + self.n_support[i];
            let of_first = first..second;
            for j in i + 1..classes {
                let of_second = second..second + self.n_support[j];
                let sum = dot(&values[of_first.clone()], &self.weights.row(j - 1)[of_first.clone()])
                    + dot(&values[of_second.clone()], &self.weights.row(i)[of_second.clone()]);
                decisions.push(sum + self.intercept[pair]);
                pair += 1;
                second = of_second.end;
            }
            first = of_first.end;
        }
    }

    /// One weight a feature for each decision, as the kernel is linear.
    fn collapse(&self, vectors: &Given) -> Vectors {
        let (decisions, classes) = (self.decisions(), self.n_support.len());
        let mut coef = vec![0.0; decisions * self.n_features];
        let starts: Vec<usize> = self
            .n_support
            .iter()
            .scan(0, |end, n| {
                let start = *end;
                *end += n;
                Some(start)
            })
            .collect();
        let mut add = |decision: usize, weights: &[f64], class: usize| {
            let coef = &mut coef[decision * self.n_features..][..self.n_features];
            let own = starts[class]..starts[class] + self.n_support[class];
            for (vector, weight) in own.clone().zip(&weights[own]) {
                match vectors {
                    Given::Dense(matrix) => {
                        let values = coef.iter_mut().zip(matrix.row(vector));
                        values.for_each(|(sum, value)| *sum += weight * value);
                    }
                    Given::Sparse(matrix) => {
                        let (places, values) = matrix.row(vector);
                        for (&place, value) in places.iter().zip(values) {
                            coef[place as usize] += weight * value;
                        }
                    }
                }
            }
        };
        if classes == 1 {
            add(0, self.weights.row(0), 0);
        }
        let pairs = (0..classes).flat_map(|i| (i + 1..classes).map(move |j| (i, j)));
        for (decision, (i, j)) in pairs.enumerate() {
            add(decision, self.weights.row(j - 1), i);
            add(decision, self.weights.row(i), j);
        }
        Vectors::Collapsed(Affine::new(coef, self.intercept.clone(), self.n_features))
    }
}

/// Support vectors as they stand in the file.
enum Given {
    Dense(Matrix),
    Sparse(Csr),
}

/// Sparse support vectors, by the columns that any of them has.
#[derive(Debug)]
struct SparseVectors {
    kernel: Kernel,
    /// The columns, rising.
    used: Vec<u32>,
    /// The vectors, their columns counted among those.
    vectors: Csr,
    /// The square of each vector's length.
    squares: Vec<f64>,
}

impl SparseVectors {
    fn new(kernel: Kernel, given: &Csr) -> Self {
        let rows = || (0..given.rows()).map(|row| given.row(row));
        let mut used: Vec<u32> = rows().flat_map(|(places, _)| places.iter().copied()).collect();
        used.sort_unstable();
        used.dedup();
        let mut vectors = Csr::new(used.len());
        for (places, values) in rows() {
            #[allow(clippy::cast_possible_truncation, reason = "there are no more than columns")]
            let place = |place: &u32| used.binary_search(place).unwrap_or_default() as u32;
            vectors.push_row(places.iter().map(place).zip(values.iter().copied()));
        }
        let squares = rows().map(|(_, values)| dot(values, values)).collect();
        Self { kernel, used, vectors, squares }
    }

    /// The kernels of one sample, of which `spread` has the used columns, and `square` is the
    /// square of its length.
    fn apply(&self, spread: &[f64], square: f64, out: &mut [f64]) {
        for (i, value) in out.iter_mut().enumerate() {
            let (places, numbers) = self.vectors.row(i);
            let product = places
                .iter()
                .zip(numbers)
                .map(|(&place, number)| spread[place as usize] * number)
                .sum::<f64>();
            *value = match self.kernel {
                Kernel::Rbf { gamma } => (-gamma * (square + self.squares[i] - 2.0 * product).max(0.0)).exp(),
                kernel => kernel.of_dot(product),
            };
        }
    }
}

fn rows_of<'a>(x: &ndarray::ArrayView2<'a, f64>) -> std::slice::ChunksExact<'a, f64> {
    crate::engines::sklearn::flat(x).chunks_exact(x.ncols().max(1))
}

/// The kernel; `None` when its values are given instead of samples.
fn kernel(part: &Part<'_>) -> Result<Option<Kernel>, ModelError> {
    let name = part.one_of("kernel", "rbf", &["linear", "poly", "rbf", "sigmoid", "precomputed"])?;
    // Until 0.21 it was not kept, and `gamma` was a number.
    let gamma = |name| part.number(name);
    let gamma = || if part.attr("_gamma").is_some() { gamma("_gamma") } else { gamma("gamma") };
    Ok(match name {
        "linear" => Some(Kernel::Linear),
        "poly" => Some(Kernel::Polynomial {
            gamma: gamma()?,
            coef0: part.number("coef0")?,
            degree: part.number("degree")?,
        }),
        "rbf" => Some(Kernel::Rbf { gamma: gamma()? }),
        "sigmoid" => Some(Kernel::Sigmoid { gamma: gamma()?, coef0: part.number("coef0")? }),
        _ => None,
    })
}

/// How many support vectors each class has, all of them `count`.
fn n_support(part: &Part<'_>, classes: Option<usize>, count: usize) -> Result<Vec<usize>, ModelError> {
    let Some(classes) = classes else { return Ok(vec![count]) };
    let name = if part.attr("_n_support").is_some() { "_n_support" } else { "n_support_" };
    let each = part.indices_of(name, part.fitted(name)?)?;
    let sum = each.iter().try_fold(0usize, |sum, &n| sum.checked_add(n));
    if each.len() == classes && sum == Some(count) {
        return Ok(each);
    }
    Err(part.refuse(name, format!("does not share {count} support vectors among {classes} classes")))
}

/// The vectors' weights. A sparse machine keeps them as a sparse matrix without gaps.
fn weights(part: &Part<'_>) -> Result<Matrix, ModelError> {
    if part.fitted(DUAL)?.array().is_some() {
        return part.matrix(DUAL);
    }
    let sparse = part.csr(DUAL)?;
    let (rows, columns) = (sparse.rows(), sparse.width());
    if (0..rows).any(|row| sparse.row(row).0.len() != columns) {
        return Err(part.refuse(DUAL, "has gaps; expected a weight for each support vector"));
    }
    Ok(Matrix { values: sparse.values().to_vec(), rows, columns })
}
