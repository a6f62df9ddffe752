//! Resizing images: one dimension after another, each output a weighted sum of the
//! elements near the place where it would have been.

use super::super::numbers::{doubles, floats};
use super::super::op::{Built, Inputs, Node, axis, one, op, shape};
use super::super::registry::{Row, row};
use super::reals::{Real, in_reals, tensor};
use crate::limits;
use crate::tensor::Tensor;

pub(super) const ROWS: &[Row] = &[row("Resize", 10, resize), row("Upsample", 7, upsample)];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Nearest,
    Linear,
    Cubic,
}

/// Where in the image an output lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coordinates {
    HalfPixel,
    HalfPixelSymmetric,
    PytorchHalfPixel,
    AlignCorners,
    Asymmetric,
    TfCropAndResize,
    /// `tf_half_pixel_for_nn` of opset 11.
    TfHalfPixel,
}

/// Which element is nearest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Nearest {
    RoundPreferFloor,
    RoundPreferCeil,
    Floor,
    Ceil,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Aspect {
    Stretch,
    NotLarger,
    NotSmaller,
}

#[derive(Debug, Clone)]
struct Plan {
    mode: Mode,
    coordinates: Coordinates,
    nearest: Nearest,
    aspect: Aspect,
    cubic: f64,
    exclude_outside: bool,
    extrapolation: f64,
    antialias: bool,
    axes: Option<Vec<i64>>,
}

fn mode(node: &Node<'_>) -> Result<Mode, String> {
    match node.attributes.text("mode")?.unwrap_or("nearest") {
        "nearest" => Ok(Mode::Nearest),
        "linear" | "bilinear" => Ok(Mode::Linear),
        "cubic" => Ok(Mode::Cubic),
        other => Err(format!("mode is {other:?}; expected nearest, linear or cubic")),
    }
}

/// As opset 10 and Upsample have it: the element at the place divided by the scale.
fn old(mode: Mode) -> Plan {
    Plan {
        mode,
        coordinates: Coordinates::Asymmetric,
        nearest: Nearest::Floor,
        aspect: Aspect::Stretch,
        cubic: -0.75,
        exclude_outside: false,
        extrapolation: 0.0,
        antialias: false,
        axes: None,
    }
}

fn resize(node: &mut Node<'_>) -> Built {
    if node.opset < 11 {
        let plan = old(mode(node)?);
        return op(move |inputs| {
            let scales = floats(inputs.tensor(1)?.elements())?.into_owned();
            run(&plan, inputs.tensor(0)?, None, Some(&scales), None)
        });
    }
    let plan = Plan {
        mode: mode(node)?,
        coordinates: match node.attributes.text("coordinate_transformation_mode")?.unwrap_or("half_pixel") {
            "half_pixel" => Coordinates::HalfPixel,
            "half_pixel_symmetric" => Coordinates::HalfPixelSymmetric,
            "pytorch_half_pixel" => Coordinates::PytorchHalfPixel,
            "align_corners" => Coordinates::AlignCorners,
            "asymmetric" => Coordinates::Asymmetric,
            "tf_crop_and_resize" => Coordinates::TfCropAndResize,
            "tf_half_pixel_for_nn" => Coordinates::TfHalfPixel,
            other => return Err(format!("coordinate_transformation_mode is {other:?}, which is not served")),
        },
        nearest: match node.attributes.text("nearest_mode")?.unwrap_or("round_prefer_floor") {
            "round_prefer_floor" => Nearest::RoundPreferFloor,
            "round_prefer_ceil" => Nearest::RoundPreferCeil,
            "floor" => Nearest::Floor,
            "ceil" => Nearest::Ceil,
            other => return Err(format!("nearest_mode is {other:?}, which is not served")),
        },
        aspect: match node.attributes.text("keep_aspect_ratio_policy")?.unwrap_or("stretch") {
            "stretch" => Aspect::Stretch,
            "not_larger" => Aspect::NotLarger,
            "not_smaller" => Aspect::NotSmaller,
            other => return Err(format!("keep_aspect_ratio_policy is {other:?}, which is not served")),
        },
        cubic: node.attributes.float("cubic_coeff_a")?.map_or(-0.75, f64::from),
        exclude_outside: node.attributes.flag("exclude_outside", false)?,
        extrapolation: node.attributes.float("extrapolation_value")?.map_or(0.0, f64::from),
        antialias: node.attributes.flag("antialias", false)?,
        axes: node.attributes.ints("axes")?.map(<[i64]>::to_vec),
    };
    op(move |inputs| {
        let scales = scales(&inputs, 2)?;
        let sizes = inputs.ints(3)?;
        let region = scales_of(&inputs, 1)?;
        run(&plan, inputs.tensor(0)?, region.as_deref(), scales.as_deref(), sizes.as_deref())
    })
}

