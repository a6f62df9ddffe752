//! How far two samples are from each other.

use super::tree::Tree;
use crate::engines::sklearn::ModelError;
use crate::engines::sklearn::attributes::Matrix;
use crate::engines::sklearn::pairwise::Points;
use crate::engines::sklearn::state::Part;
use crate::formats::pickle::Ref;

/// A distance of two rows. Source: `sklearn.metrics.DistanceMetric`, `scipy.spatial.distance`.
#[derive(Debug)]
pub(in crate::engines::sklearn) enum Metric {
    Euclidean,
    SquaredEuclidean,
    Manhattan,
    Chebyshev,
    Minkowski {
        p: f64,
    },
    /// Each feature's difference, raised to `p`, counts so much.
    WeightedMinkowski {
        p: f64,
        weights: Vec<f64>,
    },
    /// Each feature's difference is divided by its standard deviation.
    StandardizedEuclidean {
        variances: Vec<f64>,
    },
    Mahalanobis {
        inverse: Matrix,
    },
    Canberra,
    BrayCurtis,
    Hamming,
    Cosine,
    Correlation,
    Haversine,
    /// Of what is not zero in one, the other or both.
    Sets(Sets),
    /// The sample is its distances.
    Precomputed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::engines::sklearn) enum Sets {
    Jaccard,
    Dice,
    RogersTanimoto,
    RussellRao,
    SokalSneath,
}

/// The samples that were fitted, and how others are compared with them.
#[derive(Debug)]
pub(super) struct Fitted {
    pub(super) metric: Metric,
    /// Row by row.
    pub(super) rows: Vec<f64>,
    features: usize,
    pub(super) layout: Layout,
}

/// How fitted samples lie for a search.
#[derive(Debug)]
pub(super) enum Layout {
    /// All are compared.
    Flat(Points),
    Tree(Tree),
}

impl Fitted {
    /// `_fit_X` with its metric, and the tree that was made of it.
    pub(super) fn read(part: &Part<'_>) -> Result<Self, ModelError> {
        const NAME: &str = "_fit_X";
        const TREE: &str = "_tree";
        let Matrix { values: rows, columns: features, .. } = part.matrix(NAME)?;
        if rows.is_empty() || features == 0 {
            return Err(part.refuse(NAME, "has no numbers; expected at least one sample"));
        }
        let metric = Metric::read(part, features, ("effective_metric_", "effective_metric_params_"))?;
        if matches!(metric, Metric::Precomputed) && rows.len() != features.saturating_mul(features) {
            let why = format!("has {} distances of {features} samples; expected a square", rows.len());
            return Err(part.refuse(NAME, why));
        }
        let layout = if part.attr(TREE).is_none_or(|tree| tree.is_none()) {
            Layout::Flat(Points::new(&rows, features))
        } else {
            Layout::Tree(Tree::read(part, TREE, &rows, features, &metric)?)
        };
        Ok(Self { metric, rows, features, layout })
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len() / self.features
    }

    /// One fitted sample.
    pub(super) fn row(&self, place: usize) -> &[f64] {
        &self.rows[place * self.features..(place + 1) * self.features]
    }

    pub(super) fn features(&self) -> usize {
        self.features
    }
}

