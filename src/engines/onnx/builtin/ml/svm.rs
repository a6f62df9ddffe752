//! Support vector machines: `SVMClassifier` and `SVMRegressor`.
//!
//! In single precision, as onnxruntime computes them. Source of the decisions: Chang
//! and Lin, LIBSVM: a library for support vector machines, 2011.

use super::super::numbers::floats;
use super::super::op::{Built, Node, made, many, one, op, shape, size};
use super::super::registry::{ML, Row, row_in};
use super::labels::Labels;
use super::linear::dot;
use super::transform::{PostTransform, Second, binary, logistic};
use crate::engines::coupling::Coupling;
use crate::tensor::Tensor;

pub(super) const ROWS: &[Row] =
    &[row_in(ML, "SVMClassifier", 1, classifier), row_in(ML, "SVMRegressor", 1, regressor)];

#[derive(Debug, Clone, Copy)]
enum Kernel {
    Linear,
    Poly { gamma: f32, offset: f32, degree: f32 },
    Rbf { gamma: f32 },
    Sigmoid { gamma: f32, offset: f32 },
}

impl Kernel {
    fn read(node: &Node<'_>) -> Result<Self, String> {
        let parameters = node.attributes.floats("kernel_params")?.unwrap_or_default();
        let of = |at: usize| parameters.get(at).copied().unwrap_or(0.0);
        let (gamma, offset, degree) = (of(0), of(1), of(2));
        Ok(match node.attributes.text("kernel_type")? {
            None | Some("LINEAR") => Self::Linear,
            Some("POLY") => Self::Poly { gamma, offset, degree },
            Some("RBF") => Self::Rbf { gamma },
            Some("SIGMOID") => Self::Sigmoid { gamma, offset },
            Some(other) => return Err(format!("kernel_type {other:?} is none that is known")),
        })
    }

    fn of(self, a: &[f32], b: &[f32]) -> f32 {
        match self {
            Self::Linear => dot(a, b),
            Self::Poly { gamma, offset, degree } => (gamma * dot(a, b) + offset).powf(degree),
            Self::Sigmoid { gamma, offset } => (gamma * dot(a, b) + offset).tanh(),
            Self::Rbf { gamma } => {
                let square: f32 = a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum();
                (-gamma * square).exp()
            }
        }
    }
}

/// The kernel of plain weights, whatever is stated.
fn plain(node: &Node<'_>) -> Result<Kernel, String> {
    Kernel::read(node).map(|_| Kernel::Linear)
}

/// Rows of input 0, as wide as expected.
fn rows<'a>(
    x: &Tensor,
    values: &'a [f32],
    width: usize,
) -> Result<(usize, std::slice::ChunksExact<'a, f32>), String> {
    let (rows, found) = match **x.shape() {
        [found] => (1, found),
        [rows, found] => (rows, found),
        _ => return Err(format!("input 0 has shape {}; expected a matrix", x.shape())),
    };
    if found != width {
        return Err(format!("input 0 has {found} columns; expected {width}"));
    }
    Ok((rows, values.chunks_exact(width)))
}

/// Support vectors as rows of one width.
fn vectors(values: &[f32], many: usize) -> Result<usize, String> {
    if many == 0 || values.is_empty() || !values.len().is_multiple_of(many) {
        return Err(format!("{} numbers are not those of {many} support vectors", values.len()));
    }
    Ok(values.len() / many)
}

