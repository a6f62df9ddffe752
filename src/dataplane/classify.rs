//! Classify: examples in, classes with labels and scores out.

use smallvec::SmallVec;

use super::inference::{check_input, refuse};
use super::signature_text;
use crate::error::{Code, ServingError};
use crate::servable::{Method, Signature};
use crate::tensor::{Buffer, DType, Elements, Tensor};

const CLASSES: &str = "classes";
const SCORES: &str = "scores";

/// What Classify answers: for each example the same number of classes, in the
/// model's order.
#[derive(Debug, Clone, PartialEq)]
pub struct Classes {
    /// How many examples there are.
    pub examples: usize,
    /// How many classes each of them has.
    pub per_example: usize,
    /// The labels, row-major, when the model gives `classes`.
    pub labels: Option<Vec<String>>,
    /// The scores, row-major, when the model gives `scores`.
    pub scores: Option<Buffer<f32>>,
}

/// Where a signature has its two outputs; at least one of them is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Outputs {
    classes: Option<usize>,
    scores: Option<usize>,
}

impl Outputs {
    /// Finds them, and checks that the signature is one for Classify.
    pub(super) fn of(signature: &Signature, check_method: bool) -> Result<Self, ServingError> {
        if check_method && signature.method != Method::Classify {
            return refuse(format!(
                "Expected classification signature method_name to be {}. Was: {}",
                Method::Classify.wire_name(),
                signature.method.wire_name()
            ));
        }
        if signature.inputs.len() != 1 {
            return refuse("Expected one input Tensor.");
        }
        if !(1..=2).contains(&signature.outputs.len()) {
            return refuse(format!("Expected one or two output Tensors, found {}", signature.outputs.len()));
        }
        check_input(signature, "classification")?;
        let place = |name: &str| signature.outputs.iter().position(|spec| *spec.name == *name);
        let found = Self { classes: place(CLASSES), scores: place(SCORES) };
        if found == (Self { classes: None, scores: None }) {
            return refuse(format!(
                "Expected classification signature outputs to contain at least one of \"{CLASSES}\" or \
                 \"{SCORES}\". Signature was: {}",
                signature_text::text(signature)
            ));
        }
        Ok(found)
    }

    /// The outputs to run for.
    pub(super) fn wanted(self) -> SmallVec<[usize; 4]> {
        self.classes.into_iter().chain(self.scores).collect()
    }

    /// Reads the answers to [`Outputs::wanted`] for this many examples.
    pub(super) fn read(self, answers: Vec<Tensor>, examples: usize) -> Result<Classes, ServingError> {
        let mut answers = answers.into_iter();
        let classes = self.classes.and_then(|_| answers.next());
        let scores = self.scores.and_then(|_| answers.next());
        for tensor in [&classes, &scores].into_iter().flatten() {
            if tensor.shape().rank() != 2 {
                return refuse(format!(
                    "Expected Tensor shape: [batch_size num_classes] but got {}",
                    tensor.shape()
                ));
            }
        }
        for (name, tensor, dtype) in [(CLASSES, &classes, DType::String), (SCORES, &scores, DType::Float)] {
            let Some(tensor) = tensor else { continue };
            if tensor.dtype() != dtype {
                return refuse(format!(
                    "Expected {name} Tensor of {}. Got: {}",
                    dtype.wire_name(),
                    tensor.dtype().wire_name()
                ));
            }
            if tensor.shape()[0] != examples {
                return refuse(format!(
                    "Expected {name} output batch size of {examples}. Got: {}",
                    tensor.shape()[0]
                ));
            }
        }
        if let (Some(classes), Some(scores)) = (&classes, &scores)
            && classes.shape()[1] != scores.shape()[1]
        {
            return refuse(format!(
                "Tensors class and score should match in dim_size(1). Got {} vs. {}",
                classes.shape()[1],
                scores.shape()[1]
            ));
        }
        let per_example = classes.as_ref().or(scores.as_ref()).map_or(0, |tensor| tensor.shape()[1]);
        let scores = scores.and_then(|tensor| match tensor.into_elements() {
            Elements::F32(scores) => Some(scores),
            _ => None,
        });
        Ok(Classes { examples, per_example, labels: classes.map(texts).transpose()?, scores })
    }
}

