//! Tests of the whole, in one binary.

mod sklearn_goldens;