impl Metric {
    /// The metric and its parameters that attributes of these names have.
    /// Source: `sklearn.neighbors._base.NeighborsBase._fit`, which settles the metric and what
    /// belongs to it.
    pub(in crate::engines::sklearn) fn read(
        part: &Part<'_>,
        features: usize,
        (attribute, parameters): (&'static str, &'static str),
    ) -> Result<Self, ModelError> {
        let value = part.fitted(attribute)?;
        let Some(name) = value.to_str() else {
            return Err(part.unexpected(attribute, value, "the name of a metric; functions are not called"));
        };
        let params = part.attr(parameters);
        let param =
            |key: &str| params.and_then(|params| params.get(key)).filter(|value: &Ref<'_>| !value.is_none());
        let numbers = |key: &str, value, len: usize| -> Result<Vec<f64>, ModelError> {
            let numbers = part.numbers_of(parameters, value)?;
            if numbers.len() == len && numbers.iter().all(|number| number.is_finite()) {
                return Ok(numbers);
            }
            Err(part.refuse(
                parameters,
                format!("has {} numbers in {key}; expected {len} finite ones", numbers.len()),
            ))
        };
        let square = |key: &str, value| -> Result<Matrix, ModelError> {
            let values = numbers(key, value, features * features)?;
            Ok(Matrix { values, rows: features, columns: features })
        };
        let needs = |key: &str| {
            part.refuse(parameters, format!("has no {key}, which {name} needs of a model that is served"))
        };
        Ok(match &*name {
            "euclidean" | "l2" | "p2" => Metric::Euclidean,
            "sqeuclidean" => Metric::SquaredEuclidean,
            "manhattan" | "cityblock" | "l1" => Metric::Manhattan,
            "chebyshev" | "infinity" => Metric::Chebyshev,
            "minkowski" | "p" => {
                let p = param("p").and_then(Ref::as_f64).unwrap_or(2.0);
                if !(p > 0.0 && p.is_finite()) {
                    return Err(
                        part.refuse(parameters, format!("has a p of {p}; expected a finite number above 0"))
                    );
                }
                match param("w") {
                    Some(weights) => {
                        Metric::WeightedMinkowski { p, weights: numbers("w", weights, features)? }
                    }
                    None => Metric::Minkowski { p },
                }
            }
            "seuclidean" => {
                let variances = numbers("V", param("V").ok_or_else(|| needs("V"))?, features)?;
                Metric::StandardizedEuclidean { variances }
            }
            "mahalanobis" => match (param("VI"), param("V")) {
                (Some(inverse), _) => Metric::Mahalanobis { inverse: square("VI", inverse)? },
                (None, Some(covariance)) => {
                    let inverse = square("V", covariance)?.inverse();
                    let inverse =
                        inverse.ok_or_else(|| part.refuse(parameters, "has a V without an inverse"))?;
                    Metric::Mahalanobis { inverse }
                }
                (None, None) => return Err(needs("VI")),
            },
            "canberra" => Metric::Canberra,
            "braycurtis" => Metric::BrayCurtis,
            "hamming" | "matching" => Metric::Hamming,
            "cosine" => Metric::Cosine,
            "correlation" => Metric::Correlation,
            "haversine" if features == 2 => Metric::Haversine,
            "jaccard" => Metric::Sets(Sets::Jaccard),
            "dice" => Metric::Sets(Sets::Dice),
            "rogerstanimoto" | "sokalmichener" => Metric::Sets(Sets::RogersTanimoto),
            "russellrao" => Metric::Sets(Sets::RussellRao),
            "sokalsneath" => Metric::Sets(Sets::SokalSneath),
            "precomputed" => Metric::Precomputed,
            other => {
                let shown: String = other.chars().take(64).flat_map(char::escape_debug).collect();
                return Err(part.refuse(attribute, format!("is '{shown}', a metric that is not served")));
            }
        })
    }

    /// Whether each feature of two samples adds to what they are compared by, as
    /// [`Metric::compare`] does for many samples at once.
    pub(super) fn is_by_feature(&self) -> bool {
        matches!(
            self,
            Self::Euclidean
                | Self::SquaredEuclidean
                | Self::Manhattan
                | Self::Chebyshev
                | Self::Minkowski { .. }
        )
    }

    /// What the sample is compared with each point by, of a metric that is by feature.
    pub(super) fn compare(&self, points: &Points, x: &[f64], out: &mut [f64]) {
        match self {
            Self::Manhattan => points.manhattan_distances(x, out),
            Self::Chebyshev => points.chebyshev_distances(x, out),
            Self::Minkowski { p } => points.minkowski_sums(x, *p, out),
            _ => points.squared_distances(x, out),
        }
    }

    /// A number for each of all samples that grows with the distance; [`Metric::finish`]
    /// makes the distance of it. `out` has a place for each of `rows`, which are `points` too.
    pub(in crate::engines::sklearn) fn compare_all(
        &self,
        points: &Points,
        rows: &[f64],
        x: &[f64],
        out: &mut [f64],
    ) {
        match self {
            Self::Precomputed => out.copy_from_slice(x),
            metric if metric.is_by_feature() => metric.compare(points, x, out),
            metric => {
                for (row, out) in rows.chunks_exact(x.len()).zip(out) {
                    *out = metric.of(x, row);
                }
            }
        }
    }

    /// The distance that was compared by this number.
    pub(in crate::engines::sklearn) fn finish(&self, compared: f64) -> f64 {
        match self {
            Self::Euclidean | Self::StandardizedEuclidean { .. } | Self::Mahalanobis { .. } => {
                compared.sqrt()
            }
            Self::Minkowski { p } | Self::WeightedMinkowski { p, .. } => compared.powf(1.0 / p),
            _ => compared,
        }
    }

    /// What is compared for this distance.
    pub(super) fn compared(&self, distance: f64) -> f64 {
        match self {
            Self::Euclidean | Self::StandardizedEuclidean { .. } | Self::Mahalanobis { .. } => {
                distance * distance
            }
            Self::Minkowski { p } | Self::WeightedMinkowski { p, .. } => distance.powf(*p),
            _ => distance,
        }
    }

    /// What the nearest sample in a box is compared by, at the least. Source: `min_rdist` of
    /// `sklearn.neighbors._kd_tree`, whose metrics are those that are by feature.
    pub(super) fn to_box(&self, x: &[f64], lower: &[f64], upper: &[f64]) -> f64 {
        let outside = x.iter().zip(lower).zip(upper).map(|((x, lower), upper)| {
            let (below, above) = (lower - x, x - upper);
            0.5 * ((below + below.abs()) + (above + above.abs()))
        });
        match self {
            Self::Chebyshev => outside.fold(0.0, f64::max),
            Self::Manhattan => outside.sum(),
            Self::Minkowski { p } => outside.map(|outside| outside.powf(*p)).sum(),
            _ => outside.map(|outside| outside * outside).sum(),
        }
    }

    /// What two samples are compared by.
    pub(super) fn of(&self, a: &[f64], b: &[f64]) -> f64 {
        let pairs = || a.iter().copied().zip(b.iter().copied());
        match self {
            Self::Euclidean | Self::SquaredEuclidean => pairs().map(|(a, b)| (a - b) * (a - b)).sum(),
            Self::Manhattan => pairs().map(|(a, b)| (a - b).abs()).sum(),
            Self::Chebyshev => pairs().map(|(a, b)| (a - b).abs()).fold(0.0, f64::max),
            Self::Minkowski { p } => pairs().map(|(a, b)| (a - b).abs().powf(*p)).sum(),
            Self::WeightedMinkowski { p, weights } => {
                pairs().zip(weights).map(|((a, b), weight)| weight * (a - b).abs().powf(*p)).sum()
            }
            Self::StandardizedEuclidean { variances } => {
                pairs().zip(variances).map(|((a, b), variance)| (a - b) * (a - b) / variance).sum()
            }
            Self::Mahalanobis { inverse } => {
                let apart: Vec<f64> = pairs().map(|(a, b)| a - b).collect();
                let weighted =
                    inverse.iter().map(|row| row.iter().zip(&apart).map(|(w, d)| w * d).sum::<f64>());
                weighted.zip(&apart).map(|(weighted, apart)| weighted * apart).sum()
            }
            Self::Canberra => {
                let one = |(a, b): (f64, f64)| match a.abs() + b.abs() {
                    0.0 => 0.0,
                    both => (a - b).abs() / both,
                };
                pairs().map(one).sum()
            }
            Self::BrayCurtis => {
                let (apart, together) = pairs().fold((0.0, 0.0), |(apart, together), (a, b)| {
                    (apart + (a - b).abs(), together + a.abs() + b.abs())
                });
                if together > 0.0 { apart / together } else { 0.0 }
            }
            #[allow(clippy::cast_precision_loss, reason = "a number of features")]
            Self::Hamming => pairs().filter(|(a, b)| a != b).count() as f64 / a.len() as f64,
            Self::Cosine => cosine_distance(a, b, 0.0, 0.0),
            Self::Correlation => {
                #[allow(clippy::cast_precision_loss, reason = "a number of features")]
                let mean = |row: &[f64]| row.iter().sum::<f64>() / row.len() as f64;
                cosine_distance(a, b, mean(a), mean(b))
            }
            Self::Haversine => {
                let (north, east) = ((0.5 * (a[0] - b[0])).sin(), (0.5 * (a[1] - b[1])).sin());
                2.0 * (north * north + a[0].cos() * b[0].cos() * east * east).sqrt().asin()
            }
            Self::Sets(sets) => sets.of(a, b),
            // It has no samples of its own.
            Self::Precomputed => 0.0,
        }
    }
}

/// One less the cosine of two rows, each less its middle.
fn cosine_distance(a: &[f64], b: &[f64], middle_a: f64, middle_b: f64) -> f64 {
    let (mut dot, mut square_a, mut square_b) = (0.0, 0.0, 0.0);
    for (&a, &b) in a.iter().zip(b) {
        let (a, b) = (a - middle_a, b - middle_b);
        (dot, square_a, square_b) = (dot + a * b, square_a + a * a, square_b + b * b);
    }
    let lengths = square_a.sqrt() * square_b.sqrt();
    // A row of zeros is at a right angle to all, as its normalised row is zeros again.
    let cosine = if lengths > 0.0 { dot / lengths } else { 0.0 };
    (1.0 - cosine).clamp(0.0, 2.0)
}

impl Sets {
    fn of(self, a: &[f64], b: &[f64]) -> f64 {
        let (mut both, mut one) = (0.0, 0.0);
        for (&a, &b) in a.iter().zip(b) {
            match (a != 0.0, b != 0.0) {
                (true, true) => both += 1.0,
                (true, false) | (false, true) => one += 1.0,
                (false, false) => {}
            }
        }
        #[allow(clippy::cast_precision_loss, reason = "a number of features")]
        let all = a.len() as f64;
        let share = |part: f64, whole: f64| if whole == 0.0 { 0.0 } else { part / whole };
        match self {
            Self::Jaccard => share(one, both + one),
            Self::Dice => share(one, 2.0 * both + one),
            Self::RogersTanimoto => 2.0 * one / (all + one),
            Self::RussellRao => (all - both) / all,
            Self::SokalSneath => share(one, one + 0.5 * both),
        }
    }
}