/// Scales, which may be left empty.
fn scales(inputs: &Inputs<'_>, at: usize) -> Result<Option<Vec<f32>>, String> {
    let scales = inputs.optional(at)?.map(|scales| floats(scales.elements())).transpose()?;
    Ok(scales.filter(|scales| !scales.is_empty()).map(std::borrow::Cow::into_owned))
}

fn scales_of(inputs: &Inputs<'_>, at: usize) -> Result<Option<Vec<f64>>, String> {
    let region = inputs.optional(at)?.map(|region| doubles(region.elements())).transpose()?;
    Ok(region.filter(|region| !region.is_empty()).map(std::borrow::Cow::into_owned))
}

fn upsample(node: &mut Node<'_>) -> Built {
    let plan = old(mode(node)?);
    let stated = node.attributes.floats("scales")?.map(<[f32]>::to_vec);
    op(move |inputs| {
        let scales = match &stated {
            Some(scales) => scales.clone(),
            None => floats(inputs.tensor(1)?.elements())?.into_owned(),
        };
        run(&plan, inputs.tensor(0)?, None, Some(&scales), None)
    })
}

/// How one dimension is resized.
#[derive(Debug, Clone)]
struct Along {
    from: usize,
    to: usize,
    scale: f64,
    /// From where to where, as parts of the image, for `tf_crop_and_resize`.
    region: (f64, f64),
}

fn run(
    plan: &Plan,
    x: &Tensor,
    region: Option<&[f64]>,
    scales: Option<&[f32]>,
    sizes: Option<&[i64]>,
) -> Result<super::super::op::Outputs, String> {
    let rank = x.shape().rank();
    let axes: Vec<usize> = match &plan.axes {
        Some(axes) => axes.iter().map(|&at| axis(at, rank)).collect::<Result<_, _>>()?,
        None => (0..rank).collect(),
    };
    let mut each: Vec<Along> =
        x.shape().iter().map(|&dim| Along { from: dim, to: dim, scale: 1.0, region: (0.0, 1.0) }).collect();
    let length =
        scales.map(<[f32]>::len).or(sizes.map(<[i64]>::len)).ok_or("neither scales nor sizes are given")?;
    if length != axes.len() {
        return Err(format!("{length} scales or sizes; expected {}", axes.len()));
    }
    if let Some(sizes) = sizes.filter(|_| scales.is_none()) {
        let parts = axes.iter().zip(sizes).map(|(&at, &size)| size as f64 / x.shape()[at] as f64);
        let common = match plan.aspect {
            Aspect::Stretch => None,
            Aspect::NotLarger => parts.reduce(f64::min),
            Aspect::NotSmaller => parts.reduce(f64::max),
        };
        for (&at, &size) in axes.iter().zip(sizes) {
            let size = usize::try_from(size).map_err(|_| format!("size {size} is below 0"))?;
            let along = &mut each[at];
            along.to = common.map_or(size, |common| half_up(common * along.from as f64));
            along.scale = common.unwrap_or(along.to as f64 / along.from as f64);
        }
    } else if let Some(scales) = scales {
        for (&at, &scale) in axes.iter().zip(scales) {
            if !(scale > 0.0 && scale.is_finite()) {
                return Err(format!("scale {scale}; expected a number above 0"));
            }
            let along = &mut each[at];
            along.scale = f64::from(scale);
            along.to = (along.from as f64 * along.scale).floor() as usize;
        }
    }
    if let Some(region) = region.filter(|_| plan.coordinates == Coordinates::TfCropAndResize) {
        if region.len() != axes.len() * 2 {
            return Err(format!("a region of {} numbers; expected {}", region.len(), axes.len() * 2));
        }
        for (place, &at) in axes.iter().enumerate() {
            each[at].region = (region[place], region[axes.len() + place]);
        }
    }
    let dims: Vec<usize> = each.iter().map(|along| along.to).collect();
    shape(dims.iter().copied())?;
    if x.elements().is_empty() && dims.iter().all(|&dim| dim > 0) {
        return Err("an image without elements cannot be resized".to_owned());
    }
    if x.dtype() == crate::tensor::DType::String {
        return Err("texts cannot be resized".to_owned());
    }
    in_reals!(x.dtype(), resized(plan, x, &each)).and_then(one)
}

