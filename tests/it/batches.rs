//! What a batched model is given, seen by a servable that keeps it, behind a real socket.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use longshore::execution::{BatchOptions, BatchParameters};
use longshore::proto::tensorflow::serving as pb;
use longshore::proto::tensorflow::{DataType, TensorProto, TensorShapeProto, tensor_shape_proto::Dim};
use longshore::servable::{DEFAULT_SIGNATURE, Method};
use longshore::tensor::{DType, Tensor};
use prost::Message as _;

use crate::made::{Doors, Made, Model, Options, floats, signature};
use crate::server::request;
use crate::wire::Grpc;

struct Scene {
    grpc: Grpc,
    batches: Arc<Mutex<Vec<Tensor>>>,
    _doors: Doors,
}

impl Scene {
    async fn new(parameters: BatchParameters) -> Self {
        let batches = Arc::new(Mutex::new(Vec::new()));
        let x = signature(
            DEFAULT_SIGNATURE,
            &[("inputs", DType::Float)],
            &[("y", DType::Float)],
            Method::Predict,
        );
        let kept = Arc::clone(&batches);
        let servable = Made::answering(vec![x], move |call| {
            kept.lock().unwrap().push(call.inputs[0].clone());
            Ok(call.inputs.into_vec())
        });
        let batching = Some(BatchOptions::new(&parameters).unwrap());
        let options = Options { inline_below: Duration::ZERO, compute_threads: 1, ..Options::default() };
        let doors = Doors::open(vec![("m", Model { servable, batching })], options).await;
        Self { grpc: Grpc::open(doors.grpc).await, batches, _doors: doors }
    }

    /// The answer, which for this model is what was asked, as it was batched.
    async fn ask(&self, dims: &[usize], values: &[f32]) -> (Vec<i64>, Vec<f32>) {
        let dim = dims.iter().map(|&size| Dim { size: size as i64, name: String::new() });
        let inputs = TensorProto {
            dtype: DataType::DtFloat.into(),
            tensor_shape: Some(TensorShapeProto { dim: dim.collect(), unknown_rank: false }),
            float_val: values.to_vec(),
            ..TensorProto::default()
        };
        let message = request("m", None, inputs).encode_to_vec();
        let answer = self.grpc.call("PredictionService/Predict", &message).await.unwrap();
        let answer = pb::PredictResponse::decode(answer).unwrap().outputs.remove("y").unwrap();
        (answer.tensor_shape.unwrap().dim.iter().map(|dim| dim.size).collect(), answer.float_val)
    }

    fn batches(&self) -> Vec<Tensor> {
        std::mem::take(&mut *self.batches.lock().unwrap())
    }
}

/// Time for a second request to come after the first, and before the batch runs.
const TIMEOUT_MICROS: i64 = 1_000_000;
const BETWEEN: Duration = Duration::from_millis(50);

#[tokio::test]
async fn a_batch_is_filled_up_with_the_first_row_of_the_last_request() {
    let scene = Scene::new(BatchParameters {
        max_batch_size: Some(8),
        allowed_batch_sizes: vec![5, 8],
        batch_timeout_micros: Some(TIMEOUT_MICROS),
        ..BatchParameters::default()
    })
    .await;
    let (first, last) = tokio::join!(scene.ask(&[1], &[1.0]), async {
        tokio::time::sleep(BETWEEN).await;
        scene.ask(&[2], &[2.0, 3.0]).await
    });
    assert_eq!((first, last), ((vec![1], vec![1.0]), (vec![2], vec![2.0, 3.0])));
    assert_eq!(scene.batches(), [floats(&[5], &[1.0, 2.0, 3.0, 2.0, 2.0])]);
}

#[tokio::test]
async fn shorter_rows_are_padded_with_their_tensors_first_element() {
    let scene = Scene::new(BatchParameters {
        max_batch_size: Some(3),
        pad_variable_length_inputs: true,
        batch_timeout_micros: Some(TIMEOUT_MICROS),
        ..BatchParameters::default()
    })
    .await;
    let (short, long) = tokio::join!(scene.ask(&[2, 1], &[1.0, 2.0]), async {
        tokio::time::sleep(BETWEEN).await;
        scene.ask(&[1, 3], &[3.0, 4.0, 5.0]).await
    });
    // What was added comes back, as in the reference.
    assert_eq!(short, (vec![2, 3], vec![1.0, 1.0, 1.0, 2.0, 1.0, 1.0]));
    assert_eq!(long, (vec![1, 3], vec![3.0, 4.0, 5.0]));
    let batch = floats(&[3, 3], &[1.0, 1.0, 1.0, 2.0, 1.0, 1.0, 3.0, 4.0, 5.0]);
    assert_eq!(scene.batches(), [batch]);
}

#[tokio::test]
async fn a_large_request_goes_into_several_batches_and_comes_back_whole() {
    let scene = Scene::new(BatchParameters {
        max_batch_size: Some(100),
        enable_large_batch_splitting: true,
        max_execution_batch_size: Some(4),
        ..BatchParameters::default()
    })
    .await;
    let values: Vec<f32> = (0..10_u8).map(f32::from).collect();
    assert_eq!(scene.ask(&[10], &values).await, (vec![10], values.clone()));
    let batches = scene.batches();
    assert_eq!(
        batches,
        [floats(&[4], &values[..4]), floats(&[4], &values[4..8]), floats(&[2], &values[8..])]
    );
}

#[tokio::test]
async fn rows_of_different_lengths_run_apart_unless_they_are_padded() {
    let scene = Scene::new(BatchParameters {
        max_batch_size: Some(2),
        batch_timeout_micros: Some(TIMEOUT_MICROS),
        ..BatchParameters::default()
    })
    .await;
    let (short, long) = tokio::join!(scene.ask(&[1, 1], &[1.0]), scene.ask(&[1, 2], &[2.0, 3.0]));
    assert_eq!((short.0, long.0), (vec![1, 1], vec![1, 2]));
    assert_eq!(scene.batches().len(), 2);
}