fn regressor(node: &mut Node<'_>) -> Built {
    let attributes = &node.attributes;
    let kernel = Kernel::read(node)?;
    let coefficients = node.required("coefficients", attributes.floats("coefficients"))?.to_vec();
    let support = attributes.floats("support_vectors")?.unwrap_or_default().to_vec();
    let rho = attributes.floats("rho")?.and_then(|rho| rho.first().copied()).unwrap_or(0.0);
    let many = size(attributes.int("n_supports")?.unwrap_or(0), "n_supports")?;
    let is_one_class = attributes.flag("one_class", false)?;
    // Nobody applies it to a regressor's one score.
    attributes.ignore(&["post_transform"]);
    let width = if many > 0 { vectors(&support, many)? } else { coefficients.len() };
    // Without vectors there are plain weights, whatever kernel is stated.
    let kernel = if many > 0 { kernel } else { Kernel::Linear };
    if many > 0 && coefficients.len() != many {
        return Err(format!("it has {} coefficients for {many} support vectors", coefficients.len()));
    }
    if width == 0 {
        return Err("it has no coefficients".to_owned());
    }
    op(move |inputs| {
        let x = inputs.tensor(0)?;
        let values = floats(x.elements())?;
        let (count, rows) = rows(x, &values, width)?;
        let decide = |row: &[f32]| {
            let sum = if many > 0 {
                let terms = coefficients.iter().zip(support.chunks_exact(width));
                terms.map(|(weight, vector)| weight * kernel.of(row, vector)).sum::<f32>()
            } else {
                kernel.of(row, &coefficients)
            };
            let score = sum + rho;
            match (is_one_class, score > 0.0) {
                (false, _) => score,
                (true, true) => 1.0,
                (true, false) => -1.0,
            }
        };
        one(made([count, 1], rows.map(decide).collect::<Vec<f32>>())?)
    })
}

/// A classifier of support vectors, or of plain weights where it has none.
struct Classifier {
    kernel: Kernel,
    width: usize,
    labels: Labels,
    /// `[classes - 1, vectors]`, or `[classes, width]` without vectors.
    coefficients: Vec<f32>,
    support: Vec<f32>,
    /// How many vectors each class has; none for plain weights.
    of_class: Vec<usize>,
    rho: Vec<f32>,
    prob: Vec<(f32, f32)>,
    transform: PostTransform,
    are_positive: bool,
}

fn classifier(node: &mut Node<'_>) -> Built {
    let attributes = &node.attributes;
    let labels = Labels::read(attributes, "classlabels_ints", "classlabels_strings")?;
    let labels = labels.ok_or("it has no class labels")?;
    let coefficients = node.required("coefficients", attributes.floats("coefficients"))?.to_vec();
    let support = attributes.floats("support_vectors")?.unwrap_or_default().to_vec();
    let of_class = attributes.ints("vectors_per_class")?.unwrap_or_default();
    let of_class = of_class.iter().map(|&n| size(n, "vectors_per_class")).collect::<Result<Vec<_>, _>>()?;
    let rho = attributes.floats("rho")?.unwrap_or_default().to_vec();
    let (a, b) =
        (attributes.floats("prob_a")?.unwrap_or_default(), attributes.floats("prob_b")?.unwrap_or_default());
    let vectors_all =
        of_class.iter().try_fold(0usize, |sum, &n| sum.checked_add(n)).ok_or("too many vectors")?;
    let classes = if vectors_all > 0 { of_class.len() } else { labels.len() };
    let pairs = classes * classes.saturating_sub(1) / 2;
    let (width, weights) = if vectors_all > 0 {
        (
            vectors(&support, vectors_all)?,
            vectors_all.checked_mul(classes.saturating_sub(1)).ok_or("too many vectors")?,
        )
    } else {
        (coefficients.len() / classes.max(1), coefficients.len() / classes.max(1) * classes)
    };
    if coefficients.len() != weights || width == 0 {
        return Err(format!("it has {} coefficients; expected {weights}", coefficients.len()));
    }
    if labels.len() != classes && !(labels.len() <= 2 && classes == 2) {
        return Err(format!("it has {} labels and vectors of {classes} classes", labels.len()));
    }
    if vectors_all > 0 && rho.len() != pairs {
        return Err(format!("it has {} entries of rho; expected {pairs}", rho.len()));
    }
    if a.len() != b.len() || (!a.is_empty() && a.len() != pairs) {
        return Err(format!(
            "it has {} entries of prob_a and {} of prob_b; expected {pairs}",
            a.len(),
            b.len()
        ));
    }
    let machine = Classifier {
        kernel: if vectors_all > 0 { Kernel::read(node)? } else { plain(node)? },
        width,
        labels,
        are_positive: coefficients.iter().all(|&weight| weight >= 0.0),
        coefficients,
        support,
        of_class,
        rho,
        prob: a.iter().copied().zip(b.iter().copied()).collect(),
        transform: PostTransform::read(attributes)?,
    };
    op(move |inputs| {
        let x = inputs.tensor(0)?;
        let values = floats(x.elements())?;
        let (count, rows) = rows(x, &values, machine.width)?;
        let width = machine.scores();
        let whole = shape([count, width])?;
        let mut given = vec![0f32; whole.elements()];
        let mut coupling = Coupling::new(machine.of_class.len());
        let mut chosen = Vec::with_capacity(count);
        for (row, out) in rows.zip(given.chunks_exact_mut(width)) {
            chosen.push(machine.row(row, out, &mut coupling));
        }
        many([made([count], machine.labels.at(chosen.into_iter()))?, made([count, width], given)?])
    })
}

