//! `BisectingKMeans`: the nearer of two centres, again and again.

use ndarray::{ArrayView2, Axis};

use super::centres::Centres;
use crate::engines::sklearn::attributes::Matrix;
use crate::engines::sklearn::state::Part;
use crate::engines::sklearn::{Check, Estimator, Facts, Gives, Method, ModelError, Spec, answer};
use crate::formats::pickle::Ref;
use crate::servable::RunError;
use crate::tensor::{DType, Tensor};

const TREE: &str = "_bisecting_tree";

/// A node of the tree of clusters. Children lie behind their parent.
#[derive(Debug)]
enum Node {
    Cluster(i64),
    Split { centres: Centres, children: [usize; 2] },
}

#[derive(Debug)]
struct Bisecting {
    facts: Facts,
    nodes: Vec<Node>,
    centres: Centres,
}

/// Source: `sklearn.cluster.BisectingKMeans`.
pub(super) fn build(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    let centres = part.matrix("cluster_centers_")?;
    if centres.rows == 0 || centres.columns == 0 {
        return Err(part.refuse("cluster_centers_", "has no numbers; expected at least one centre"));
    }
    let n_features = part.n_features(centres.columns, "cluster_centers_")?;
    let mean = if part.attr("_X_mean").is_some() {
        part.vector_of("_X_mean", n_features)?
    } else {
        vec![0.0; n_features]
    };
    // A tree of so many leaves has no more nodes; that also ends one that contains itself.
    let most = 2 * centres.rows - 1;
    let mut waiting = vec![part.within(TREE, &["sklearn.cluster._bisect_k_means"], "_BisectingTree")?];
    let mut nodes: Vec<Node> = Vec::new();
    let mut at = 0;
    while at < waiting.len() {
        if waiting.len() > most {
            return Err(
                part.refuse(TREE, format!("has more than {most} nodes for {} clusters", centres.rows))
            );
        }
        let node = &waiting[at];
        let child = |side| node.attr(side);
        nodes.push(match (child("left"), child("right")) {
            (None, _) => {
                let label = node.fitted("label")?.as_i64();
                let known = label.filter(|&label| usize::try_from(label).is_ok_and(|l| l < centres.rows));
                Node::Cluster(known.ok_or_else(|| node.refuse("label", "is no cluster's number"))?)
            }
            (Some(left), Some(right)) => {
                let (left, right) = (branch(part, left)?, branch(part, right)?);
                let mut both = left.vector_of("center", n_features)?;
                both.extend(right.vector_of("center", n_features)?);
                for centre in both.chunks_exact_mut(n_features) {
                    centre.iter_mut().zip(&mean).for_each(|(c, mean)| *c += mean);
                }
                let children = [waiting.len(), waiting.len() + 1];
                waiting.extend([left, right]);
                let both = Matrix { values: both, rows: 2, columns: n_features };
                Node::Split { centres: Centres::new(&both), children }
            }
            (Some(_), None) => return Err(node.refuse("right", "is None, but left is not")),
        });
        at += 1;
    }
    let methods = vec![Spec::new(Method::Predict, DType::Int64, Gives::One), Spec::transform(centres.rows)];
    let facts = Facts::new(part, n_features, Check::Finite, methods)?;
    Ok(Box::new(Bisecting { facts, nodes, centres: Centres::new(&centres) }))
}

fn branch<'a>(part: &Part<'a>, value: Ref<'a>) -> Result<Part<'a>, ModelError> {
    part.object(value, TREE, TREE, &["sklearn.cluster._bisect_k_means"], "_BisectingTree")
}

impl Estimator for Bisecting {
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
            let elements = if method == Method::Transform {
                self.centres.distances(x).into()
            } else {
                let label = |row: ArrayView2<'_, f64>| {
                    let mut at = 0;
                    loop {
                        match &self.nodes[at] {
                            Node::Cluster(label) => break *label,
                            Node::Split { centres, children } => {
                                at = children[centres.nearest(row.view())[0]]
                            }
                        }
                    }
                };
                x.axis_chunks_iter(Axis(0), 1).map(label).collect::<Vec<_>>().into()
            };
            answers.push(answer(x.nrows(), self.facts.gives(method), elements)?);
        }
        Ok(())
    }
}
