//! Tensors by name: the inputs of a request, the outputs of an answer.

use std::sync::Arc;

use smallvec::SmallVec;

use super::Tensor;

/// A few tensors by name, in the order they were put in. Requests have one to a
/// few dozen, so a scan beats a hash.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct NamedTensors(SmallVec<[(Arc<str>, Tensor); 2]>);

impl NamedTensors {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one; gives back the tensor that the name had before.
    pub fn insert(&mut self, name: impl Into<Arc<str>>, tensor: Tensor) -> Option<Tensor> {
        let name = name.into();
        if let Some((_, old)) = self.0.iter_mut().find(|(n, _)| *n == name) {
            return Some(std::mem::replace(old, tensor));
        }
        self.0.push((name, tensor));
        None
    }

    /// The tensor of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        self.0.iter().find(|(n, _)| &**n == name).map(|(_, tensor)| tensor)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Names and tensors, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &Tensor)> {
        self.0.iter().map(|(name, tensor)| (name, tensor))
    }
}

impl IntoIterator for NamedTensors {
    type Item = (Arc<str>, Tensor);
    type IntoIter = smallvec::IntoIter<[(Arc<str>, Tensor); 2]>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<N: Into<Arc<str>>> FromIterator<(N, Tensor)> for NamedTensors {
    fn from_iter<I: IntoIterator<Item = (N, Tensor)>>(tensors: I) -> Self {
        let mut named = Self::new();
        for (name, tensor) in tensors {
            named.insert(name, tensor);
        }
        named
    }
}
