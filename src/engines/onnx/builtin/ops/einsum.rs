//! `Einsum`: sums of products, by letters.
//!
//! Each operand becomes a view with a dimension for every letter; operands are joined
//! two by two, summing what no later operand and not the result asks for.

use smallvec::SmallVec;

use super::super::elements::{View, strides};
use super::super::op::{Built, Node, made, one, op, shape};
use super::cast::cast;
use super::matrix::{matmul, transposed};
use crate::limits;
use crate::tensor::{DType, Tensor};

/// One letter, or one dimension of an ellipsis: those count from 256 on.
type Letter = u32;

const ELLIPSIS: Letter = 256;

/// The letters of a term; `None` stands for the ellipsis.
fn term(text: &str) -> Result<Vec<Option<Letter>>, String> {
    let mut letters = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if let Some(behind) = rest.strip_prefix("...") {
            letters.push(None);
            rest = behind;
        } else if first.is_ascii_alphabetic() {
            letters.push(Some(u32::from(first)));
            rest = &rest[1..];
        } else {
            return Err(format!("the equation has {first:?}; expected letters, commas and an arrow"));
        }
    }
    Ok(letters)
}

/// An operand with one dimension for each of its letters, no two alike.
struct Operand {
    letters: Vec<Letter>,
    tensor: Tensor,
}

pub(super) fn einsum(node: &mut Node<'_>) -> Built {
    let equation = node.required("equation", node.attributes.text("equation"))?;
    let equation: String = equation.chars().filter(|c| !c.is_whitespace()).collect();
    let (left, right) = match equation.split_once("->") {
        Some((left, right)) => (left, Some(term(right)?)),
        None => (equation.as_str(), None),
    };
    let terms = left.split(',').map(term).collect::<Result<Vec<_>, _>>()?;
    if terms.len() > limits::ONNX_EINSUM_TERMS_MAX {
        return Err(format!(
            "the equation has {} terms; at most {} are read",
            terms.len(),
            limits::ONNX_EINSUM_TERMS_MAX
        ));
    }
    op(move |inputs| {
        let tensors = inputs.tensors()?;
        if tensors.len() != terms.len() {
            return Err(format!("it has {} inputs and the equation {} terms", tensors.len(), terms.len()));
        }
        // How many dimensions the ellipsis stands for: the most of any operand.
        let mut dots = 0;
        for (tensor, term) in tensors.iter().zip(&terms) {
            let named = term.iter().flatten().count();
            let has_dots = term.contains(&None);
            let more = tensor.shape().rank().checked_sub(named).filter(|more| has_dots || *more == 0);
            let more = more
                .ok_or_else(|| format!("an operand of shape {} does not fit its letters", tensor.shape()))?;
            dots = dots.max(more);
        }
        let expand = |term: &[Option<Letter>], more: usize| -> Vec<Letter> {
            let dot = |at: usize| ELLIPSIS + u32::try_from(dots - more + at).unwrap_or(0);
            term.iter()
                .flat_map(|letter| match letter {
                    Some(letter) => vec![*letter],
                    None => (0..more).map(dot).collect(),
                })
                .collect()
        };
        let all: Vec<Vec<Letter>> = tensors
            .iter()
            .zip(&terms)
            .map(|(tensor, term)| expand(term, tensor.shape().rank() - term.iter().flatten().count()))
            .collect();
        let wanted = match &right {
            Some(right) => expand(right, dots),
            None => {
                // All letters that stand there once, in their order, behind the ellipsis.
                let mut letters: Vec<Letter> =
                    all.iter().flatten().copied().filter(|&letter| letter < ELLIPSIS).collect();
                letters.sort_unstable();
                let once: Vec<Letter> = letters
                    .iter()
                    .copied()
                    .filter(|letter| letters.iter().filter(|l| *l == letter).count() == 1)
                    .collect();
                (0..dots).map(|at| ELLIPSIS + u32::try_from(at).unwrap_or(0)).chain(once).collect()
            }
        };
        let dtype = tensors[0].dtype();
        let mut operands = Vec::new();
        for (tensor, letters) in tensors.iter().zip(&all) {
            operands.push(diagonal(tensor, letters)?);
        }
        let mut operands = operands.into_iter();
        let mut joined = operands.next().ok_or("it has no inputs")?;
        let mut rest: Vec<Operand> = operands.collect();
        rest.reverse();
        while let Some(next) = rest.pop() {
            let needed: Vec<Letter> =
                wanted.iter().chain(rest.iter().flat_map(|operand| &operand.letters)).copied().collect();
            joined = join(&joined, &next, &needed)?;
        }
        // What is left over is summed with ones.
        let ones = Operand { letters: Vec::new(), tensor: cast(&made([], vec![1i64])?, dtype)? };
        joined = join(&joined, &ones, &wanted)?;
        let order = wanted.iter().map(|letter| joined.letters.iter().position(|own| own == letter));
        let order: Option<SmallVec<[usize; 6]>> = order.collect();
        one(transposed(&joined.tensor, &order.ok_or("the result has a letter that no operand has")?)?)
    })
}

