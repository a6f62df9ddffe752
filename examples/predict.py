"""Asks for predictions with the official client of TensorFlow Serving.

    python examples/predict.py [HOST:PORT]
"""

import sys

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

address = sys.argv[1] if len(sys.argv) > 1 else "localhost:8500"
rows = np.array([[0.5, -1.0, 2.0, 0.0], [1.0, 1.0, 1.0, 1.0]])

request = predict_pb2.PredictRequest()
request.model_spec.name = "linear_regression"
request.inputs["inputs"].CopyFrom(tf.make_tensor_proto(rows))

with grpc.insecure_channel(address) as channel:
    service = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    answer = service.Predict(request, timeout=5)

predictions = tf.make_ndarray(answer.outputs["predictions"])
print(f"{answer.model_spec.name} version {answer.model_spec.version.value}")
for row, prediction in zip(rows.tolist(), predictions.tolist()):
    print(f"{row} -> {prediction!r}")
