//! Operators of neural networks: a file per family.
//!
//! Floats are computed in single precision, doubles and integers in double: see
//! [`reals`]. Convolutions, pools and their like look at an image through [`window`].

mod attention;
mod conv;
mod image;
mod linear;
mod losses;
mod norm;
mod pool;
mod quant;
mod reals;
mod recurrent;
mod resize;
mod sampling;
mod signal;
#[cfg(test)]
mod tests;
mod window;

use super::registry::Row;

/// All of them, a list per file.
pub(super) static FAMILIES: &[&[Row]] = &[
    attention::ROWS,
    conv::ROWS,
    image::ROWS,
    linear::ROWS,
    losses::ROWS,
    norm::ROWS,
    pool::ROWS,
    quant::ROWS,
    recurrent::ROWS,
    resize::ROWS,
    sampling::ROWS,
    signal::ROWS,
];
