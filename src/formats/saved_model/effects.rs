//! Which operations reach out of TensorFlow: to files, the network or other processes.
//!
//! The list was made from the registry of TensorFlow 2.21 (`TF_GetAllOpList`, 1 908
//! operations) by the names of operations, their arguments and their attributes, and
//! from those of 2.12 that 2.21 has no more.

use super::wire::NodeDef;

/// Something in a model that would reach out of TensorFlow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {what} {does}{reached}")]
pub struct Effect {
    /// The node, and the function that it is in if it is in one.
    pub place: String,
    /// Its operation.
    pub what: String,
    /// What that does.
    pub does: &'static str,
    /// What runs it.
    pub reached: String,
}

const FILES: &str = "reads or writes files";
const NETWORK: &str = "uses the network";
const CODE: &str = "runs code that is not in the graph";
const PATH: &str = "reads a file that is not one of the model's own";

/// Operations that always reach out.
#[rustfmt::skip]
pub const OPS_WITH_EFFECTS: &[(&str, &str)] = &[
    ("BigQueryReader", NETWORK), ("BigtableClient", NETWORK), ("CSVDataset", FILES), ("CSVDatasetV2", FILES),
    ("CacheDataset", FILES), ("CacheDatasetV2", FILES), ("CalibrationStatisticsSaver", FILES),
    ("CreateSummaryDbWriter", FILES), ("CreateSummaryFileWriter", FILES), ("DTensorRestoreV2", FILES),
    ("DataServiceDataset", NETWORK), ("DataServiceDatasetV2", NETWORK), ("DataServiceDatasetV3", NETWORK),
    ("DataServiceDatasetV4", NETWORK), ("DatasetFromGraph", CODE), ("DatasetToTFRecord", FILES),
    ("DeserializeIterator", CODE), ("DistributedSave", FILES), ("DumpTensor", FILES), ("EagerPyFunc", CODE),
    ("ExperimentalCSVDataset", FILES), ("ExperimentalDatasetToTFRecord", FILES),
    ("ExperimentalLMDBDataset", FILES), ("ExperimentalMatchingFilesDataset", FILES),
    ("ExperimentalSqlDataset", FILES), ("FileSystemSetConfiguration", FILES), ("FixedLengthRecordDataset", FILES),
    ("FixedLengthRecordDatasetV2", FILES), ("FixedLengthRecordReader", FILES),
    ("FixedLengthRecordReaderV2", FILES), ("GcsConfigureBlockCache", NETWORK), ("GcsConfigureCredentials", NETWORK),
    ("GenerateBigQueryReaderPartitions", NETWORK), ("GenerateVocabRemapping", FILES), ("ImportEvent", FILES),
    ("InitializeTRTResource", FILES), ("KafkaDataset", NETWORK), ("LMDBDataset", FILES), ("LMDBReader", FILES),
    ("ListSnapshotChunksDataset", FILES), ("LoadAndRemapMatrix", FILES), ("LoadDataset", FILES),
    ("MatchingFiles", FILES), ("MatchingFilesDataset", FILES), ("MergeV2Checkpoints", FILES),
    ("MlirPassthroughOp", CODE), ("PubSubDataset", NETWORK), ("PyFunc", CODE), ("PyFuncStateless", CODE),
    ("ReadFile", FILES), ("RecordInput", FILES), ("RegisterDataset", NETWORK), ("RegisterDatasetV2", NETWORK),
    ("RemoteCall", NETWORK), ("RemoteFusedGraphExecute", CODE), ("Restore", FILES), ("RestoreSlice", FILES),
    ("RpcCall", NETWORK), ("RpcCheckStatus", NETWORK), ("RpcClient", NETWORK), ("RpcGetValue", NETWORK),
    ("RpcServer", NETWORK), ("RpcServerRegister", NETWORK), ("RpcServerStart", NETWORK), ("Save", FILES),
    ("SaveDataset", FILES), ("SaveDatasetV2", FILES), ("SaveSlices", FILES), ("SaveV2", FILES),
    ("Skipgram", FILES), ("SnapshotChunkDataset", FILES), ("SnapshotDataset", FILES),
    ("SnapshotDatasetReader", FILES), ("SnapshotDatasetV2", FILES), ("SnapshotNestedDatasetReader", FILES),
    ("SqlDataset", FILES), ("TFRecordDataset", FILES), ("TFRecordDatasetV2", FILES), ("TFRecordReader", FILES),
    ("TFRecordReaderV2", FILES), ("TextLineDataset", FILES), ("TextLineReader", FILES), ("TextLineReaderV2", FILES),
    ("TryRpc", NETWORK), ("Rpc", NETWORK), ("WholeFileReader", FILES), ("WholeFileReaderV2", FILES),
    ("WriteFile", FILES), ("XlaCustomCall", CODE), ("XlaCustomCallV2", CODE), ("XlaHostCompute", CODE),
];

/// Operations that read a file whose path is one of their inputs, and which input: a
/// model's own files are read like this when it is loaded.
const READS_PATH: [(&str, usize); 3] =
    [("RestoreV2", 0), ("InitializeTableFromTextFile", 1), ("InitializeTableFromTextFileV2", 1)];

/// What one node does besides computing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// Nothing.
    Nowhere,
    /// It reads the file whose path is its input of this number.
    Path(usize),
    /// This.
    Out(&'static str),
}

impl Reach {
    /// What is said of a path that is not the model's own.
    pub(super) const FOREIGN_PATH: &'static str = PATH;

    pub(super) fn of(node: &NodeDef) -> Self {
        if let Some((_, does)) = OPS_WITH_EFFECTS.iter().find(|(op, _)| *op == node.op) {
            return Self::Out(does);
        }
        if let Some((_, input)) = READS_PATH.iter().find(|(op, _)| *op == node.op) {
            return Self::Path(*input);
        }
        let text = |attr: &str| node.attr.get(attr).and_then(|value| value.s.as_deref()).unwrap_or_default();
        let has_list = |attr: &str| {
            let list = node.attr.get(attr).and_then(|value| value.list.as_ref());
            list.is_some_and(|list| list.s.iter().any(|text| !text.is_empty()))
        };
        let reaches = match node.op.as_str() {
            // Where it prints: file://… is appended to.
            "PrintV2" => text("output_stream").starts_with(b"file"),
            // Where its description of the message is: in the attribute, in the program, or a file.
            "DecodeProtoV2" | "EncodeProto" => {
                let source = text("descriptor_source");
                !source.is_empty() && source != b"local://" && !source.starts_with(b"bytes://")
            }
            "FixedUnigramCandidateSampler" => !text("vocab_file").is_empty(),
            "DebugIdentity"
            | "DebugIdentityV2"
            | "DebugIdentityV3"
            | "DebugNanCount"
            | "DebugNumericSummary" => has_list("debug_urls"),
            _ => false,
        };
        if reaches { Self::Out(FILES) } else { Self::Nowhere }
    }
}