/// Rounded, halves up.
fn half_up(x: f64) -> usize {
    (x + 0.5).floor().max(0.0) as usize
}

/// The elements that an output of one dimension is made of, with their weights;
/// nothing when it is given the extrapolation value.
type Taps = Option<Vec<(usize, f64)>>;

fn resized<T: Real>(plan: &Plan, x: &Tensor, each: &[Along]) -> Result<Tensor, String> {
    let mut values = T::of(x.elements())?.into_owned();
    let mut dims: Vec<usize> = x.shape().to_vec();
    let mut outside: Vec<(usize, Vec<bool>)> = Vec::new();
    for (at, along) in each.iter().enumerate() {
        if along.from == along.to && along.scale == 1.0 && along.region == (0.0, 1.0) {
            continue;
        }
        let taps: Vec<Taps> = (0..along.to).map(|to| taps(plan, along, to)).collect();
        if taps.iter().map(|taps| taps.as_ref().map_or(0, Vec::len)).sum::<usize>()
            > limits::ONNX_ELEMENTS_MAX
        {
            return Err("its windows are too wide".to_owned());
        }
        outside.push((at, taps.iter().map(Option::is_none).collect()));
        let step: usize = dims[at + 1..].iter().product();
        dims[at] = along.to;
        let total = shape(dims.iter().copied())?.elements();
        let mut made = Vec::with_capacity(total);
        for block in values.chunks_exact((along.from * step).max(1)) {
            for taps in &taps {
                let start = made.len();
                match taps.as_deref() {
                    Some([(from, weight)]) if *weight == 1.0 => {
                        made.extend_from_slice(&block[from * step..][..step]);
                    }
                    Some(taps) => {
                        made.resize(start + step, T::zero());
                        for (from, weight) in taps {
                            let weight = T::c(*weight);
                            let line = &block[from * step..][..step];
                            made[start..].iter_mut().zip(line).for_each(|(to, &from)| *to += weight * from);
                        }
                    }
                    None => made.resize(start + step, T::zero()),
                }
            }
        }
        values = made;
    }
    // What lies outside of the region in any dimension has the value for that.
    for (at, outside) in outside.iter().filter(|(_, outside)| outside.contains(&true)) {
        let step: usize = dims[at + 1..].iter().product();
        for (place, line) in values.chunks_exact_mut(step.max(1)).enumerate() {
            if outside[place % dims[*at]] {
                line.fill(T::c(plan.extrapolation));
            }
        }
    }
    tensor(dims, values, x.dtype())
}

