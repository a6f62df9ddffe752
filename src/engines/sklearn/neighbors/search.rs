//! The nearest, and those within a radius.

use super::metric::Fitted;

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
        let compared = vec![0.0; fitted.len()];
        Self { fitted, compared, order: Vec::with_capacity(fitted.len()), found: Vec::new() }
    }

    /// The neighbours of a sample: the nearest from near to far, those within a radius in
    /// the order that they were fitted in.
    pub(super) fn of(&mut self, x: &[f64], reach: Reach) -> &[Neighbor] {
        let Self { fitted, compared, order, found } = self;
        fitted.compare(x, compared);
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
                let most = fitted.compared(radius);
                order.extend((0..compared.len()).filter(|&place| compared[place] <= most));
            }
        }
        found.clear();
        let neighbor = |&place: &usize| Neighbor { distance: fitted.finish(compared[place]), place };
        found.extend(order.iter().map(neighbor));
        found
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
