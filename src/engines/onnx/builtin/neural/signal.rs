//! Signals: Fourier transforms, windows, filters of the ear.

use std::f64::consts::TAU;

use super::super::numbers::doubles;
use super::super::op::{Built, Inputs, Node, axis, one, op, shape, size};
use super::super::registry::{Row, row};
use super::quant::named;
use super::reals::{only, tensor};
use crate::tensor::{DType, Tensor};

pub(super) const ROWS: &[Row] = &[
    row("BlackmanWindow", 17, |node| window(node, [0.42, 0.5, 0.08])),
    row("DFT", 17, dft),
    row("HammingWindow", 17, |node| window(node, [25.0 / 46.0, 21.0 / 46.0, 0.0])),
    row("HannWindow", 17, |node| window(node, [0.5, 0.5, 0.0])),
    row("MelWeightMatrix", 17, mel),
    row("STFT", 17, stft),
];

/// A window that is a sum of cosines: `a - b cos x + c cos 2x`.
fn window(node: &mut Node<'_>, [a, b, c]: [f64; 3]) -> Built {
    let periodic = node.attributes.flag("periodic", true)?;
    let dtype = named(node, "output_datatype")?.unwrap_or(DType::Float);
    op(move |inputs| {
        let length = count(&inputs, 0, "size")?.ok_or("size is missing")?;
        shape([length])?;
        let turns = if periodic { length } else { length.saturating_sub(1) } as f64;
        let values = (0..length).map(|at| {
            let x = TAU * at as f64 / turns;
            a - b * x.cos() + c * (2.0 * x).cos()
        });
        one(tensor::<f64>([length], values.collect(), dtype)?)
    })
}

/// An input that is one whole number.
fn count(inputs: &Inputs<'_>, at: usize, what: &str) -> Result<Option<usize>, String> {
    let Some(numbers) = inputs.ints(at)? else { return Ok(None) };
    let [number] = numbers[..] else {
        return Err(format!("{what} has {} numbers; expected one", numbers.len()));
    };
    size(number, what).map(Some)
}

type Complex = (f64, f64);

fn times((a, b): Complex, (c, d): Complex) -> Complex {
    (a * c - b * d, a * d + b * c)
}

/// `e^(i · 2π · turns)`.
fn turned(turns: f64) -> Complex {
    let (sin, cos) = (TAU * turns).sin_cos();
    (cos, sin)
}

/// The discrete Fourier transform; `sign` is -1, or 1 for its inverse without the division.
fn fourier(values: &[Complex], sign: f64) -> Vec<Complex> {
    let length = values.len();
    if length.is_power_of_two() {
        return halved(values, sign);
    }
    // Bluestein: any length as a convolution of a power of two.
    let chirp: Vec<Complex> = (0..length)
        .map(|at| {
            // The square is taken around the circle before it becomes a large float.
            let square = (at as u128 * at as u128 % (2 * length as u128)) as f64;
            turned(sign * square / (2.0 * length as f64))
        })
        .collect();
    let whole = (2 * length - 1).next_power_of_two();
    let (mut a, mut b) = (vec![(0.0, 0.0); whole], vec![(0.0, 0.0); whole]);
    for at in 0..length {
        a[at] = times(values[at], chirp[at]);
        let conjugate = (chirp[at].0, -chirp[at].1);
        b[at] = conjugate;
        b[(whole - at) % whole] = conjugate;
    }
    let (a, b) = (halved(&a, -1.0), halved(&b, -1.0));
    let product: Vec<Complex> = a.iter().zip(&b).map(|(&a, &b)| times(a, b)).collect();
    let back = halved(&product, 1.0);
    let scale = 1.0 / whole as f64;
    (0..length).map(|at| times((back[at].0 * scale, back[at].1 * scale), chirp[at])).collect()
}

