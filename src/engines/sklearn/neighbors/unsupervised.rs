//! Neighbours by themselves, and as a graph.

use ndarray::ArrayView2;

use super::metric::Fitted;
use super::search::{Reach, Search};
use crate::engines::sklearn::json_rows::JsonRows;
use crate::engines::sklearn::samples::{Csr, Frame, Samples};
use crate::engines::sklearn::state::Part;
use crate::engines::sklearn::{
    Check, Estimator, Facts, Gives, Method, ModelError, Spec, answer, bounded, flat,
};
use crate::servable::RunError;
use crate::tensor::{DType, Tensor};

/// How many neighbours an estimator was told to look at; there are so many.
pub(super) fn n_neighbors(part: &Part<'_>, name: &'static str, fitted: &Fitted) -> Result<usize, ModelError> {
    let count = part.count(name)?;
    if count == 0 || count > fitted.len() {
        let why =
            format!("is {count}; expected at least 1, and no more than the {} fitted samples", fitted.len());
        return Err(part.refuse(name, why));
    }
    Ok(count)
}

/// The methods that tell the nearest neighbours.
pub(super) fn kneighbors(count: usize) -> [Spec; 2] {
    [
        Spec::new(Method::NeighborDistances, DType::Double, Gives::Columns(count)),
        Spec::new(Method::NeighborIndices, DType::Int64, Gives::Columns(count)),
    ]
}

/// The methods that tell the neighbours within a radius, one JSON list for each sample.
pub(super) fn radius_neighbors() -> [Spec; 2] {
    [Method::RadiusDistances, Method::RadiusIndices]
        .map(|method| Spec::new(method, DType::String, Gives::One))
}

/// What `radius_neighbors` answers, in the order that the neighbours were fitted in: that of
/// scikit-learn's brute force. Its trees have orders of their own.
pub(super) fn answer_radius(
    class: &'static str,
    fitted: &Fitted,
    x: ArrayView2<'_, f64>,
    radius: f64,
    method: Method,
) -> Result<Tensor, RunError> {
    let mut rows = JsonRows::new(class);
    let mut search = Search::new(fitted);
    for row in flat(&x).chunks_exact(fitted.features().max(1)) {
        let found = search.of(row, Reach::Radius(radius)).iter();
        match method {
            Method::RadiusDistances => rows.push_list(found.map(|neighbor| neighbor.distance))?,
            _ => rows.push_list(found.map(|neighbor| neighbor.place))?,
        }
    }
    rows.into_tensor()
}

/// What `kneighbors` answers: distances, or places.
pub(super) fn answer_kneighbors(
    fitted: &Fitted,
    x: ArrayView2<'_, f64>,
    count: usize,
    method: Method,
) -> Result<Tensor, RunError> {
    let (mut distances, mut places) = (Vec::new(), Vec::new());
    let mut search = Search::new(fitted);
    for row in flat(&x).chunks_exact(fitted.features().max(1)) {
        for neighbor in search.of(row, Reach::Nearest(count)) {
            match method {
                Method::NeighborDistances => distances.push(neighbor.distance),
                #[allow(clippy::cast_possible_wrap, reason = "a place in memory")]
                _ => places.push(neighbor.place as i64),
            }
        }
    }
    let elements = if method == Method::NeighborDistances { distances.into() } else { places.into() };
    answer(x.nrows(), Gives::Columns(count), elements)
}

#[derive(Debug)]
struct Neighbors {
    facts: Facts,
    fitted: Fitted,
    count: usize,
    /// Of one that looks within it, too.
    radius: Option<f64>,
    /// Of a transformer, what it makes a graph of.
    graph: Option<Graph>,
}

#[derive(Debug)]
struct Graph {
    reach: Reach,
    /// Whether the entries are distances, or ones.
    distances: bool,
}

