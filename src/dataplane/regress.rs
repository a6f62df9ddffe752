//! Regress: examples in, one number for each out.

use smallvec::SmallVec;

use super::inference::{check_input, refuse};
use super::signature_text;
use crate::error::{Code, ServingError};
use crate::servable::{Method, Signature};
use crate::tensor::{Buffer, Elements, Tensor};

const OUTPUTS: &str = "outputs";

/// Checks that the signature is one for Regress, which then has one output.
pub(super) fn check(signature: &Signature, check_method: bool) -> Result<(), ServingError> {
    if check_method && signature.method != Method::Regress {
        return refuse(format!(
            "Expected regression signature method_name to be {}. Was: {}",
            Method::Regress.wire_name(),
            signature.method.wire_name()
        ));
    }
    if signature.inputs.len() != 1 {
        return refuse("Expected one input Tensor.");
    }
    if signature.outputs.len() != 1 {
        return refuse("Expected one output Tensor.");
    }
    check_input(signature, "regression")?;
    if &*signature.outputs[0].name != OUTPUTS {
        let shown = signature_text::text(signature);
        return refuse(format!("No regression outputs found in SignatureDef: {shown}"));
    }
    Ok(())
}

/// The outputs to run for: the only one.
pub(super) fn wanted() -> SmallVec<[usize; 4]> {
    std::iter::once(0).collect()
}

/// Reads the answer for this many examples: one number each.
pub(super) fn read(answers: Vec<Tensor>, examples: usize) -> Result<Buffer<f32>, ServingError> {
    let Some(answer) = answers.into_iter().next() else {
        return Err(ServingError::new(Code::Internal, "the model gave no answer"));
    };
    let shape = answer.shape();
    if !matches!(&**shape, [_] | [_, 1]) {
        return refuse(format!(
            "Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got {shape}"
        ));
    }
    if shape[0] != examples {
        let text = format!("Input batch size did not match output batch size: {examples} vs. {}", shape[0]);
        return refuse(text);
    }
    let dtype = answer.dtype();
    match answer.into_elements() {
        Elements::F32(values) => Ok(values),
        _ => refuse(format!("Expected output Tensor of DT_FLOAT.  Got: {}", dtype.wire_name())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::servable::TensorSpec;
    use crate::tensor::DType;

    fn signature(inputs: &[&str], outputs: &[&str], method: Method) -> Signature {
        let specs = |names: &[&str], dtype| {
            names.iter().map(|&name| TensorSpec::new(name, dtype, &[None])).collect::<Vec<_>>()
        };
        Signature {
            name: "s".into(),
            inputs: specs(inputs, DType::String),
            outputs: specs(outputs, DType::Float),
            method,
        }
    }

    #[track_caller]
    fn refused(got: Result<impl std::fmt::Debug, ServingError>, want: &str) {
        let error = got.unwrap_err();
        assert_eq!((error.code(), error.message()), (Code::InvalidArgument, want));
    }

    #[test]
    fn a_signature_that_is_none_for_regress_is_refused() {
        let of = |inputs: &[&str], outputs: &[&str]| {
            let signature = signature(inputs, outputs, Method::Predict);
            (check(&signature, false), signature_text::text(&signature))
        };
        assert_eq!(of(&["inputs"], &["outputs"]).0, Ok(()));
        refused(of(&["inputs", "b"], &["outputs"]).0, "Expected one input Tensor.");
        refused(of(&["inputs"], &["outputs", "b"]).0, "Expected one output Tensor.");
        let (got, shown) = of(&["x"], &["outputs"]);
        refused(got, &format!("No regression inputs found in SignatureDef: {shown}"));
        let (got, shown) = of(&["inputs"], &["y"]);
        refused(got, &format!("No regression outputs found in SignatureDef: {shown}"));
    }

    #[test]
    fn the_method_is_checked_when_that_is_wanted() {
        let of = |method| check(&signature(&["inputs"], &["outputs"], method), true);
        assert_eq!(of(Method::Regress), Ok(()));
        refused(
            of(Method::Predict),
            "Expected regression signature method_name to be tensorflow/serving/regress. Was: \
             tensorflow/serving/predict",
        );
    }

    #[test]
    fn one_number_for_each_example_or_an_error() {
        let of = |shape: &[usize], elements: Elements, examples| {
            let shape = crate::tensor::Shape::new(shape.iter().copied()).unwrap();
            read(vec![Tensor::new(shape, elements).unwrap()], examples)
        };
        let two = || Elements::from(vec![1f32, 2.0]);
        assert_eq!(&of(&[2], two(), 2).unwrap()[..], [1.0, 2.0]);
        assert_eq!(&of(&[2, 1], two(), 2).unwrap()[..], [1.0, 2.0]);
        let shapes = "Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got ";
        refused(of(&[1, 2], two(), 1), &format!("{shapes}[1,2]"));
        refused(of(&[2, 1, 1], two(), 2), &format!("{shapes}[2,1,1]"));
        refused(of(&[2], two(), 3), "Input batch size did not match output batch size: 3 vs. 2");
        refused(of(&[1], vec![1f64].into(), 1), "Expected output Tensor of DT_FLOAT.  Got: DT_DOUBLE");
    }
}
