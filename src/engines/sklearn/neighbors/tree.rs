//! The trees in which scikit-learn lays fitted samples down, so that a search leaves most
//! of them aside.
//!
//! They are read as they were fitted and searched in the same order, so that of samples
//! that are equally far the same ones are found.
//! Source: `sklearn.neighbors._binary_tree`, `_kd_tree` and `_ball_tree`.

use std::ops::Range;

use super::metric::Metric;
use super::search::{Nearest, Neighbor};
use crate::engines::sklearn::ModelError;
use crate::engines::sklearn::pairwise::Points;
use crate::engines::sklearn::state::Part;
use crate::formats::pickle::Ref;

/// The classes of the trees. Those of double precision are also called so.
const BOXES: [&str; 2] = ["KDTree", "KDTree64"];
const BALLS: [&str; 2] = ["BallTree", "BallTree64"];
/// The places of a tree's state: samples, their order, nodes, bounds, six numbers, the
/// number of calls, the metric and the samples' weights.
const STATE: usize = 13;
const ORDER: usize = 1;
const NODES: usize = 2;
const BOUNDS: usize = 3;

/// What a tree's attribute holds.
pub(in crate::engines::sklearn) struct State<'a> {
    values: Vec<Ref<'a>>,
    balls: bool,
}

impl<'a> State<'a> {
    /// The state of the tree in this attribute.
    pub(in crate::engines::sklearn) fn read(part: &Part<'a>, name: &'static str) -> Result<Self, ModelError> {
        let value = part.fitted(name)?;
        let object = value.object();
        let class = object.and_then(|object| object.args().next()).and_then(Ref::global);
        let balls = match class.map(|class| class.name) {
            Some(class) if BOXES.contains(&class) => false,
            Some(class) if BALLS.contains(&class) => true,
            _ => return Err(part.unexpected(name, value, "a KDTree or a BallTree")),
        };
        let values = object.and_then(|object| object.state()).and_then(Ref::items);
        let values: Vec<Ref<'a>> = values.into_iter().flatten().collect();
        if values.len() != STATE {
            let why = format!("has a state of {} values; expected {STATE}", values.len());
            return Err(part.refuse(name, why));
        }
        Ok(Self { values, balls })
    }

    /// The samples, and their weights where they have some.
    pub(in crate::engines::sklearn) fn samples(&self) -> (Ref<'a>, Option<Ref<'a>>) {
        (self.values[0], Some(self.values[STATE - 1]).filter(|weights| !weights.is_none()))
    }
}

#[derive(Debug)]
struct Node {
    /// Its samples, as places in the tree's order.
    samples: Range<usize>,
    /// A leaf's samples as its metric compares them, where that is feature by feature.
    points: Option<Points>,
    is_leaf: bool,
}

/// What each node's samples lie in.
#[derive(Debug)]
enum Regions {
    /// Boxes: `[nodes, features]` each.
    Boxes { lower: Vec<f64>, upper: Vec<f64> },
    /// Balls around centres, `[nodes, features]`.
    Balls { centres: Vec<f64>, radii: Vec<f64> },
}

/// A k-d tree or a ball tree. The children of node `i` are `2 i + 1` and `2 i + 2`.
#[derive(Debug)]
pub(super) struct Tree {
    nodes: Vec<Node>,
    regions: Regions,
    /// The samples, as places in what was fitted.
    order: Vec<usize>,
    features: usize,
}

/// What a search asks a tree with.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) metric: &'a Metric,
    /// All fitted samples, row by row.
    pub(super) rows: &'a [f64],
    pub(super) x: &'a [f64],
}

