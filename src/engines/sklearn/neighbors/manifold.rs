//! Manifolds that place a new sample by its neighbours.

use ndarray::ArrayView2;

use super::metric::Fitted;
use super::search::{Reach, Search};
use crate::engines::sklearn::attributes::Matrix;
use crate::engines::sklearn::decomposition::KernelComponents;
use crate::engines::sklearn::linalg::solve_positive;
use crate::engines::sklearn::state::Part;
use crate::engines::sklearn::{Check, Estimator, Facts, Gives, Method, ModelError, Spec, answer, flat};
use crate::limits;
use crate::servable::RunError;
use crate::tensor::Tensor;

const UNSUPERVISED: [&str; 2] = ["sklearn.neighbors._unsupervised", "sklearn.neighbors.unsupervised"];

#[derive(Debug)]
enum Place {
    /// By the shortest ways to all samples. Tenenbaum, De Silva and Langford, 2000.
    Geodesic { ways: Matrix, components: KernelComponents },
    /// By the weights that make the sample of its neighbours. Roweis and Saul, 2000.
    Weights { embedding: Matrix, regularization: f64 },
}

#[derive(Debug)]
struct Manifold {
    facts: Facts,
    fitted: Fitted,
    reach: Reach,
    place: Place,
}

/// Source: `sklearn.manifold.Isomap`.
pub(super) fn build_isomap(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    let fitted = Fitted::read(&part.within("nbrs_", &UNSUPERVISED, "NearestNeighbors")?)?;
    let reach = if part.attr("n_neighbors").is_some() {
        Reach::Nearest(super::unsupervised::n_neighbors(part, "n_neighbors", &fitted)?)
    } else {
        Reach::Radius(part.number("radius")?)
    };
    let ways = part.matrix_of("dist_matrix_", fitted.len())?;
    let modules = ["sklearn.decomposition._kernel_pca", "sklearn.decomposition.kernel_pca"];
    let (components, outputs) =
        KernelComponents::precomputed(&part.within("kernel_pca_", &modules, "KernelPCA")?)?;
    if ways.rows != fitted.len() || components.kept() != fitted.len() {
        let why = format!("has {} rows; expected one for each of {} samples", ways.rows, fitted.len());
        return Err(part.refuse("dist_matrix_", why));
    }
    manifold(part, fitted, reach, Place::Geodesic { ways, components }, outputs)
}

/// Source: `sklearn.manifold.LocallyLinearEmbedding`.
pub(super) fn build_locally_linear(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    let fitted = Fitted::read(&part.within("nbrs_", &UNSUPERVISED, "NearestNeighbors")?)?;
    let count = super::unsupervised::n_neighbors(part, "n_neighbors", &fitted)?;
    if count.saturating_mul(count) > limits::SQUARE_NUMBERS_MAX {
        return Err(part.refuse("n_neighbors", format!("is {count}, more than are solved for")));
    }
    let embedding = part.matrix("embedding_")?;
    if embedding.rows != fitted.len() || embedding.columns == 0 {
        let why = format!("has {} rows; expected one for each of {} samples", embedding.rows, fitted.len());
        return Err(part.refuse("embedding_", why));
    }
    let (outputs, regularization) = (embedding.columns, part.number("reg")?);
    manifold(part, fitted, Reach::Nearest(count), Place::Weights { embedding, regularization }, outputs)
}

fn manifold(
    part: &Part<'_>,
    fitted: Fitted,
    reach: Reach,
    place: Place,
    outputs: usize,
) -> Result<Box<dyn Estimator>, ModelError> {
    let n_features = part.n_features(fitted.features(), "nbrs_")?;
    let facts = Facts::new(part, n_features, Check::Finite, vec![Spec::transform(outputs)])?;
    Ok(Box::new(Manifold { facts, fitted, reach, place }))
}

impl Manifold {
    fn of_row(&self, search: &mut Search<'_>, row: &[f64]) -> Result<Vec<f64>, RunError> {
        let neighbors = search.of(row, self.reach);
        match &self.place {
            Place::Geodesic { ways, components } => {
                let mut shortest = vec![f64::INFINITY; ways.columns];
                for neighbor in neighbors {
                    for (to, way) in shortest.iter_mut().zip(ways.row(neighbor.place)) {
                        *to = to.min(way + neighbor.distance);
                    }
                }
                if neighbors.is_empty() {
                    let why = "a sample has no neighbors within the radius, from which it could be reached";
                    return Err(RunError::InvalidInput(why.to_owned()));
                }
                shortest.iter_mut().for_each(|way| *way = -0.5 * (*way * *way));
                let kernel = ArrayView2::from_shape((1, shortest.len()), &shortest);
                components.project(kernel.map_err(|error| RunError::Internal(error.to_string()))?)
            }
            Place::Weights { embedding, regularization } => {
                let count = neighbors.len();
                let apart: Vec<Vec<f64>> = neighbors
                    .iter()
                    .map(|n| self.fitted.row(n.place).iter().zip(row).map(|(a, x)| a - x).collect())
                    .collect();
                let mut gram = vec![0.0; count * count];
                for i in 0..count {
                    for j in 0..count {
                        gram[i * count + j] = apart[i].iter().zip(&apart[j]).map(|(a, b)| a * b).sum();
                    }
                }
                let trace: f64 = (0..count).map(|i| gram[i * count + i]).sum();
                let more = if trace > 0.0 { regularization * trace } else { *regularization };
                (0..count).for_each(|i| gram[i * count + i] += more);
                let Some(weights) = solve_positive(&gram, count) else {
                    return Err(RunError::InvalidInput(
                        "the neighbors of a sample have singular products".to_owned(),
                    ));
                };
                let total: f64 = weights.iter().sum();
                let mut placed = vec![0.0; embedding.columns];
                for (neighbor, weight) in neighbors.iter().zip(&weights) {
                    let known = embedding.row(neighbor.place);
                    placed.iter_mut().zip(known).for_each(|(sum, value)| *sum += value * weight / total);
                }
                Ok(placed)
            }
        }
    }
}

impl Estimator for Manifold {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn compute(
        &self,
        x: ArrayView2<'_, f64>,
        wanted: &[Method],
        answers: &mut Vec<Tensor>,
    ) -> Result<(), RunError> {
        let columns = self.facts.gives(Method::Transform).columns().unwrap_or(0);
        for _ in wanted {
            let mut search = Search::new(&self.fitted);
            let mut values = Vec::with_capacity(x.nrows() * columns);
            for row in flat(&x).chunks_exact(self.fitted.features().max(1)) {
                values.extend(self.of_row(&mut search, row)?);
            }
            answers.push(answer(x.nrows(), Gives::Columns(columns), values.into())?);
        }
        Ok(())
    }
}
