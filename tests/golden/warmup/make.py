"""Writes warm-up files as users do: TFRecords of PredictionLog, by TensorFlow itself.

Run with tensorflow 2.21.0 and tensorflow-serving-api 2.21.0: python make.py
With --corpus FOLDER it also writes seeds for the fuzz target.

`frame_*` are for the model `frame` of ../inference, `unit` for the model of a unit test.
"""

import sys
from pathlib import Path

import tensorflow as tf
from tensorflow_serving.apis import (
    classification_pb2,
    inference_pb2,
    predict_pb2,
    prediction_log_pb2,
    regression_pb2,
    session_service_pb2,
)

here = Path(__file__).parent
Log = prediction_log_pb2.PredictionLog


def write(name, *records):
    with tf.io.TFRecordWriter(str(here / name)) as writer:
        for record in records:
            writer.write(record if isinstance(record, bytes) else record.SerializeToString())


def predict(rows, signature=""):
    request = predict_pb2.PredictRequest()
    # Which model it was recorded from has no meaning.
    request.model_spec.name = "recorded"
    request.model_spec.version.value = 99
    request.model_spec.signature_name = signature
    request.inputs["inputs"].CopyFrom(tf.make_tensor_proto(rows, dtype=tf.float64))
    return Log(predict_log=prediction_log_pb2.PredictLog(request=request))


def example(**features):
    return tf.train.Example(
        features=tf.train.Features(
            feature={
                name: tf.train.Feature(float_list=tf.train.FloatList(value=[value])) for name, value in features.items()
            }
        )
    )


def classify(*examples, signature=""):
    request = classification_pb2.ClassificationRequest()
    request.model_spec.name = "recorded"
    request.model_spec.signature_name = signature
    request.input.example_list.examples.extend(examples)
    return Log(classify_log=prediction_log_pb2.ClassifyLog(request=request))


def regress(*examples):
    request = regression_pb2.RegressionRequest()
    request.input.example_list.examples.extend(examples)
    return Log(regress_log=prediction_log_pb2.RegressLog(request=request))


def multi(*examples):
    request = inference_pb2.MultiInferenceRequest()
    task = request.tasks.add()
    task.model_spec.name = "recorded"
    task.method_name = "tensorflow/serving/classify"
    request.input.example_list.examples.extend(examples)
    return Log(multi_inference_log=prediction_log_pb2.MultiInferenceLog(request=request))


session_run = Log(
    session_run_log=prediction_log_pb2.SessionRunLog(request=session_service_pb2.SessionRunRequest(fetch=["x"]))
)
streamed = Log(predict_streamed_log=prediction_log_pb2.PredictStreamedLog())
good = example(age=30.0, rooms=2.0, größe=0.5)

write("unit", predict([[1.0], [2.0]]), classify(tf.train.Example()), Log(), predict([[3.0]]))
write("nothing", Log())
write("junk", b"\xffno log")
write("session_run", session_run)
write("predict_streamed", streamed)
write("frame_good", predict([[30.0, 2.0, 0.5]], "predict_proba"), classify(good), multi(good, good), Log())
write("frame_wrong_width", predict([[30.0, 2.0, 0.5]]), predict([[1.0]]))
write("frame_wrong_signature", predict([[30.0, 2.0, 0.5]], "gone"))
write("frame_wrong_feature", classify(good), classify(example(age=30.0)))
write("frame_regress", regress(good))

if "--corpus" in sys.argv:
    corpus = Path(sys.argv[sys.argv.index("--corpus") + 1])
    corpus.mkdir(parents=True, exist_ok=True)
    for name in ["unit", "nothing", "junk"]:
        (corpus / name).write_bytes((here / name).read_bytes())