/// Where in the image the output `to` lies.
fn place(plan: &Plan, along: &Along, to: usize) -> f64 {
    let (x, from) = (to as f64, along.from as f64);
    // What the output would be long if it were no whole number.
    let exact = along.scale * from;
    match plan.coordinates {
        Coordinates::HalfPixel => (x + 0.5) / along.scale - 0.5,
        Coordinates::HalfPixelSymmetric => {
            // What was cut from the exact size is left out on both sides.
            let offset = from / 2.0 * (1.0 - along.to as f64 / exact);
            offset + (x + 0.5) / along.scale - 0.5
        }
        Coordinates::PytorchHalfPixel if along.to <= 1 => -0.5,
        Coordinates::PytorchHalfPixel => (x + 0.5) / along.scale - 0.5,
        Coordinates::AlignCorners if exact <= 1.0 || along.to == 1 => 0.0,
        Coordinates::AlignCorners => x * (from - 1.0) / (exact - 1.0),
        Coordinates::Asymmetric => x / along.scale,
        Coordinates::TfHalfPixel => (x + 0.5) / along.scale,
        Coordinates::TfCropAndResize => {
            let (start, end) = along.region;
            if along.to > 1 {
                start * (from - 1.0) + x * (end - start) * (from - 1.0) / (along.to as f64 - 1.0)
            } else {
                0.5 * (start + end) * (from - 1.0)
            }
        }
    }
}

fn taps(plan: &Plan, along: &Along, to: usize) -> Taps {
    let at = place(plan, along, to);
    let last = along.from as f64 - 1.0;
    if plan.coordinates == Coordinates::TfCropAndResize && (at < 0.0 || at > last) {
        return None;
    }
    let kept = |index: f64| index.clamp(0.0, last) as usize;
    if plan.mode == Mode::Nearest {
        let index = match plan.nearest {
            Nearest::Floor => at.floor(),
            Nearest::Ceil => at.ceil(),
            Nearest::RoundPreferFloor => (at - 0.5).ceil(),
            Nearest::RoundPreferCeil => (at + 0.5).floor(),
        };
        return Some(vec![(kept(index), 1.0)]);
    }
    // A filter that is as wide as what is left out is, when many become few.
    let shrink = if plan.antialias { along.scale.min(1.0) } else { 1.0 };
    let reach = if plan.mode == Mode::Linear { 1.0 } else { 2.0 } / shrink;
    let weight = |distance: f64| match plan.mode {
        Mode::Cubic => cubic(distance * shrink, plan.cubic),
        _ => (1.0 - (distance * shrink).abs()).max(0.0),
    };
    let (first, end) = ((at - reach).floor() + 1.0, (at + reach).ceil());
    let mut taps: Vec<(usize, f64)> = Vec::new();
    let mut index = first;
    while index < end.max(first + 1.0) {
        let outside = index < 0.0 || index > last;
        let weight = if outside && plan.exclude_outside { 0.0 } else { weight(at - index) };
        if weight != 0.0 {
            match taps.last_mut() {
                Some((known, sum)) if *known == kept(index) => *sum += weight,
                _ => taps.push((kept(index), weight)),
            }
        }
        index += 1.0;
        if taps.len() > along.from + 1 {
            break;
        }
    }
    let sum: f64 = taps.iter().map(|(_, weight)| weight).sum();
    if taps.is_empty() || sum == 0.0 {
        return Some(vec![(kept(at.round()), 1.0)]);
    }
    if plan.antialias || plan.exclude_outside {
        taps.iter_mut().for_each(|(_, weight)| *weight /= sum);
    }
    Some(taps)
}

/// Keys' cubic. Source: ONNX, Resize, `cubic_coeff_a`.
pub(super) fn cubic(x: f64, a: f64) -> f64 {
    let x = x.abs();
    if x <= 1.0 {
        ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        ((a * x - 5.0 * a) * x + 8.0 * a) * x - 4.0 * a
    } else {
        0.0
    }
}
