//! Tests of the whole, in one binary.

mod fuzz_corpus;
mod pickle_goldens;
mod pickle_hostile;
mod sklearn_goldens;
mod sklearn_refusals;