/// Labels travel as text.
fn texts(classes: Tensor) -> Result<Vec<String>, ServingError> {
    let Elements::Strings(labels) = classes.into_elements() else { return Ok(Vec::new()) };
    let text = |label: bytes::Bytes| {
        String::from_utf8(label.into()).map_err(|_| {
            ServingError::new(Code::Internal, "the model gave a class label that is not UTF-8 text")
        })
    };
    labels.into_iter().map(text).collect()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::servable::TensorSpec;

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

    fn strings(rows: usize, columns: usize) -> Tensor {
        let labels: Vec<Bytes> = (0..rows * columns).map(|i| Bytes::from(format!("c{i}"))).collect();
        Tensor::new([rows, columns], labels.into()).unwrap()
    }

    fn floats(rows: usize, columns: usize) -> Tensor {
        Tensor::new([rows, columns], vec![0.5f32; rows * columns].into()).unwrap()
    }

    const BOTH: Outputs = Outputs { classes: Some(0), scores: Some(1) };

    #[track_caller]
    fn refused(got: Result<impl std::fmt::Debug, ServingError>, want: &str) {
        let error = got.unwrap_err();
        assert_eq!((error.code(), error.message()), (Code::InvalidArgument, want));
    }

    #[test]
    fn the_outputs_are_found_by_name() {
        let of = |outputs: &[&str]| Outputs::of(&signature(&["inputs"], outputs, Method::Predict), false);
        assert_eq!(of(&["classes", "scores"]), Ok(BOTH));
        assert_eq!(of(&["scores", "classes"]), Ok(Outputs { classes: Some(1), scores: Some(0) }));
        assert_eq!(of(&["scores"]), Ok(Outputs { classes: None, scores: Some(0) }));
        assert_eq!(of(&["x", "classes"]), Ok(Outputs { classes: Some(1), scores: None }));
        assert_eq!(of(&["scores", "classes"]).unwrap().wanted().to_vec(), [1, 0]);
    }

    #[test]
    fn a_signature_that_is_none_for_classify_is_refused() {
        let of = |inputs: &[&str], outputs: &[&str]| {
            Outputs::of(&signature(inputs, outputs, Method::Predict), false)
        };
        refused(of(&["inputs", "b"], &["scores"]), "Expected one input Tensor.");
        refused(of(&[], &["scores"]), "Expected one input Tensor.");
        refused(of(&["inputs"], &["classes", "scores", "x"]), "Expected one or two output Tensors, found 3");
        refused(of(&["inputs"], &[]), "Expected one or two output Tensors, found 0");
        let shown = signature_text::text(&signature(&["x"], &["scores"], Method::Predict));
        refused(of(&["x"], &["scores"]), &format!("No classification inputs found in SignatureDef: {shown}"));
        let shown = signature_text::text(&signature(&["inputs"], &["x"], Method::Predict));
        refused(
            of(&["inputs"], &["x"]),
            &format!(
                "Expected classification signature outputs to contain at least one of \"classes\" or \"scores\". \
                 Signature was: {shown}"
            ),
        );
    }

    #[test]
    fn the_method_is_checked_when_that_is_wanted() {
        let of = |method, check| Outputs::of(&signature(&["inputs"], &["scores"], method), check);
        refused(
            of(Method::Regress, true),
            "Expected classification signature method_name to be tensorflow/serving/classify. Was: \
             tensorflow/serving/regress",
        );
        assert!(of(Method::Classify, true).is_ok());
        assert!(of(Method::Regress, false).is_ok());
    }

    #[test]
    fn answers_become_classes_in_the_models_order() {
        let classes = BOTH.read(vec![strings(2, 3), floats(2, 3)], 2).unwrap();
        assert_eq!((classes.examples, classes.per_example), (2, 3));
        assert_eq!(classes.labels.unwrap(), ["c0", "c1", "c2", "c3", "c4", "c5"]);
        assert_eq!(&classes.scores.unwrap()[..], [0.5; 6]);
        let only = Outputs { classes: None, scores: Some(0) }.read(vec![floats(2, 1)], 2).unwrap();
        assert_eq!((only.per_example, only.labels), (1, None));
        let only = Outputs { classes: Some(0), scores: None }.read(vec![strings(1, 1)], 1).unwrap();
        assert_eq!((only.labels.unwrap(), only.scores), (vec!["c0".to_owned()], None));
    }

    #[test]
    fn answers_that_are_no_classes_are_refused() {
        let read = |answers| BOTH.read(answers, 2);
        let flat = Tensor::vector(vec![0.5f32; 6].into());
        refused(
            read(vec![strings(2, 3), flat]),
            "Expected Tensor shape: [batch_size num_classes] but got [6]",
        );
        refused(
            read(vec![floats(2, 3), floats(2, 3)]),
            "Expected classes Tensor of DT_STRING. Got: DT_FLOAT",
        );
        refused(
            read(vec![strings(2, 3), strings(2, 3)]),
            "Expected scores Tensor of DT_FLOAT. Got: DT_STRING",
        );
        refused(read(vec![strings(3, 3), floats(2, 3)]), "Expected classes output batch size of 2. Got: 3");
        refused(read(vec![strings(2, 3), floats(1, 3)]), "Expected scores output batch size of 2. Got: 1");
        refused(
            read(vec![strings(2, 3), floats(2, 4)]),
            "Tensors class and score should match in dim_size(1). Got 3 vs. 4",
        );
        let bytes = Tensor::new([1, 1], vec![Bytes::from_static(b"\xff")].into()).unwrap();
        let error = Outputs { classes: Some(0), scores: None }.read(vec![bytes], 1).unwrap_err();
        assert_eq!(error.code(), Code::Internal);
    }
}
