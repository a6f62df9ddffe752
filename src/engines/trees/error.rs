//! Why nodes make no tree.

/// What is wrong with one tree's nodes. Each message is a predicate, to follow the
/// name of what holds the nodes.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum TreeError {
    /// No nodes at all, not even a leaf.
    #[error("has no nodes")]
    Empty,
    /// A child that does not exist.
    #[error("has child {child} at node {node}, but only {nodes} nodes")]
    Child {
        /// The parent.
        node: usize,
        /// What it names.
        child: i64,
        /// How many there are.
        nodes: usize,
    },
    /// A node with two parents, or above itself.
    #[error("reaches node {node} more than once, so it is no tree")]
    Shared {
        /// The node.
        node: usize,
    },
    /// A split on a column that the input does not have.
    #[error("splits on feature {feature} at node {node}, but there are {features} features")]
    Feature {
        /// The split.
        node: usize,
        /// What it names.
        feature: i64,
        /// How many there are.
        features: usize,
    },
    /// A threshold that nothing can be compared with.
    #[error("has a threshold of NaN at node {node}")]
    Threshold {
        /// The split.
        node: usize,
    },
    /// How much of the data came by is not told of each node, or not of each tree.
    #[error("tells how much data came by of {covers} nodes, but there are {nodes}")]
    Covers {
        /// Of how many it is told.
        covers: usize,
        /// How many there are.
        nodes: usize,
    },
    /// What cannot be a weight of data.
    #[error("has {cover} as the weight of the data at node {node}")]
    Cover {
        /// The node.
        node: usize,
        /// What is said of it.
        cover: f64,
    },
    /// More than 32 bits can number.
    #[error("brings the nodes of all trees to more than {max}")]
    TooMany {
        /// The bound.
        max: usize,
    },
}