impl Classifier {
    /// How many scores a row is given.
    fn scores(&self) -> usize {
        let classes = self.of_class.len();
        match classes {
            0 => self.labels.len().max(1),
            _ if !self.prob.is_empty() => classes,
            2 => 2,
            _ => classes * (classes - 1) / 2,
        }
    }

    /// The class of a row, and its scores.
    fn row(&self, x: &[f32], out: &mut [f32], coupling: &mut Coupling) -> usize {
        let best = |scores: &[f32]| {
            scores
                .iter()
                .enumerate()
                .fold(0, |best, (at, score)| if *score > scores[best] { at } else { best })
        };
        if self.of_class.is_empty() {
            let rho = self.rho.first().copied().unwrap_or(0.0);
            let weights = self.coefficients.chunks_exact(self.width);
            out.iter_mut().zip(weights).for_each(|(out, weights)| *out = self.kernel.of(x, weights) + rho);
            let mut chosen = best(out);
            let above = if self.are_positive { out[chosen] >= 0.5 } else { out[chosen] > 0.0 };
            if out.len() == 2 && self.prob.is_empty() && above {
                chosen = 1;
            }
            if out.len() > 1 {
                self.transform.apply(out);
            }
            return chosen;
        }
        let (decisions, votes) = self.decide(x);
        // Whatever the probabilities say, the class with the most votes is chosen.
        let chosen =
            votes.iter().enumerate().fold(0, |best, (at, many)| if *many > votes[best] { at } else { best });
        if !self.prob.is_empty() {
            let share = |(decision, (a, b)): (&f32, &(f32, f32))| {
                (1.0 - f64::from(logistic(decision * a + b))).clamp(1e-7, 1.0 - 1e-7)
            };
            let mut shares = vec![0f64; out.len()];
            coupling.couple(decisions.iter().zip(&self.prob).map(share), &mut shares);
            #[allow(clippy::cast_possible_truncation, reason = "the operator gives floats")]
            out.iter_mut().zip(&shares).for_each(|(out, share)| *out = *share as f32);
            if out.len() > 1 {
                self.transform.apply(out);
            }
            return chosen;
        }
        if let [decision] = decisions[..] {
            let second =
                if self.transform == PostTransform::None { Second::Opposite } else { Second::Complement };
            binary(decision, self.transform, second, out);
        } else {
            out.copy_from_slice(&decisions);
            if out.len() > 1 {
                self.transform.apply(out);
            }
        }
        chosen
    }

    /// The decision between each two classes, and how many each class won.
    fn decide(&self, x: &[f32]) -> (Vec<f32>, Vec<u32>) {
        let kernels: Vec<f32> =
            self.support.chunks_exact(self.width).map(|vector| self.kernel.of(x, vector)).collect();
        let (classes, many) = (self.of_class.len(), kernels.len());
        let starts: Vec<usize> = self
            .of_class
            .iter()
            .scan(0, |sum, &n| {
                *sum += n;
                Some(*sum - n)
            })
            .collect();
        let (mut decisions, mut votes) = (Vec::with_capacity(self.rho.len()), vec![0u32; classes]);
        let part = |row: usize, class: usize| -> f64 {
            let range = starts[class]..starts[class] + self.of_class[class];
            let weights = &self.coefficients[row * many..][range.clone()];
            weights.iter().zip(&kernels[range]).map(|(weight, kernel)| f64::from(weight * kernel)).sum()
        };
        for i in 0..classes {
            for j in i + 1..classes {
                let rho = f64::from(self.rho[decisions.len()]);
                let decision = part(j - 1, i) + part(i, j) + rho;
                votes[if decision > 0.0 { i } else { j }] += 1;
                #[allow(clippy::cast_possible_truncation, reason = "kept as a float")]
                decisions.push(decision as f32);
            }
        }
        (decisions, votes)
    }
}
