//! Windows that slide over an image: where each place of the kernel lies for each
//! output. Images have any number of dimensions.

use std::ops::Range;

use super::super::op::{Node, shape, size};
use crate::limits;

/// How padding is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Auto {
    NotSet,
    Valid,
    SameUpper,
    SameLower,
}

/// What a node says of its windows.
#[derive(Debug, Clone)]
pub(super) struct Spec {
    /// The kernel's size, where the node states it.
    pub(super) kernel: Option<Vec<usize>>,
    pub(super) strides: Option<Vec<usize>>,
    pub(super) dilations: Option<Vec<usize>>,
    pub(super) pads: Option<Vec<usize>>,
    pub(super) auto: Auto,
    pub(super) ceil: bool,
}

/// A list of sizes, none of which is below `least`.
pub(super) fn sizes(node: &Node<'_>, name: &str, least: usize) -> Result<Option<Vec<usize>>, String> {
    let Some(ints) = node.attributes.ints(name)? else { return Ok(None) };
    let one = |&value: &i64| {
        let value = size(value, name)?;
        if value < least {
            return Err(format!("{name} has {value}; expected {least} or more"));
        }
        Ok(value)
    };
    ints.iter().map(one).collect::<Result<_, String>>().map(Some)
}

impl Spec {
    pub(super) fn read(node: &Node<'_>) -> Result<Self, String> {
        let auto = match node.attributes.text("auto_pad")?.unwrap_or("NOTSET") {
            "NOTSET" | "" => Auto::NotSet,
            "VALID" => Auto::Valid,
            "SAME_UPPER" => Auto::SameUpper,
            "SAME_LOWER" => Auto::SameLower,
            other => return Err(format!("auto_pad is {other:?}; expected NOTSET, VALID or SAME_*")),
        };
        Ok(Self {
            kernel: sizes(node, "kernel_shape", 1)?,
            strides: sizes(node, "strides", 1)?,
            dilations: sizes(node, "dilations", 1)?,
            pads: sizes(node, "pads", 0)?,
            auto,
            ceil: node.attributes.flag("ceil_mode", false)?,
        })
    }

    /// A list for each of `rank` dimensions, all `usual` when none is stated.
    pub(super) fn each(list: Option<&Vec<usize>>, rank: usize, usual: usize) -> Result<Vec<usize>, String> {
        match list {
            None => Ok(vec![usual; rank]),
            Some(list) if list.len() == rank => Ok(list.clone()),
            Some(list) => Err(format!("a list of {} sizes is stated for {rank} dimensions", list.len())),
        }
    }

    /// The windows over an image of these dimensions.
    pub(super) fn over(&self, dims: &[usize], kernel: &[usize]) -> Result<Window, String> {
        let rank = dims.len();
        if rank == 0 {
            return Err("it has no dimension that a window could slide along".to_owned());
        }
        if kernel.len() != rank {
            return Err(format!("the kernel has {} dimensions; the image has {rank}", kernel.len()));
        }
        if self.kernel.as_ref().is_some_and(|stated| stated != kernel) {
            return Err(format!("kernel_shape is {:?}; the weights are of {kernel:?}", self.kernel));
        }
        let strides = Self::each(self.strides.as_ref(), rank, 1)?;
        let dilations = Self::each(self.dilations.as_ref(), rank, 1)?;
        let pads = Self::each(self.pads.as_ref(), rank * 2, 0)?;
        let (mut begin, mut end, mut out) = (vec![0; rank], vec![0; rank], vec![0; rank]);
        for at in 0..rank {
            let reach = reach(kernel[at], dilations[at]);
            if self.auto == Auto::NotSet {
                (begin[at], end[at]) = (pads[at], pads[rank + at]);
            } else if self.auto != Auto::Valid {
                let wanted = dims[at].div_ceil(strides[at]);
                let total = (wanted.max(1) - 1)
                    .saturating_mul(strides[at])
                    .saturating_add(reach)
                    .saturating_sub(dims[at]);
                begin[at] = if self.auto == Auto::SameUpper { total / 2 } else { total - total / 2 };
                end[at] = total - begin[at];
            }
            let padded = dims[at].saturating_add(begin[at]).saturating_add(end[at]);
            let Some(room) = padded.checked_sub(reach) else {
                return Err(format!(
                    "the window of {reach} is larger than the image of {padded} with its padding"
                ));
            };
            out[at] = room / strides[at] + 1;
            // The last window may hang over, but must begin within the image or its first padding.
            if self.ceil && !room.is_multiple_of(strides[at]) && out[at] * strides[at] < dims[at] + begin[at]
            {
                out[at] += 1;
            }
        }
        Window::new(dims, kernel, &strides, &dilations, &begin, &end, &out)
    }
}