/// Cooley and Tukey, for powers of two.
fn halved(values: &[Complex], sign: f64) -> Vec<Complex> {
    let length = values.len();
    let bits = length.trailing_zeros();
    let mut made: Vec<Complex> = (0..length)
        .map(|at| values[if bits == 0 { 0 } else { at.reverse_bits() >> (usize::BITS - bits) }])
        .collect();
    let mut half = 1;
    while half < length {
        let turns: Vec<Complex> = (0..half).map(|at| turned(sign * at as f64 / (2 * half) as f64)).collect();
        for block in made.chunks_exact_mut(2 * half) {
            for at in 0..half {
                let (even, odd) = (block[at], times(block[at + half], turns[at]));
                block[at] = (even.0 + odd.0, even.1 + odd.1);
                block[at + half] = (even.0 - odd.0, even.1 - odd.1);
            }
        }
        half *= 2;
    }
    made
}

fn dft(node: &mut Node<'_>) -> Built {
    let (inverse, one_sided) =
        (node.attributes.flag("inverse", false)?, node.attributes.flag("onesided", false)?);
    let is_old = node.opset < 20;
    let stated = if is_old { node.attributes.int("axis")?.unwrap_or(1) } else { -2 };
    op(move |inputs| {
        let x = inputs.tensor(0)?;
        let rank = x.shape().rank();
        let given = if is_old { None } else { inputs.ints(2)? };
        let at = match given.as_deref() {
            None => stated,
            Some([at]) => *at,
            Some(other) => return Err(format!("{} axes; expected one", other.len())),
        };
        let at = axis(at, rank)?;
        if rank < 2 || at + 1 == rank || !matches!(x.shape()[rank - 1], 1 | 2) {
            return Err(format!(
                "a signal of shape {} along dimension {at}; expected real or complex numbers last",
                x.shape()
            ));
        }
        let length = match count(&inputs, 1, "dft_length")? {
            Some(length) => length,
            None if inverse && one_sided => 2 * x.shape()[at].saturating_sub(1),
            None => x.shape()[at],
        };
        one(transformed(x, at, length, inverse, one_sided)?)
    })
}

fn transformed(
    x: &Tensor,
    at: usize,
    length: usize,
    inverse: bool,
    one_sided: bool,
) -> Result<Tensor, String> {
    let rank = x.shape().rank();
    let parts = x.shape()[rank - 1];
    if length == 0 {
        return Err("a transform of no numbers".to_owned());
    }
    // Only half is given, or only half is told: the other is its mirror.
    let told = if one_sided && !inverse { length / 2 + 1 } else { length };
    let told_parts = if one_sided && inverse { 1 } else { 2 };
    let mut dims = x.shape().to_vec();
    let own = dims[at];
    (dims[at], dims[rank - 1]) = (told, told_parts);
    let total = shape(dims.iter().copied())?.elements();
    shape([length, 4])?;
    let values = doubles(x.elements())?;
    let step: usize = x.shape()[at + 1..rank - 1].iter().product();
    let outer: usize = x.shape()[..at].iter().product();
    let mut made = vec![0.0; total];
    for block in 0..outer {
        for inner in 0..step {
            let read = |place: usize| -> Complex {
                let from = ((block * own + place) * step + inner) * parts;
                (values[from], if parts == 2 { values[from + 1] } else { 0.0 })
            };
            let mut line: Vec<Complex> = (0..own.min(length)).map(read).collect();
            line.resize(length, (0.0, 0.0));
            if one_sided && inverse {
                for place in 1..length {
                    if place > length / 2 {
                        line[place] = (line[length - place].0, -line[length - place].1);
                    }
                }
                line[0].1 = 0.0;
            }
            let line = fourier(&line, if inverse { 1.0 } else { -1.0 });
            let scale = if inverse { 1.0 / length as f64 } else { 1.0 };
            for (place, value) in line.iter().take(told).enumerate() {
                let to = ((block * told + place) * step + inner) * told_parts;
                made[to] = value.0 * scale;
                if told_parts == 2 {
                    made[to + 1] = value.1 * scale;
                }
            }
        }
    }
    tensor::<f64>(dims, made, x.dtype())
}