/// Source: `sklearn.neighbors.NearestNeighbors`.
pub(super) fn build(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    let fitted = Fitted::read(part)?;
    let n_features = part.n_features(fitted.features(), "_fit_X")?;
    let count = n_neighbors(part, "n_neighbors", &fitted)?;
    let mut methods = kneighbors(count).to_vec();
    let radius = part.attr("radius").map(|_| part.number("radius")).transpose()?;
    if radius.is_some() {
        methods.extend(radius_neighbors());
    }
    let facts = Facts::new(part, n_features, Check::Finite, methods)?;
    Ok(Box::new(Neighbors { facts, fitted, count, radius, graph: None }))
}

/// `KNeighborsTransformer` and `RadiusNeighborsTransformer`. Source: `sklearn.neighbors._graph`.
pub(super) fn build_graph(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    let fitted = Fitted::read(part)?;
    let n_features = part.n_features(fitted.features(), "_fit_X")?;
    let distances = part.one_of("mode", "distance", &["distance", "connectivity"])? == "distance";
    let mut methods = vec![Spec::transform(fitted.len())];
    let (count, reach, radius) = if part.class == "KNeighborsTransformer" {
        let count = n_neighbors(part, "n_neighbors", &fitted)?;
        methods.extend(kneighbors(count));
        // A sample of the fitted ones is its own neighbour, at a distance that says nothing.
        let reach = count + usize::from(distances);
        if reach > fitted.len() {
            let why = format!("is {count}; with distances it has to be less than {}", fitted.len());
            return Err(part.refuse("n_neighbors", why));
        }
        (count, Reach::Nearest(reach), None)
    } else {
        let radius = part.number("radius")?;
        methods.extend(radius_neighbors());
        (0, Reach::Radius(radius), Some(radius))
    };
    let facts = Facts::new(part, n_features, Check::Finite, methods)?;
    Ok(Box::new(Neighbors { facts, fitted, count, radius, graph: Some(Graph { reach, distances }) }))
}

impl Neighbors {
    fn graph_of(&self, x: ArrayView2<'_, f64>, graph: &Graph) -> Csr {
        let mut entries = Csr::new(self.fitted.len());
        let mut search = Search::new(&self.fitted);
        let mut row_entries: Vec<(u32, f64)> = Vec::new();
        for row in flat(&x).chunks_exact(self.fitted.features().max(1)) {
            row_entries.clear();
            row_entries.extend(search.of(row, graph.reach).iter().map(|neighbor| {
                #[allow(clippy::cast_possible_truncation, reason = "so many samples are not held")]
                let place = neighbor.place as u32;
                (place, if graph.distances { neighbor.distance } else { 1.0 })
            }));
            row_entries.sort_unstable_by_key(|(place, _)| *place);
            entries.push_row(row_entries.iter().copied());
        }
        entries
    }
}

impl Estimator for Neighbors {
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
            if let (Method::RadiusDistances | Method::RadiusIndices, Some(radius)) = (method, self.radius) {
                answers.push(answer_radius(self.facts.class, &self.fitted, x, radius, method)?);
                continue;
            }
            answers.push(match (&self.graph, method) {
                (Some(graph), Method::Transform) => {
                    Frame::Sparse(self.graph_of(x, graph)).into_tensor(self.facts.class)?
                }
                _ => answer_kneighbors(&self.fitted, x, self.count, method)?,
            });
        }
        Ok(())
    }

    fn transform(&self, x: Samples<'_>) -> Result<Frame, RunError> {
        // As many as a radius may reach.
        bounded(self.facts.class, x.rows(), self.fitted.len())?;
        let Some(graph) = &self.graph else {
            return Err(RunError::Internal("neighbours have no transform".to_owned()));
        };
        let Samples::Dense(x) = x else {
            let x = x.to_dense(self.facts.class)?;
            return Ok(Frame::Sparse(self.graph_of(x.view(), graph)));
        };
        Ok(Frame::Sparse(self.graph_of(x, graph)))
    }
}
