//! The stack, the marks and the memo of one pickle.

use std::collections::HashMap;

use super::error::Problem;
use super::value::NodeId;
use crate::limits;

/// One pickle: the file itself, or an object array's own pickle inside a joblib file.
pub(super) struct Stream {
    pub(super) nested: bool,
    pub(super) stack: Vec<NodeId>,
    /// Heights of the stack at each MARK. Nothing below the last one can be popped.
    pub(super) marks: Vec<usize>,
    pub(super) memo: Memo,
}

/// What PUT keeps for GET. Picklers number from 0 without gaps.
#[derive(Default)]
pub(super) struct Memo {
    dense: Vec<NodeId>,
    sparse: HashMap<u64, NodeId>,
}

impl Memo {
    pub(super) fn get(&self, key: u64) -> Option<NodeId> {
        let dense = usize::try_from(key).ok().and_then(|key| self.dense.get(key));
        dense.or_else(|| self.sparse.get(&key)).copied()
    }

    pub(super) fn put(&mut self, key: u64, id: NodeId) {
        match usize::try_from(key) {
            Ok(dense) if dense < self.dense.len() => self.dense[dense] = id,
            Ok(dense) if dense == self.dense.len() => {
                self.sparse.remove(&key);
                self.dense.push(id);
            }
            _ => _ = self.sparse.insert(key, id),
        }
    }

    /// Where MEMOIZE puts: as many as there are.
    pub(super) fn next(&self) -> u64 {
        (self.dense.len() + self.sparse.len()) as u64
    }
}

impl Stream {
    pub(super) fn new(nested: bool) -> Self {
        Self { nested, stack: Vec::new(), marks: Vec::new(), memo: Memo::default() }
    }

    pub(super) fn push(&mut self, id: NodeId) -> Result<(), Problem> {
        if self.stack.len() >= limits::PICKLE_STACK_MAX {
            return Err(Problem::TooLarge {
                what: "the machine's stack".into(),
                found: self.stack.len() as u64 + 1,
                max: limits::PICKLE_STACK_MAX as u64,
                unit: "values",
            });
        }
        self.stack.push(id);
        Ok(())
    }

    pub(super) fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }
}
