//! Dictionaries: rows as sums of a few atoms.

use ndarray::ArrayView2;

use super::lars::{self, Path};
use super::linear_map::not_empty;
use crate::engines::sklearn::attributes::Matrix;
use crate::engines::sklearn::state::Part;
use crate::engines::sklearn::{Check, Estimator, Facts, Method, ModelError, Spec, answer, flat};
use crate::servable::RunError;
use crate::tensor::Tensor;

/// Rounds after which the weights of a code have to rest.
pub(super) const ROUNDS_MAX: usize = 100_000;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Algorithm {
    /// So many atoms, the one that explains most of the rest first.
    MatchingPursuit { atoms: usize },
    /// What an atom has in common with the row, less so much.
    Threshold { alpha: f64 },
    /// The least squares, with weights that cost so much.
    Lasso { alpha: f64 },
    /// So many steps of a path of least angles.
    Path(Path),
}

#[derive(Debug)]
struct Coding {
    facts: Facts,
    /// `[atoms, features]`.
    atoms: Matrix,
    gram: Matrix,
    algorithm: Algorithm,
    positive: bool,
    /// Whether what is positive and what is negative have columns of their own.
    split: bool,
}

/// `DictionaryLearning`, `MiniBatchDictionaryLearning` and `SparseCoder`. Source:
/// `sklearn.decomposition._dict_learning._BaseSparseCoding`.
pub(super) fn build(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    let coder = part.class == "SparseCoder";
    let name = if coder { "dictionary" } else { "components_" };
    let atoms = not_empty(part, name)?;
    let n_features = part.n_features(atoms.columns, name)?;
    let count = atoms.rows;
    let kind =
        part.one_of("transform_algorithm", "omp", &["omp", "threshold", "lasso_cd", "lasso_lars", "lars"])?;
    let alpha = match (part.attr("transform_alpha"), coder) {
        (Some(_), _) => part.number("transform_alpha")?,
        // Since 1.0 what it was fitted with is what it answers with.
        (None, false) if part.version() >= (1, 0) => part.number_or("alpha", 1.0)?,
        _ => 1.0,
    };
    #[allow(clippy::cast_precision_loss, reason = "a number of features")]
    let alpha_of_one = alpha / n_features as f64;
    let positive = part.flag("positive_code", false)?;
    if positive && matches!(kind, "omp" | "lars") {
        let why = format!("is True, which scikit-learn does not answer for '{kind}'");
        return Err(part.refuse("positive_code", why));
    }
    let algorithm = match kind {
        "omp" => Algorithm::MatchingPursuit { atoms: asked_atoms(part, n_features, count)? },
        "threshold" => Algorithm::Threshold { alpha },
        "lars" => Algorithm::Path(Path::Angles { atoms: asked_atoms(part, n_features, count)? }),
        // Its path leaves the optimum where a weight would have to become negative.
        "lasso_lars" if positive => {
            let steps = if part.attr("transform_max_iter").is_some() {
                part.count("transform_max_iter")?
            } else {
                1000
            };
            Algorithm::Path(Path::PositiveLasso { alpha: alpha_of_one, steps })
        }
        _ => Algorithm::Lasso { alpha: alpha_of_one },
    };
    let split = part.flag("split_sign", false)?;
    let columns = count * (1 + usize::from(split));
    let mut methods = vec![Spec::transform(columns)];
    if part.version() >= (1, 8) {
        methods.push(Spec::inverse_transform(columns, n_features));
    }
    let facts = Facts::new(part, n_features, Check::Finite, methods)?;
    let gram = if matches!(algorithm, Algorithm::Threshold { .. }) {
        Matrix { values: Vec::new(), rows: 0, columns: 0 }
    } else if atoms.has_gram() {
        atoms.times(&atoms.transposed())
    } else {
        return Err(part.refuse(name, format!("has {count} atoms, more than are compared with each other")));
    };
    Ok(Box::new(Coding { facts, atoms, gram, algorithm, positive, split }))
}

/// How many atoms a code has at most.
fn asked_atoms(part: &Part<'_>, n_features: usize, count: usize) -> Result<usize, ModelError> {
    const NAME: &str = "transform_n_nonzero_coefs";
    let asked =
        if part.attr(NAME).is_some() { part.count(NAME)? } else { (n_features / 10).max(1).min(count) };
    if asked == 0 || asked > count {
        let why = format!("is {asked}; expected at least 1, and no more than the {count} atoms");
        return Err(part.refuse(NAME, why));
    }
    Ok(asked)
}

fn no_rest() -> RunError {
    RunError::InvalidInput(format!("the code of a row did not come to rest in {ROUNDS_MAX} rounds"))
}

impl Coding {
    fn code(&self, row: &[f64]) -> Result<Vec<f64>, RunError> {
        let common: Vec<f64> =
            self.atoms.iter().map(|atom| atom.iter().zip(row).map(|(a, x)| a * x).sum()).collect();
        let mut code = match self.algorithm {
            Algorithm::Threshold { alpha } => common
                .iter()
                .map(|&c| {
                    let sign = if c > 0.0 {
                        1.0
                    } else if c < 0.0 {
                        -1.0
                    } else {
                        0.0
                    };
                    sign * (c.abs() - alpha).max(0.0)
                })
                .collect(),
            Algorithm::MatchingPursuit { atoms } => self.pursue(&common, atoms),
            #[allow(clippy::cast_precision_loss, reason = "a number of features")]
            Algorithm::Lasso { alpha } => self.lasso(&common, alpha * row.len() as f64)?,
            Algorithm::Path(path) => {
                lars::weights(&common, &self.gram, row.len(), path).ok_or_else(no_rest)?
            }
        };
        if self.positive && matches!(self.algorithm, Algorithm::Threshold { .. }) {
            code.iter_mut().for_each(|value| *value = value.max(0.0));
        }
        Ok(code)
    }

