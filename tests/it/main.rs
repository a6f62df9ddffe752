//! Whole-house tests, in one binary.

mod sklearn_goldens;