fn stft(node: &mut Node<'_>) -> Built {
    let one_sided = node.attributes.flag("onesided", true)?;
    op(move |inputs| {
        let signal = inputs.tensor(0)?;
        let (batch, length, parts) = match signal.shape()[..] {
            [batch, length] => (batch, length, 1),
            [batch, length, parts @ (1 | 2)] => (batch, length, parts),
            _ => return Err(format!("a signal of shape {}", signal.shape())),
        };
        let step =
            count(&inputs, 1, "frame_step")?.filter(|&step| step > 0).ok_or("frame_step is not above 0")?;
        let window = inputs.optional(2)?.map(|window| doubles(window.elements())).transpose()?;
        let frame = count(&inputs, 3, "frame_length")?
            .or(window.as_ref().map(|window| window.len()))
            .unwrap_or(length);
        if frame == 0 || frame > length || window.as_ref().is_some_and(|window| window.len() > frame) {
            return Err(format!("frames of {frame} in signals of {length}"));
        }
        let frames = (length - frame) / step + 1;
        let total = shape([batch, frames, frame, parts])?.elements();
        let values = doubles(signal.elements())?;
        let mut cut = Vec::with_capacity(total);
        for row in 0..batch {
            for number in 0..frames {
                for at in 0..frame {
                    let weight = window.as_ref().map_or(1.0, |window| window.get(at).copied().unwrap_or(0.0));
                    let from = (row * length + number * step + at) * parts;
                    cut.extend(values[from..from + parts].iter().map(|value| value * weight));
                }
            }
        }
        let cut = tensor::<f64>([batch, frames, frame, parts], cut, DType::Double)?;
        let made = transformed(&cut, 2, frame, false, one_sided)?;
        let values = doubles(made.elements())?.into_owned();
        one(tensor::<f64>(made.shape().iter().copied(), values, signal.dtype())?)
    })
}

fn mel(node: &mut Node<'_>) -> Built {
    let dtype = named(node, "output_datatype")?.unwrap_or(DType::Float);
    op(move |inputs| {
        let whole =
            |at: usize, what: &str| count(&inputs, at, what)?.ok_or_else(|| format!("{what} is missing"));
        let (bins, length, rate) =
            (whole(0, "num_mel_bins")?, whole(1, "dft_length")?, whole(2, "sample_rate")?);
        let low = only(inputs.tensor(3)?, "lower_edge_hertz")?;
        let high = only(inputs.tensor(4)?, "upper_edge_hertz")?;
        let rows = length / 2 + 1;
        let total = shape([rows, bins])?.elements();
        shape([bins.saturating_add(2)])?;
        if rate == 0 || !(low >= 0.0 && low <= high && high.is_finite()) {
            return Err(format!("edges of {low} and {high} Hz at a rate of {rate}"));
        }
        let mel = |hertz: f64| 2595.0 * (1.0 + hertz / 700.0).log10();
        let step = (mel(high) - mel(low)) / (bins + 2) as f64;
        // Where each filter begins, has its top, and ends.
        let place = |at: usize| {
            let hertz = 700.0 * (10f64.powf((at as f64 * step + mel(low)) / 2595.0) - 1.0);
            ((length as f64 + 1.0) * hertz / rate as f64).floor() as usize
        };
        let places: Vec<usize> = (0..bins + 2).map(place).collect();
        if places.iter().any(|&place| place >= rows) {
            return Err(format!("an edge of {high} Hz is past the spectrum of a rate of {rate}"));
        }
        let mut made = vec![0.0; total];
        for bin in 0..bins {
            let (from, top, to) = (places[bin], places[bin + 1], places[bin + 2]);
            if from == top {
                made[top * bins + bin] = 1.0;
            } else {
                for at in from..=top {
                    made[at * bins + bin] = (at - from) as f64 / (top - from) as f64;
                }
            }
            for at in top..to {
                made[at * bins + bin] = (to - at) as f64 / (to - top) as f64;
            }
        }
        one(tensor::<f64>([rows, bins], made, dtype)?)
    })
}