/// From the first to the last place of a kernel.
pub(super) fn reach(kernel: usize, dilation: usize) -> usize {
    (kernel - 1).saturating_mul(dilation).saturating_add(1)
}

/// Windows over one image.
#[derive(Debug, Clone)]
pub(super) struct Window {
    pub(super) dims: Vec<usize>,
    pub(super) kernel: Vec<usize>,
    pub(super) strides: Vec<usize>,
    pub(super) dilations: Vec<usize>,
    pub(super) begin: Vec<usize>,
    pub(super) end: Vec<usize>,
    pub(super) out: Vec<usize>,
}

/// One place of the kernel along one row of outputs: output `x` sees element
/// `from + (x - outputs.start) · step` of the image.
#[derive(Debug, Clone)]
pub(super) struct Run {
    /// Which place of the kernel, row-major.
    pub(super) place: usize,
    /// The row's first output.
    pub(super) row: usize,
    /// Outputs of the row that see an element here; the others see padding.
    pub(super) outputs: Range<usize>,
    /// The element that the first of them sees.
    pub(super) from: usize,
    /// Elements from one output to the next.
    pub(super) step: usize,
}

impl Window {
    /// All lists are as long as `dims`.
    #[allow(clippy::too_many_arguments, reason = "one for each field")]
    pub(super) fn new(
        dims: &[usize],
        kernel: &[usize],
        strides: &[usize],
        dilations: &[usize],
        begin: &[usize],
        end: &[usize],
        out: &[usize],
    ) -> Result<Self, String> {
        let (outputs, places) = (shape(out.iter().copied())?, shape(kernel.iter().copied())?);
        if outputs.elements().saturating_mul(places.elements()) > limits::ONNX_WINDOW_STEPS_MAX {
            return Err(format!("{places} places of a kernel for {outputs} outputs are too large a work"));
        }
        let most = dims.iter().chain(kernel).chain(strides).chain(dilations).chain(begin).chain(end).max();
        if most.is_some_and(|&most| most > MOST) {
            return Err(format!("a size of its windows is more than {MOST}"));
        }
        Ok(Self {
            dims: dims.to_vec(),
            kernel: kernel.to_vec(),
            strides: strides.to_vec(),
            dilations: dilations.to_vec(),
            begin: begin.to_vec(),
            end: end.to_vec(),
            out: out.to_vec(),
        })
    }

    /// Elements of the image.
    pub(super) fn image(&self) -> usize {
        self.dims.iter().product()
    }

    /// Places of the kernel.
    pub(super) fn places(&self) -> usize {
        self.kernel.iter().product()
    }

    /// Outputs.
    pub(super) fn outputs(&self) -> usize {
        self.out.iter().product()
    }

    /// Outputs of one row.
    pub(super) fn row(&self) -> usize {
        self.out[self.out.len() - 1]
    }

    /// Rows of outputs.
    pub(super) fn rows(&self) -> usize {
        self.out[..self.out.len() - 1].iter().product()
    }

    /// Whether each output sees just the element in its own place.
    pub(super) fn is_pointwise(&self) -> bool {
        self.places() == 1 && self.out == self.dims && self.begin.iter().all(|&pad| pad == 0)
    }

