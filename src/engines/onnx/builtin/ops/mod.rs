//! The plain operators: a file per family.

mod arithmetic;
mod basic;
pub(super) mod cast;
pub(super) mod compare;
mod control;
mod einsum;
mod gather;
mod make;
pub(super) mod matrix;
mod reduce;
mod sequence;
pub(super) mod shape;
mod text;
mod tfidf;
mod unary;

use super::registry::Row;

/// All of them, a list per file.
pub(super) static FAMILIES: &[&[Row]] = &[
    arithmetic::ROWS,
    basic::ROWS,
    cast::ROWS,
    compare::ROWS,
    control::ROWS,
    gather::ROWS,
    make::ROWS,
    matrix::ROWS,
    reduce::ROWS,
    sequence::ROWS,
    shape::ROWS,
    text::ROWS,
    tfidf::ROWS,
    unary::ROWS,
];