    /// Orthogonal matching pursuit. Source: `sklearn.linear_model._omp._gram_omp`; Rubinstein,
    /// Zibulevsky and Elad, 2008.
    fn pursue(&self, common: &[f64], atoms: usize) -> Vec<f64> {
        let count = common.len();
        let mut chosen: Vec<usize> = Vec::with_capacity(atoms);
        let mut weights: Vec<f64> = Vec::new();
        let mut rest = common.to_vec();
        // The lower triangle of the Cholesky factor of the chosen atoms' products, row by row.
        let mut factor: Vec<Vec<f64>> = Vec::with_capacity(atoms);
        while chosen.len() < atoms {
            let most = (0..count).fold(0, |best, i| if rest[i].abs() > rest[best].abs() { i } else { best });
            if chosen.contains(&most) || rest[most] * rest[most] < f64::EPSILON {
                break;
            }
            let mut line = Vec::with_capacity(chosen.len() + 1);
            for (i, &other) in chosen.iter().enumerate() {
                let known: f64 = factor[i].iter().zip(&line).map(|(a, b): (&f64, &f64)| a * b).sum();
                line.push((self.gram.row(most)[other] - known) / factor[i][i]);
            }
            let own = self.gram.row(most)[most] - line.iter().map(|v| v * v).sum::<f64>();
            if own <= f64::EPSILON {
                break;
            }
            line.push(own.sqrt());
            factor.push(line);
            chosen.push(most);
            weights = solve(&factor, chosen.iter().map(|&atom| common[atom]).collect());
            for (i, rest) in rest.iter_mut().enumerate() {
                let explained: f64 =
                    chosen.iter().zip(&weights).map(|(&atom, weight)| self.gram.row(i)[atom] * weight).sum();
                *rest = common[i] - explained;
            }
        }
        let mut code = vec![0.0; count];
        chosen.iter().zip(&weights).for_each(|(&atom, &weight)| code[atom] = weight);
        code
    }

    /// The lasso, by coordinate descent until the weights rest to the last digits; the
    /// optimum that scikit-learn's path and descent approach.
    fn lasso(&self, common: &[f64], penalty: f64) -> Result<Vec<f64>, RunError> {
        let mut code = vec![0.0; common.len()];
        for _ in 0..ROUNDS_MAX {
            let (mut moved, mut largest) = (0.0_f64, 0.0_f64);
            for t in 0..code.len() {
                let gram = self.gram.row(t);
                if gram[t] == 0.0 {
                    continue;
                }
                let others: f64 = gram.iter().zip(&code).map(|(g, c)| g * c).sum::<f64>() - gram[t] * code[t];
                let wanted = common[t] - others;
                let new = if wanted > penalty {
                    (wanted - penalty) / gram[t]
                } else if wanted < -penalty && !self.positive {
                    (wanted + penalty) / gram[t]
                } else {
                    0.0
                };
                moved = moved.max((new - code[t]).abs());
                largest = largest.max(new.abs());
                code[t] = new;
            }
            if moved <= 1e-14 * largest {
                return Ok(code);
            }
        }
        Err(no_rest())
    }
}

/// Solves with a Cholesky factor.
fn solve(factor: &[Vec<f64>], mut values: Vec<f64>) -> Vec<f64> {
    for i in 0..values.len() {
        let known: f64 = (0..i).map(|j| factor[i][j] * values[j]).sum();
        values[i] = (values[i] - known) / factor[i][i];
    }
    for i in (0..values.len()).rev() {
        let known: f64 = (i + 1..values.len()).map(|j| factor[j][i] * values[j]).sum();
        values[i] = (values[i] - known) / factor[i][i];
    }
    values
}

impl Estimator for Coding {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn compute(
        &self,
        x: ArrayView2<'_, f64>,
        wanted: &[Method],
        answers: &mut Vec<Tensor>,
    ) -> Result<(), RunError> {
        let count = self.atoms.rows;
        for &method in wanted {
            let mut values = Vec::new();
            for row in flat(&x).chunks_exact(x.ncols().max(1)) {
                if method == Method::InverseTransform {
                    let weight = |i: usize| if self.split { row[i] - row[count + i] } else { row[i] };
                    let mut made = vec![0.0; self.atoms.columns];
                    for (i, atom) in self.atoms.iter().enumerate() {
                        made.iter_mut().zip(atom).for_each(|(sum, a)| *sum += weight(i) * a);
                    }
                    values.extend(made);
                    continue;
                }
                let code = self.code(row)?;
                if self.split {
                    values.extend(code.iter().map(|c| c.max(0.0)));
                    values.extend(code.iter().map(|c| (-c).max(0.0)));
                } else {
                    values.extend(code);
                }
            }
            answers.push(answer(x.nrows(), self.facts.gives(method), values.into())?);
        }
        Ok(())
    }
}