    /// Calls `each` for every place of the kernel and each of these rows of outputs.
    pub(super) fn for_runs(&self, rows: Range<usize>, mut each: impl FnMut(Run)) {
        let last = self.dims.len() - 1;
        let mut place_at = vec![0usize; self.dims.len()];
        for place in 0..self.places() {
            unravel(place, &self.kernel, &mut place_at);
            let (outputs, first) = self.along(last, place_at[last]);
            let mut row_at = vec![0usize; last];
            for row in rows.clone() {
                unravel(row, &self.out[..last], &mut row_at);
                let mut from = Some(0usize);
                for axis in 0..last {
                    let at = row_at[axis] * self.strides[axis] + place_at[axis] * self.dilations[axis];
                    let at = at.checked_sub(self.begin[axis]).filter(|&at| at < self.dims[axis]);
                    from = from.zip(at).map(|(from, at)| from * self.dims[axis] + at);
                }
                let (outputs, from) = match from {
                    Some(from) => (outputs.clone(), from * self.dims[last] + first),
                    None => (0..0, 0),
                };
                each(Run { place, row: row * self.row(), outputs, from, step: self.strides[last] });
            }
        }
    }

    /// The outputs along an axis that see an element with this place of the kernel,
    /// and which the first sees.
    fn along(&self, axis: usize, place: usize) -> (Range<usize>, usize) {
        let (stride, offset) = (self.strides[axis], place * self.dilations[axis]);
        let begin = self.begin[axis];
        let start = begin.saturating_sub(offset).div_ceil(stride);
        let Some(last) = (self.dims[axis] + begin).checked_sub(offset + 1) else { return (0..0, 0) };
        let end = (last / stride + 1).min(self.out[axis]);
        if self.dims[axis] == 0 || start >= end {
            return (0..0, 0);
        }
        (start..end, start * stride + offset - begin)
    }

    /// What each place of the kernel sees, as a matrix: a row for each place of each
    /// channel, a column for each output of `rows`. What lies in the padding is 0.
    pub(super) fn gather<T: Copy + Default>(&self, image: &[T], rows: Range<usize>, into: &mut Vec<T>) {
        let columns = rows.len() * self.row();
        let (places, area, skipped) = (self.places(), self.image(), rows.start * self.row());
        let channels = image.len().checked_div(area).unwrap_or(0);
        into.clear();
        into.resize(channels * places * columns, T::default());
        self.for_runs(rows, |run| {
            let start = run.row - skipped + run.outputs.start;
            for channel in 0..channels {
                let line = (channel * places + run.place) * columns + start;
                let line = &mut into[line..line + run.outputs.len()];
                let seen = &image[channel * area..][..area];
                if run.step == 1 && !line.is_empty() {
                    line.copy_from_slice(&seen[run.from..run.from + line.len()]);
                } else {
                    line.iter_mut().enumerate().for_each(|(x, to)| *to = seen[run.from + x * run.step]);
                }
            }
        });
    }

    /// The inverse of [`gather`](Self::gather) for all rows: adds what each place of
    /// the kernel holds to the element that it sees.
    pub(super) fn scatter<T: Copy + std::ops::AddAssign>(&self, columns: &[T], image: &mut [T]) {
        let (places, area, outputs) = (self.places(), self.image(), self.outputs());
        let channels = image.len().checked_div(area).unwrap_or(0);
        self.for_runs(0..self.rows(), |run| {
            for channel in 0..channels {
                let line = (channel * places + run.place) * outputs + run.row + run.outputs.start;
                let line = &columns[line..line + run.outputs.len()];
                let seen = &mut image[channel * area..][..area];
                line.iter().enumerate().for_each(|(x, &from)| seen[run.from + x * run.step] += from);
            }
        });
    }
}

/// Sizes of windows: products of two do not overflow.
const MOST: usize = 1 << 30;

/// The coordinates of the `at`th element of a shape.
pub(super) fn unravel(mut at: usize, dims: &[usize], into: &mut [usize]) {
    for (dim, to) in dims.iter().zip(into).rev() {
        *to = at % (*dim).max(1);
        at /= (*dim).max(1);
    }
}
