//! What each feature contributed to what trees answer: the signature `contributions`.
//!
//! scikit-learn has no such method. The numbers are those of the package `shap`:
//! `TreeExplainer(model, feature_perturbation="tree_path_dependent")`, its expected value
//! in the last column, so that a row of them adds up to what the trees answer.

use super::{Gives, Method, Spec};
use crate::engines::trees::{Forest, Real};
use crate::limits;
use crate::tensor::DType;

/// The method, of trees that add up to so many numbers for each row; `None` if the file
/// does not say how much of the training data came by each node.
pub(super) fn spec<T: Real>(forest: &Forest<T>, outputs: usize) -> Option<Spec> {
    let columns = forest.features().checked_add(1).filter(|&n| n <= limits::TENSOR_BYTES_MAX / 8)?;
    let gives = if outputs > 1 { Gives::Layers(outputs, columns) } else { Gives::Columns(columns) };
    forest.explains().then(|| Spec::new(Method::Contributions, DType::Double, gives))
}

/// `[rows, outputs, features + 1]`, for `x` of `[rows, features]`. `start` is what the
/// outputs are without trees. `values` has the numbers of each leaf: one for each output,
/// or one for the output whose turn its tree is. The forest must be one that
/// [`Forest::explains`].
pub(super) fn contributions<T: Real>(forest: &Forest<T>, values: &[f64], start: &[f64], x: &[T]) -> Vec<f64> {
    let (outputs, features) = (start.len(), forest.features());
    let width = values.len() / forest.leaves().max(1);
    let first = |tree| if width == outputs { 0 } else { tree % outputs };
    let of = |leaf: usize| &values[leaf * width..][..width];

    let mut means = start.to_vec();
    for tree in 0..forest.trees() {
        let means = &mut means[first(tree)..];
        forest.shares(tree, |leaf, share| {
            means.iter_mut().zip(of(leaf)).for_each(|(mean, value)| *mean += share * value);
        });
    }
    let columns = features + 1;
    let mut all = vec![0.0; x.len() / features * outputs * columns];
    for (row, sums) in x.chunks_exact(features).zip(all.chunks_exact_mut(outputs * columns)) {
        for tree in 0..forest.trees() {
            let sums = &mut sums[first(tree) * columns..];
            forest.contributions(tree, row, |feature, leaf, share| {
                for (sums, value) in sums.chunks_exact_mut(columns).zip(of(leaf)) {
                    sums[feature] += share * value;
                }
            });
        }
        for (sums, mean) in sums.chunks_exact_mut(columns).zip(&means) {
            sums[features] = *mean;
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engines::trees::{Node, Test};

    fn forest(covers: &[Option<[f64; 3]>]) -> Forest<f32> {
        let split =
            Node::Split { feature: 1, test: Test::AtMost(0.5), missing_left: false, left: 1, right: 2 };
        let mut forest = Forest::new(2);
        for covers in covers {
            forest.add_if_covered(&[split, Node::Leaf, Node::Leaf], covers.as_ref().map(|c| &c[..])).unwrap();
        }
        forest
    }

    const COVERS: Option<[f64; 3]> = Some([4.0, 3.0, 1.0]);

    #[test]
    fn a_row_adds_up_to_what_the_trees_answer() {
        let forest = forest(&[COVERS, COVERS]);
        let x = [9.0, 0.0, 9.0, 1.0];
        // One output, which both trees add to: 8 + 1 in the mean.
        let one = contributions(&forest, &[0.0, 4.0, 8.0, 0.0], &[2.0], &x);
        assert_eq!(one, [0.0, 1.0, 9.0, 0.0, -3.0, 9.0]);
        // Two outputs, which take turns.
        let turns = contributions(&forest, &[0.0, 4.0, 8.0, 0.0], &[2.0, 0.0], &x);
        assert_eq!(turns, [0.0, -1.0, 3.0, 0.0, 2.0, 6.0, 0.0, 3.0, 3.0, 0.0, -6.0, 6.0]);
        // Two outputs in each leaf.
        let leaves = [0.0, 8.0, 4.0, 0.0, 0.0, 8.0, 4.0, 0.0];
        let both = contributions(&forest, &leaves, &[0.0, 1.0], &x[..2]);
        assert_eq!(both, [0.0, -2.0, 2.0, 0.0, 4.0, 13.0]);
        assert_eq!(contributions(&forest, &leaves, &[0.0, 1.0], &[]), [0.0; 0]);
    }

    #[test]
    fn it_is_offered_where_the_file_knows_all_covers() {
        let gives = |covers: &[Option<[f64; 3]>], outputs| spec(&forest(covers), outputs).map(|s| s.gives);
        assert_eq!(gives(&[COVERS, COVERS], 1), Some(Gives::Columns(3)));
        assert_eq!(gives(&[COVERS], 4), Some(Gives::Layers(4, 3)));
        // Weights of samples may be negative, and so those of nodes.
        for unknown in [None, Some([4.0, 5.0, -1.0]), Some([f64::NAN, 3.0, 1.0])] {
            assert_eq!(gives(&[COVERS, unknown], 1), None);
            assert_eq!(gives(&[unknown, COVERS], 1), None);
        }
    }
}