/// Letters that stand twice are looked at along the diagonal.
fn diagonal(tensor: &Tensor, letters: &[Letter]) -> Result<Operand, String> {
    let own = strides(tensor.shape());
    let mut view = View { dims: SmallVec::new(), strides: SmallVec::new(), offset: 0 };
    let mut kept: Vec<Letter> = Vec::new();
    for ((&letter, &dim), &stride) in letters.iter().zip(tensor.shape().iter()).zip(&own) {
        match kept.iter().position(|known| *known == letter) {
            Some(at) if view.dims[at] != dim => {
                return Err("a letter stands for two sizes in one operand".to_owned());
            }
            Some(at) => view.strides[at] += stride,
            None => {
                kept.push(letter);
                view.dims.push(dim);
                view.strides.push(stride);
            }
        }
    }
    let tensor = made(view.dims.iter().copied(), view.of(tensor.elements()))?;
    Ok(Operand { letters: kept, tensor })
}

/// The product of two operands, summed over letters that nobody needs any more: as a
/// stack of products of matrices.
fn join(a: &Operand, b: &Operand, needed: &[Letter]) -> Result<Operand, String> {
    let size = |operand: &Operand, letter: Letter| {
        operand.letters.iter().position(|own| *own == letter).map(|at| operand.tensor.shape()[at])
    };
    let both: Vec<Letter> = a
        .letters
        .iter()
        .copied()
        .chain(b.letters.iter().copied().filter(|l| !a.letters.contains(l)))
        .collect();
    let (mut batch, mut rows, mut columns, mut summed) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for &letter in &both {
        match (size(a, letter), size(b, letter)) {
            (Some(x), Some(y)) if x != y && x != 1 && y != 1 => {
                return Err(format!("a letter stands for {x} in one operand and {y} in another"));
            }
            // A dimension of 1 that is spread is a dimension of the other alone.
            (Some(1), Some(y)) if y != 1 => {
                if needed.contains(&letter) {
                    columns.push(letter)
                } else {
                    summed.push(letter)
                }
            }
            (Some(x), Some(1)) if x != 1 => {
                if needed.contains(&letter) {
                    rows.push(letter)
                } else {
                    summed.push(letter)
                }
            }
            (Some(_), Some(_)) if needed.contains(&letter) => batch.push(letter),
            (Some(_), None) if needed.contains(&letter) => rows.push(letter),
            (None, Some(_)) if needed.contains(&letter) => columns.push(letter),
            _ => summed.push(letter),
        }
    }
    let sizes = |letters: &[Letter]| -> Vec<usize> {
        letters.iter().map(|&l| size(a, l).unwrap_or(1).max(size(b, l).unwrap_or(1))).collect()
    };
    let product = |letters: &[Letter]| -> Result<usize, String> { Ok(shape(sizes(letters))?.elements()) };
    let (s, m, k, n) = (product(&batch)?, product(&rows)?, product(&summed)?, product(&columns)?);
    // Each operand laid out as the matrices of its side; what it has not is repeated.
    let lay = |operand: &Operand, order: &[&[Letter]], dims: [usize; 3]| -> Result<Tensor, String> {
        let own = strides(operand.tensor.shape());
        let mut view = View { dims: SmallVec::new(), strides: SmallVec::new(), offset: 0 };
        for &letter in order.iter().copied().flatten() {
            let at = operand.letters.iter().position(|own| *own == letter);
            let whole = size(a, letter).unwrap_or(1).max(size(b, letter).unwrap_or(1));
            view.dims.push(whole);
            view.strides.push(match at {
                Some(at) if operand.tensor.shape()[at] == whole => own[at],
                _ => 0,
            });
        }
        shape(view.dims.iter().copied())?;
        made(dims, view.of(operand.tensor.elements()))
    };
    let left = lay(a, &[&batch, &rows, &summed], [s, m, k])?;
    let right = lay(b, &[&batch, &summed, &columns], [s, k, n])?;
    if left.dtype() == DType::String {
        return Err("texts have no products".to_owned());
    }
    let product = matmul(&left, &right)?;
    let letters: Vec<Letter> = batch.iter().chain(&rows).chain(&columns).copied().collect();
    let tensor = made(sizes(&letters), product.into_elements())?;
    Ok(Operand { letters, tensor })
}
