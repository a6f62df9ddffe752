//! `FunctionTransformer`: one of numpy's functions of one number, or none.

use ndarray::ArrayView2;

use crate::engines::sklearn::math::expit;
use crate::engines::sklearn::samples::{Frame, Samples};
use crate::engines::sklearn::state::Part;
use crate::engines::sklearn::{
    Check, Estimator, Facts, Gives, Method, ModelError, Spec, answer, flat, registry,
};
use crate::formats::pickle::Ref;
use crate::servable::RunError;
use crate::tensor::{DType, Tensor};

/// A function of one number; `None` leaves it as it is.
type Function = Option<fn(f64) -> f64>;

#[derive(Debug)]
struct Transformer {
    facts: Facts,
    forward: Function,
    backward: Function,
}

/// Source: `sklearn.preprocessing.FunctionTransformer`.
pub(super) fn build(part: &Part<'_>) -> Result<Box<dyn Estimator>, ModelError> {
    let (forward, backward) =
        (function(part, "func", "kw_args")?, function(part, "inverse_func", "inv_kw_args")?);
    let n_features = part.stated_features()?;
    let check = if part.flag("validate", false)? { Check::Finite } else { Check::Width };
    let methods = match n_features {
        Some(width) => vec![Spec::transform(width), Spec::inverse_transform(width, width)],
        None => [Method::Transform, Method::InverseTransform]
            .map(|method| Spec::new(method, DType::Double, Gives::AsTaken))
            .to_vec(),
    };
    let facts = Facts::of_any_width(part, check, methods)?;
    Ok(Box::new(Transformer { facts, forward, backward }))
}

/// Whether the value is a transformer that neither changes nor checks what it is given,
/// whatever that is.
pub(in crate::engines::sklearn) fn passes(value: Ref<'_>) -> bool {
    let Some(object) = value.object() else { return false };
    let class = object.class();
    let is_it = class.name == "FunctionTransformer" && registry::find(class.module, class.name).is_some();
    let unset =
        |name| object.attr(name).is_none_or(|value| value.is_none() || value.as_bool() == Some(false));
    is_it && unset("func") && unset("validate") && unset("kw_args")
}

/// A function by the name that the file has. Only numpy's own, and two of scipy's, are known.
fn function(part: &Part<'_>, name: &'static str, arguments: &'static str) -> Result<Function, ModelError> {
    let Some(value) = part.attr(name) else { return Ok(None) };
    if let Some(given) = part.attr(arguments)
        && given.entries().is_none_or(|entries| entries.len() > 0)
    {
        return Err(part.refuse(arguments, "holds arguments of a function; expected none"));
    }
    let found = named(value).and_then(|(module, function)| known(&module, &function));
    found.map(Some).ok_or_else(|| {
        part.unexpected(name, value, "None or one of numpy's functions of one number; others are not called")
    })
}

/// Module and name of a function. Until numpy 1.21 its functions were calls that look them up.
fn named(value: Ref<'_>) -> Option<(String, String)> {
    if let Some(global) = value.global() {
        return Some((global.module.to_owned(), global.name.to_owned()));
    }
    let object = value.object()?;
    let class = object.class();
    if !(class.is("numpy.core", "_ufunc_reconstruct") || class.is("numpy._core", "_ufunc_reconstruct")) {
        return None;
    }
    let mut args = object.args();
    Some((args.next()?.as_str()?.to_owned(), args.next()?.as_str()?.to_owned()))
}

fn known(module: &str, name: &str) -> Option<fn(f64) -> f64> {
    match module {
        "numpy" | "numpy.core._multiarray_umath" | "numpy._core._multiarray_umath" => {}
        "scipy.special" | "scipy.special._ufuncs" | "scipy.special._special_ufuncs" => {
            return match name {
                "expit" => Some(expit),
                "logit" => Some(|x| (x / (1.0 - x)).ln()),
                _ => None,
            };
        }
        _ => return None,
    }
    Some(match name {
        "absolute" | "abs" | "fabs" => f64::abs,
        "arccos" => f64::acos,
        "arccosh" => f64::acosh,
        "arcsin" => f64::asin,
        "arcsinh" => f64::asinh,
        "arctan" => f64::atan,
        "arctanh" => f64::atanh,
        "cbrt" => f64::cbrt,
        "ceil" => f64::ceil,
        "cos" => f64::cos,
        "cosh" => f64::cosh,
        "deg2rad" | "radians" => f64::to_radians,
        "exp" => f64::exp,
        "exp2" => f64::exp2,
        "expm1" => f64::exp_m1,
        "floor" => f64::floor,
        "log" => f64::ln,
        "log10" => f64::log10,
        "log1p" => f64::ln_1p,
        "log2" => f64::log2,
        "negative" => |x| -x,
        "positive" => |x| x,
        "rad2deg" | "degrees" => f64::to_degrees,
        "reciprocal" => f64::recip,
        "rint" => f64::round_ties_even,
        "sign" => |x| if x == 0.0 || x.is_nan() { x } else { x.signum() },
        "sin" => f64::sin,
        "sinh" => f64::sinh,
        "sqrt" => f64::sqrt,
        "square" => |x| x * x,
        "tan" => f64::tan,
        "tanh" => f64::tanh,
        "trunc" => f64::trunc,
        _ => return None,
    })
}

impl Estimator for Transformer {
    fn facts(&self) -> &Facts {
        &self.facts
    }

    fn compute(
        &self,
        x: ArrayView2<'_, f64>,
        wanted: &[Method],
        answers: &mut Vec<Tensor>,
    ) -> Result<(), RunError> {
        for &method in wanted {
            let function = if method == Method::InverseTransform { self.backward } else { self.forward };
            let values = match function {
                Some(function) => flat(&x).iter().map(|&value| function(value)).collect(),
                None => flat(&x).to_vec(),
            };
            answers.push(answer(x.nrows(), Some(x.ncols()), values.into())?);
        }
        Ok(())
    }

    fn transform(&self, x: Samples<'_>) -> Result<Frame, RunError> {
        let Some(function) = self.forward else { return Ok(x.to_frame()) };
        match x {
            // What is not there stays so.
            Samples::Sparse(x) if function(0.0) == 0.0 => {
                let mut x = x.clone();
                x.values_mut().iter_mut().for_each(|value| *value = function(*value));
                Ok(Frame::Sparse(x))
            }
            x => {
                let mut x = x.to_dense(self.facts.class)?;
                x.iter_mut().for_each(|value| *value = function(*value));
                Ok(Frame::Dense(x))
            }
        }
    }
}