impl Tree {
    /// The tree in this attribute, over `rows`, `[samples, features]`.
    pub(super) fn read(
        part: &Part<'_>,
        name: &'static str,
        rows: &[f64],
        features: usize,
        metric: &Metric,
    ) -> Result<Self, ModelError> {
        let State { values, balls } = State::read(part, name)?;
        let samples = rows.len() / features;
        let order = part.indices_of(name, values[ORDER])?;
        let mut seen = vec![false; samples];
        let all =
            order.iter().all(|&place| seen.get_mut(place).is_some_and(|seen| !std::mem::replace(seen, true)));
        if !all || order.len() != samples {
            return Err(part.refuse(name, format!("has no order of {samples} samples")));
        }
        let records = values[NODES].array().filter(|array| array.shape().len() == 1);
        let records = records.ok_or_else(|| part.refuse(name, "has no list of nodes"))?;
        part.pay_again(name, records.len().saturating_mul(size_of::<Node>()))?;
        let field = |field: &str| {
            let array = records.field(field);
            array.ok_or_else(|| part.refuse(name, format!("has nodes without {field}: {records}")))
        };
        let integers = |name_of: &str| {
            let numbers = field(name_of)?.to_i64();
            numbers.map_err(|error| part.refuse(name, format!("has nodes with a wrong {name_of}: {error}")))
        };
        let (starts, ends, leaves) = (integers("idx_start")?, integers("idx_end")?, integers("is_leaf")?);
        let radii = field("radius")?.to_f64();
        let radii =
            radii.map_err(|error| part.refuse(name, format!("has nodes with a wrong radius: {error}")))?;
        let bounds = part.numbers_of(name, values[BOUNDS])?;
        let corners = records.len().saturating_mul(features);
        let wanted = if balls { corners } else { corners.saturating_mul(2) };
        if bounds.len() != wanted {
            let why = format!("has {} numbers as bounds of its nodes; expected {wanted}", bounds.len());
            return Err(part.refuse(name, why));
        }
        let regions = if balls {
            Regions::Balls { centres: bounds, radii }
        } else {
            let mut lower = bounds;
            let upper = lower.split_off(corners);
            Regions::Boxes { lower, upper }
        };
        let nodes = (0..records.len()).map(|_| Node { samples: 0..0, points: None, is_leaf: true }).collect();
        let mut tree = Self { nodes, regions, order, features };
        // Halves of their parents, down from all: so no sample is in two leaves.
        let mut left = vec![(0, 0..samples)];
        while let Some((i, samples)) = left.pop() {
            let is = |number: i64, place: usize| usize::try_from(number).ok() == Some(place);
            if i >= tree.nodes.len() || !is(starts[i], samples.start) || !is(ends[i], samples.end) {
                let why = format!("has no node [{i}] of the samples {} to {}", samples.start, samples.end);
                return Err(part.refuse(name, why));
            }
            let is_leaf = leaves[i] != 0;
            let points = (is_leaf && metric.is_by_feature()).then(|| {
                let of_leaf = tree.order[samples.clone()].iter();
                let values: Vec<f64> =
                    of_leaf.flat_map(|place| &rows[place * features..][..features]).copied().collect();
                Points::new(&values, features)
            });
            if !is_leaf {
                let middle = samples.start + samples.len() / 2;
                left.extend([(2 * i + 1, samples.start..middle), (2 * i + 2, middle..samples.end)]);
            }
            tree.nodes[i] = Node { samples, points, is_leaf };
        }
        Ok(tree)
    }

    /// What the nearest sample of a node is compared by, at the least.
    fn least(&self, asked: Asked<'_>, node: usize) -> f64 {
        let at = node * self.features..(node + 1) * self.features;
        match &self.regions {
            Regions::Boxes { lower, upper } => asked.metric.to_box(asked.x, &lower[at.clone()], &upper[at]),
            Regions::Balls { centres, radii } => {
                let distance = asked.metric.finish(asked.metric.of(asked.x, &centres[at]));
                asked.metric.compared((distance - radii[node]).max(0.0))
            }
        }
    }

    /// Calls `found` with each sample of a leaf, and with what it is compared by.
    fn each(&self, asked: Asked<'_>, leaf: &Node, room: &mut Vec<f64>, mut found: impl FnMut(Neighbor)) {
        let places = &self.order[leaf.samples.clone()];
        room.resize(places.len(), 0.0);
        match &leaf.points {
            Some(points) => asked.metric.compare(points, asked.x, room),
            None => {
                for (&place, to) in places.iter().zip(&mut *room) {
                    *to = asked.metric.of(asked.x, &asked.rows[place * self.features..][..self.features]);
                }
            }
        }
        places.iter().zip(room).for_each(|(&place, &mut distance)| found(Neighbor { distance, place }));
    }

    /// Puts the nearest in `nearest`, with what they are compared by.
    pub(super) fn nearest(&self, asked: Asked<'_>, nearest: &mut Nearest<'_>, room: &mut Vec<f64>) {
        self.nearest_in(asked, 0, self.least(asked, 0), nearest, room);
    }

    fn nearest_in(
        &self,
        asked: Asked<'_>,
        i: usize,
        least: f64,
        nearest: &mut Nearest<'_>,
        room: &mut Vec<f64>,
    ) {
        let node = &self.nodes[i];
        if least > nearest.farthest() {
            return;
        }
        if node.is_leaf {
            self.each(asked, node, room, |neighbor| nearest.push(neighbor));
            return;
        }
        let [(a, to_a), (b, to_b)] = [2 * i + 1, 2 * i + 2].map(|child| (child, self.least(asked, child)));
        let (near, far) = if to_a <= to_b { ((a, to_a), (b, to_b)) } else { ((b, to_b), (a, to_a)) };
        self.nearest_in(asked, near.0, near.1, nearest, room);
        self.nearest_in(asked, far.0, far.1, nearest, room);
    }

    /// Adds those that are not farther than this distance, with what they are compared by.
    pub(super) fn within(
        &self,
        asked: Asked<'_>,
        radius: f64,
        found: &mut Vec<Neighbor>,
        room: &mut Vec<f64>,
    ) {
        let most = asked.metric.compared(radius);
        let mut left = vec![0];
        while let Some(i) = left.pop() {
            let node = &self.nodes[i];
            if asked.metric.finish(self.least(asked, i)) > radius {
                continue;
            }
            if node.is_leaf {
                self.each(asked, node, room, |neighbor| {
                    if neighbor.distance <= most {
                        found.push(neighbor);
                    }
                });
            } else {
                left.extend([2 * i + 2, 2 * i + 1]);
            }
        }
    }
}
