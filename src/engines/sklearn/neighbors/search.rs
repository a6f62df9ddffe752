//! The nearest, and those within a radius.

use super::metric::{Fitted, Layout};
use super::tree::{Asked, Tree};
use crate::engines::sklearn::pairwise::Points;

/// One fitted sample, and how far it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Neighbor {
    pub(super) distance: f64,
    pub(super) place: usize,
}

/// How many neighbours of a sample are looked at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Reach {
    /// So many.
    Nearest(usize),
    /// All that are not farther.
    Radius(f64),
}

/// The nearest so far, in an array of a fixed size of which the first is the farthest.
///
/// Which of equally far ones stays is settled by the order of the array, so it is kept as
/// scikit-learn keeps it. Source: `sklearn.utils._heap.heap_push`.
#[derive(Debug)]
pub(super) struct Nearest<'a>(&'a mut Vec<Neighbor>);

impl<'a> Nearest<'a> {
    /// Room for so many in `found`.
    fn new(found: &'a mut Vec<Neighbor>, count: usize) -> Self {
        found.clear();
        found.resize(count, Neighbor { distance: f64::INFINITY, place: 0 });
        Self(found)
    }

    /// How far the farthest of them is; without end while there is room.
    pub(super) fn farthest(&self) -> f64 {
        self.0.first().map_or(f64::NEG_INFINITY, |first| first.distance)
    }

    /// Takes the place of the farthest, if it is nearer.
    pub(super) fn push(&mut self, new: Neighbor) {
        if new.distance >= self.farthest() || new.distance.is_nan() {
            return;
        }
        let (mut at, len) = (0, self.0.len());
        loop {
            let (left, right) = (2 * at + 1, 2 * at + 2);
            if left >= len {
                break;
            }
            let farther =
                if right < len && self.0[left].distance < self.0[right].distance { right } else { left };
            if self.0[farther].distance <= new.distance {
                break;
            }
            self.0[at] = self.0[farther];
            at = farther;
        }
        self.0[at] = new;
    }
}

/// Room for one search after the other.
#[derive(Debug)]
pub(super) struct Search<'a> {
    fitted: &'a Fitted,
    compared: Vec<f64>,
    order: Vec<usize>,
    found: Vec<Neighbor>,
}

impl<'a> Search<'a> {
    pub(super) fn new(fitted: &'a Fitted) -> Self {
        Self { fitted, compared: Vec::new(), order: Vec::new(), found: Vec::new() }
    }

    /// The neighbours of a sample: the nearest from near to far, those within a radius in
    /// the order that they were fitted in.
    pub(super) fn of(&mut self, x: &[f64], reach: Reach) -> &[Neighbor] {
        match &self.fitted.layout {
            Layout::Flat(points) => self.of_all(points, x, reach),
            Layout::Tree(tree) => self.of_tree(tree, x, reach),
        }
        for neighbor in &mut self.found {
            neighbor.distance = self.fitted.metric.finish(neighbor.distance);
        }
        &self.found
    }

    /// Of those that are equally far the first ones.
    fn of_all(&mut self, points: &Points, x: &[f64], reach: Reach) {
        let Self { fitted, compared, order, found } = self;
        compared.resize(fitted.len(), 0.0);
        fitted.metric.compare_all(points, &fitted.rows, x, compared);
        order.clear();
        match reach {
            Reach::Nearest(count) => {
                order.extend(0..compared.len());
                let by_distance = |a: &usize, b: &usize| compared[*a].total_cmp(&compared[*b]).then(a.cmp(b));
                if count < order.len() && count > 0 {
                    order.select_nth_unstable_by(count - 1, by_distance);
                }
                order.truncate(count);
                order.sort_unstable_by(by_distance);
            }
            Reach::Radius(radius) => {
                let most = fitted.metric.compared(radius);
                order.extend((0..compared.len()).filter(|&place| compared[place] <= most));
            }
        }
        found.clear();
        found.extend(order.iter().map(|&place| Neighbor { distance: compared[place], place }));
    }

    /// Of those that are equally far the ones that scikit-learn finds.
    fn of_tree(&mut self, tree: &Tree, x: &[f64], reach: Reach) {
        let Self { fitted, compared, found, .. } = self;
        let asked = Asked { metric: &fitted.metric, rows: &fitted.rows, x };
        match reach {
            Reach::Nearest(count) => {
                tree.nearest(asked, &mut Nearest::new(found, count), compared);
                found.sort_by(|a, b| a.distance.total_cmp(&b.distance));
            }
            Reach::Radius(radius) => {
                found.clear();
                tree.within(asked, radius, found, compared);
                found.sort_unstable_by_key(|neighbor| neighbor.place);
            }
        }
    }
}

/// How much a neighbour counts. Source: `sklearn.neighbors._base._get_weights`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Weights {
    Uniform,
    /// One over the distance. Of neighbours that are where the sample is, only they count.
    Distance,
}

impl Weights {
    /// The weights of these neighbours, in `to`.
    pub(super) fn of(self, neighbors: &[Neighbor], to: &mut Vec<f64>) {
        to.clear();
        let at_it = neighbors.iter().any(|neighbor| neighbor.distance == 0.0);
        to.extend(neighbors.iter().map(|neighbor| match self {
            Self::Uniform => 1.0,
            Self::Distance if at_it => f64::from(u8::from(neighbor.distance == 0.0)),
            Self::Distance => 1.0 / neighbor.distance,
        }));
    }
}
