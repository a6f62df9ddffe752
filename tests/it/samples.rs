//! The models of the sample repository that need no library from elsewhere.

use std::path::Path;
use std::sync::Arc;

use longshore::engines;
use longshore::servable::Call;
use longshore::storage::{DiskStorage, LinkPolicy, ModelDir};
use longshore::tensor::{Elements, Shape, Tensor};
use smallvec::smallvec;

/// What `examples/read_digit.py` makes of `examples/seven.png`.
#[rustfmt::skip]
const SEVEN: [f32; 64] = [
    0.,  4.,  7.,  9.,  8.,  8., 11., 1.,
    3., 13., 10.,  8.,  9., 10., 15., 0.,
    0.,  0.,  0.,  0.,  0., 10.,  9., 0.,
    0.,  0.,  1.,  4.,  7., 16.,  6., 0.,
    0.,  0.,  2.,  9., 15.,  8.,  2., 0.,
    0.,  0.,  0.,  5., 13.,  0.,  0., 0.,
    0.,  0.,  0.,  9.,  8.,  0.,  0., 0.,
    0.,  0.,  0.,  8.,  3.,  0.,  0., 0.,
];

/// The probability that onnxruntime 1.32.0 gives to a seven.
const PROBABILITY: f32 = 0.999_828_1;

#[test]
fn the_convolutional_network_reads_the_picture_in_the_readme() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("model_repository");
    let storage = Arc::new(DiskStorage::new(root, LinkPolicy::Within));
    let model = engines::open(&ModelDir::new(storage, "digits_cnn/1")).unwrap();
    let properties = model.about().properties;
    assert!(
        properties.contains(&("metadata.trained_on".to_owned(), "sklearn.datasets.load_digits".to_owned()))
    );

    let pixels = [SEVEN, SEVEN].concat();
    let pixels = Tensor::new(Shape::new([2, 8, 8]).unwrap(), Elements::F32(pixels.into())).unwrap();
    let answers = model.run(Call { signature: 0, inputs: smallvec![pixels], outputs: &[1, 0] }).unwrap();
    assert_eq!(answers[1].elements(), &Elements::I64(vec![7, 7].into()));
    let Elements::F32(probabilities) = answers[0].elements() else { panic!("{:?}", answers[0]) };
    assert_eq!(answers[0].shape()[..], [2, 10]);
    for row in probabilities.chunks(10) {
        assert!((row[7] - PROBABILITY).abs() < 1e-6, "{row:?}");
        assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-6, "{row:?}");
    }

    let narrow = Tensor::new(Shape::new([1, 8, 7]).unwrap(), Elements::F32(vec![0.0; 56].into())).unwrap();
    let refused = model.run(Call { signature: 0, inputs: smallvec![narrow], outputs: &[0] }).unwrap_err();
    assert_eq!(refused.to_string(), "input pixels: expected shape [batch,8,8], found [1,8,7]");
}
