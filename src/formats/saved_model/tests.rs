use std::collections::{BTreeMap, HashMap};

use proptest::prelude::*;
use prost::Message as _;

use super::*;
use crate::formats::tensor_proto;
use crate::proto::tensorflow as pb;
use crate::proto::tensorflow::tensor_info::Encoding;
use crate::tensor::{DType, Tensor};

fn node(name: &str, op: &str, input: &[&str]) -> pb::NodeDef {
    let input = input.iter().map(|&input| input.to_owned()).collect();
    pb::NodeDef { name: name.to_owned(), op: op.to_owned(), input, ..pb::NodeDef::default() }
}

fn with(mut node: pb::NodeDef, attr: &str, value: pb::attr_value::Value) -> pb::NodeDef {
    node.attr.insert(attr.to_owned(), pb::AttrValue { value: Some(value) });
    node
}

fn text(value: &str) -> pb::attr_value::Value {
    pb::attr_value::Value::S(value.as_bytes().to_vec().into())
}

fn calls(name: &str, function: &str, input: &[&str]) -> pb::NodeDef {
    let list = pb::NameAttrList { name: function.to_owned(), attr: HashMap::new() };
    with(node(name, "StatefulPartitionedCall", input), "f", pb::attr_value::Value::Func(list))
}

fn function(name: &str, arguments: &[&str], body: Vec<pb::NodeDef>) -> pb::FunctionDef {
    let argument =
        |name: &&str| pb::op_def::ArgDef { name: (*name).to_owned(), ..pb::op_def::ArgDef::default() };
    let signature = pb::OpDef {
        name: name.to_owned(),
        input_arg: arguments.iter().map(argument).collect(),
        ..pb::OpDef::default()
    };
    pb::FunctionDef { signature: Some(signature), node_def: body, ..pb::FunctionDef::default() }
}

fn info(tensor: &str, dtype: DType, dims: &[i64]) -> pb::TensorInfo {
    pb::TensorInfo {
        dtype: dtype.number(),
        tensor_shape: Some(tensor_proto::shape_proto(dims.iter().copied())),
        encoding: Some(Encoding::Name(tensor.to_owned())),
    }
}

fn signature(inputs: &[(&str, &str)], outputs: &[(&str, &str)]) -> pb::SignatureDef {
    let infos = |tensors: &[(&str, &str)]| -> BTreeMap<String, pb::TensorInfo> {
        tensors.iter().map(|&(alias, name)| (alias.to_owned(), info(name, DType::Float, &[-1]))).collect()
    };
    pb::SignatureDef {
        inputs: infos(inputs),
        outputs: infos(outputs),
        method_name: "tensorflow/serving/predict".to_owned(),
        ..pb::SignatureDef::default()
    }
}

/// A graph whose signature `serving_default` takes `x:0` and gives `y:0`.
fn meta_graph(nodes: Vec<pb::NodeDef>, functions: Vec<pb::FunctionDef>) -> pb::MetaGraphDef {
    let library = pb::FunctionDefLibrary { function: functions, ..pb::FunctionDefLibrary::default() };
    let graph = pb::GraphDef { node: nodes, library: Some(library), ..pb::GraphDef::default() };
    let meta_info = pb::meta_graph_def::MetaInfoDef {
        tags: vec!["serve".to_owned()],
        tensorflow_version: "2.21.0".to_owned(),
        ..Default::default()
    };
    let default = signature(&[("x", "x:0")], &[("y", "y:0")]);
    pb::MetaGraphDef {
        meta_info_def: Some(meta_info),
        graph_def: Some(graph),
        signature_def: [("serving_default".to_owned(), default)].into(),
        ..pb::MetaGraphDef::default()
    }
}

fn bytes(meta_graphs: Vec<pb::MetaGraphDef>) -> Bytes {
    pb::SavedModel { saved_model_schema_version: 1, meta_graphs }.encode_to_vec().into()
}

fn read(meta_graph: pb::MetaGraphDef) -> MetaGraph {
    MetaGraph::read(bytes(vec![meta_graph]), &["serve".to_owned()]).unwrap()
}

/// What would reach out of this graph, as a person reads it.
fn effect(meta_graph: pb::MetaGraphDef) -> Option<String> {
    read(meta_graph).effect.map(|effect| effect.to_string())
}

/// `y = x + w`, with an initializer, a saver and a table that is filled from an asset,
/// as TensorFlow 2.21 writes them.
fn whole() -> pb::MetaGraphDef {
    let dtype = |node, number| with(node, "dtype", pb::attr_value::Value::Type(number));
    let nodes = vec![
        node("x", "Placeholder", &[]),
        node("w", "VarHandleOp", &[]),
        node("table", "HashTableV2", &[]),
        node("asset", "Placeholder", &[]),
        node("path", "VarHandleOp", &[]),
        dtype(node("path/Assign", "AssignVariableOp", &["path", "asset"]), 7),
        dtype(node("path/Read", "ReadVariableOp", &["path", "^path/Assign"]), 7),
        calls("y", "add", &["x", "w"]),
        calls("fill", "fill_table", &["path/Read", "table"]),
        node("init", "NoOp", &["^fill", "^path/Assign"]),
        node("saver_filename", "Placeholder", &[]),
        calls("save", "save_all", &["saver_filename", "w"]),
        calls("restore", "restore_all", &["saver_filename", "w"]),
    ];
    let functions = vec![
        function(
            "add",
            &["x", "w"],
            vec![node("read", "ReadVariableOp", &["w"]), node("sum", "AddV2", &["x", "read:value:0"])],
        ),
        function(
            "fill_table",
            &["file", "table"],
            vec![node("init", "InitializeTableFromTextFileV2", &["table", "file"])],
        ),
        function(
            "save_all",
            &["prefix", "w"],
            vec![
                node("join", "StringJoin", &["prefix"]),
                node("part", "ShardedFilename", &["join:output:0"]),
                node("save", "SaveV2", &["part:filename:0", "w"]),
                node("merge", "MergeV2Checkpoints", &["part:filename:0", "prefix", "^save"]),
            ],
        ),
        function(
            "restore_all",
            &["prefix", "w"],
            vec![
                node("restore", "RestoreV2", &["prefix"]),
                dtype(node("assign", "AssignVariableOp", &["w", "restore:tensors:0"]), 1),
            ],
        ),
    ];
    let mut meta_graph = meta_graph(nodes, functions);
    meta_graph.saver_def = Some(pb::SaverDef {
        filename_tensor_name: "saver_filename:0".to_owned(),
        save_tensor_name: "save:0".to_owned(),
        restore_op_name: "restore".to_owned(),
        ..pb::SaverDef::default()
    });
    let init = pb::collection_def::NodeList { value: vec!["init".to_owned()] };
    let init = pb::CollectionDef { kind: Some(pb::collection_def::Kind::NodeList(init)) };
    meta_graph.collection_def.insert("saved_model_main_op".to_owned(), init);
    meta_graph.asset_file_def = vec![pb::AssetFileDef {
        tensor_info: Some(info("asset:0", DType::String, &[])),
        filename: "vocab.txt".to_owned(),
    }];
    meta_graph
}

/// The nodes of the function of this name, to change.
fn body<'a>(meta_graph: &'a mut pb::MetaGraphDef, name: &str) -> &'a mut Vec<pb::NodeDef> {
    let library = meta_graph.graph_def.as_mut().unwrap().library.as_mut().unwrap();
    let named = |function: &&mut pb::FunctionDef| function.signature.as_ref().unwrap().name == name;
    &mut library.function.iter_mut().find(named).unwrap().node_def
}

fn nodes(meta_graph: &mut pb::MetaGraphDef) -> &mut Vec<pb::NodeDef> {
    &mut meta_graph.graph_def.as_mut().unwrap().node
}

fn named<'a>(nodes: &'a mut [pb::NodeDef], name: &str) -> &'a mut pb::NodeDef {
    nodes.iter_mut().find(|node| node.name == name).unwrap()
}

#[test]
fn a_meta_graph_is_found_by_its_tags() {
    let mut training = meta_graph(vec![], vec![]);
    training.meta_info_def.as_mut().unwrap().tags = vec!["train".to_owned(), "gpu".to_owned()];
    let file = bytes(vec![training, whole()]);
    let tags = |tags: &[&str]| tags.iter().map(|&tag| tag.to_owned()).collect::<Vec<_>>();
    let read = |wanted: &[&str]| MetaGraph::read(file.clone(), &tags(wanted));
    let found = read(&["serve"]).unwrap();
    assert_eq!(
        (found.tags, found.tensorflow_version.as_str(), found.nodes),
        (tags(&["serve"]), "2.21.0", 22)
    );
    assert!(found.restores);
    assert_eq!(read(&["gpu", "train"]).unwrap().tags, ["train", "gpu"]);
    assert!(!read(&["gpu", "train"]).unwrap().restores);
    for wanted in [&["train"][..], &["serve", "gpu"], &[]] {
        let why = read(wanted).unwrap_err().to_string();
        let text = format!(
            "Could not find meta graph def matching supplied tags: {{ {} }}. To inspect available tag-sets in \
             the SavedModel, please use the SavedModel CLI: `saved_model_cli`. It has {{ train gpu }}, {{ serve }}",
            wanted.join(" ")
        );
        assert_eq!(why, text);
    }
    assert!(
        MetaGraph::read(Bytes::new(), &tags(&["serve"]))
            .unwrap_err()
            .to_string()
            .ends_with("It has no meta graph")
    );
}

#[test]
fn signatures_are_told_as_the_file_states_them() {
    let mut graph = whole();
    let mut stated = signature(&[("b", "x:1"), ("a", "x")], &[("y", "y:0")]);
    stated.method_name = "own/method".to_owned();
    let default = Tensor::vector(vec![1.5f32].into());
    stated
        .defaults
        .insert("b".to_owned(), tensor_proto::encode(default.clone(), tensor_proto::Form::TypedFields));
    graph.signature_def.insert("own".to_owned(), stated.clone());
    let read = read(graph);
    let own = &read.signatures[0];
    assert_eq!((own.name.as_str(), own.method.as_str(), own.refusal()), ("own", "own/method", None));
    let aliases: Vec<&str> = own.inputs.iter().map(|input| input.alias.as_str()).collect();
    assert_eq!(aliases, ["a", "b"]);
    assert_eq!(own.inputs[0].tensor, Ok(TensorName { op: "x".to_owned(), index: 0 }));
    assert_eq!(own.inputs[1].tensor, Ok(TensorName { op: "x".to_owned(), index: 1 }));
    assert_eq!((&own.inputs[0].dims, &own.inputs[0].default), (&Some(vec![None]), &None));
    assert_eq!(own.inputs[1].default, Some(default));
    let defs = SignatureDefMap::decode(read.signature_defs).unwrap().signature_def;
    assert_eq!(defs.keys().collect::<Vec<_>>(), ["own", "serving_default"]);
    assert_eq!(defs["own"], stated);
}

#[test]
fn what_no_request_carries_is_refused_by_name() {
    let refusal = |change: &dyn Fn(&mut pb::TensorInfo)| {
        let mut graph = whole();
        change(graph.signature_def.get_mut("serving_default").unwrap().outputs.get_mut("y").unwrap());
        read(graph).signatures[0].refusal().unwrap()
    };
    let sparse = |info: &mut pb::TensorInfo| {
        info.encoding = Some(Encoding::CooSparse(pb::tensor_info::CooSparse::default()));
    };
    assert_eq!(
        refusal(&sparse),
        "Signature \"serving_default\" cannot be called: its output \"y\" is a sparse tensor (coo_sparse); \
         expected one dense tensor"
    );
    let composite = |info: &mut pb::TensorInfo| {
        info.encoding = Some(Encoding::CompositeTensor(pb::tensor_info::CompositeTensor::default()));
    };
    assert!(refusal(&composite).contains("is a composite tensor"));
    assert!(refusal(&|info| info.encoding = None).contains("names no tensor of a graph"));
    assert!(
        refusal(&|info| info.encoding = Some(Encoding::Name("y:one".to_owned()))).contains("names no tensor")
    );
    assert!(refusal(&|info| info.dtype = 0).contains("is of DT_INVALID, which no request or answer carries"));
    assert!(refusal(&|info| info.dtype = 20).contains("is of DT_RESOURCE"));
    // A rank that no tensor has says nothing, and is nobody's business.
    let mut graph = whole();
    let output = graph.signature_def.get_mut("serving_default").unwrap().outputs.get_mut("y").unwrap();
    output.tensor_shape = Some(tensor_proto::shape_proto((0..300).map(|_| 1)));
    assert_eq!(read(graph).signatures[0].outputs[0].dims, None);
}

#[test]
fn a_default_that_is_no_tensor_is_refused() {
    let mut graph = whole();
    let proto = pb::TensorProto {
        dtype: 1,
        tensor_shape: Some(tensor_proto::shape_proto([1 << 60].into_iter())),
        ..pb::TensorProto::default()
    };
    graph.signature_def.get_mut("serving_default").unwrap().defaults.insert("x".to_owned(), proto);
    let why = MetaGraph::read(bytes(vec![graph]), &["serve".to_owned()]).unwrap_err().to_string();
    assert!(why.starts_with("signature \"serving_default\": the default of input \"x\": "), "{why}");
}

#[test]
fn what_tensorflow_writes_reaches_nowhere_else() {
    assert_eq!(effect(whole()), None);
    // TensorFlow 1: the path is a constant in the place of which the asset's is fed.
    let mut old = meta_graph(
        vec![
            node("x", "Placeholder", &[]),
            node("y", "Identity", &["x"]),
            node("asset", "Const", &[]),
            node("table", "HashTableV2", &[]),
            node("init", "InitializeTableFromTextFileV2", &["table", "asset"]),
            node("save/Const", "Const", &[]),
            node("save/SaveV2", "SaveV2", &["save/Const"]),
            node("save/RestoreV2", "RestoreV2", &["save/Const"]),
            node("save/restore_all", "NoOp", &["^save/RestoreV2"]),
        ],
        vec![],
    );
    old.saver_def = Some(pb::SaverDef {
        filename_tensor_name: "save/Const:0".to_owned(),
        restore_op_name: "save/restore_all".to_owned(),
        ..pb::SaverDef::default()
    });
    let init = pb::collection_def::NodeList { value: vec!["init".to_owned()] };
    let init = pb::CollectionDef { kind: Some(pb::collection_def::Kind::NodeList(init)) };
    old.collection_def.insert("legacy_init_op".to_owned(), init);
    assert_eq!(
        effect(old.clone()).unwrap(),
        "node \"init\": InitializeTableFromTextFileV2 reads a file that is not one of the model's own, and it runs \
         when the model is initialized"
    );
    let asset = pb::AssetFileDef {
        tensor_info: Some(info("asset:0", DType::String, &[])),
        filename: "vocab.txt".to_owned(),
    };
    let any = prost_types::Any { value: asset.encode_to_vec(), ..prost_types::Any::default() };
    let assets = pb::collection_def::AnyList { value: vec![any] };
    let assets = pb::CollectionDef { kind: Some(pb::collection_def::Kind::AnyList(assets)) };
    old.collection_def.insert("saved_model_assets".to_owned(), assets);
    assert_eq!(effect(old), None);
}

#[test]
fn every_operation_with_effects_is_found_wherever_it_runs() {
    for (op, does) in OPS_WITH_EFFECTS {
        let mut direct = whole();
        nodes(&mut direct).push(node("bad", op, &[]));
        assert_eq!(effect(direct.clone()), None, "{op}: nothing runs it");
        named(nodes(&mut direct), "y").input.push("^bad".to_owned());
        let want = format!("node \"bad\": {op} {does}, and signature \"serving_default\" runs it");
        assert_eq!(effect(direct), Some(want));

        let mut in_function = whole();
        body(&mut in_function, "add").push(node("bad", op, &[]));
        let want = format!("node \"bad\" of function \"add\": {op} {does}, and signature");
        assert!(effect(in_function).is_some_and(|found| found.starts_with(&want)), "{op}");

        let mut at_load = whole();
        body(&mut at_load, "fill_table").push(node("bad", op, &[]));
        assert!(
            effect(at_load).is_some_and(|found| found.ends_with("when the model is initialized")),
            "{op}"
        );

        let mut at_restore = whole();
        body(&mut at_restore, "restore_all").push(node("bad", op, &[]));
        assert!(effect(at_restore).is_some_and(|found| found.ends_with("variables are restored")), "{op}");
    }
}

#[test]
fn operations_that_reach_out_by_an_attribute_are_found() {
    let found = |op: &str, attr: &str, value: pb::attr_value::Value| {
        let mut graph = whole();
        body(&mut graph, "add").push(with(node("bad", op, &[]), attr, value));
        effect(graph).is_some()
    };
    assert!(found("PrintV2", "output_stream", text("file:///tmp/x")));
    assert!(!found("PrintV2", "output_stream", text("stderr")));
    assert!(found("DecodeProtoV2", "descriptor_source", text("/etc/passwd")));
    assert!(!found("DecodeProtoV2", "descriptor_source", text("local://")));
    assert!(!found("EncodeProto", "descriptor_source", text("bytes://abc")));
    assert!(found("FixedUnigramCandidateSampler", "vocab_file", text("/etc/passwd")));
    assert!(!found("FixedUnigramCandidateSampler", "vocab_file", text("")));
    let urls = |url: &str| {
        let s = vec![url.as_bytes().to_vec().into()];
        pb::attr_value::Value::List(pb::attr_value::ListValue { s, ..pb::attr_value::ListValue::default() })
    };
    assert!(found("DebugIdentityV2", "debug_urls", urls("file:///tmp/x")));
    assert!(!found("DebugIdentityV2", "debug_urls", urls("")));
}

#[test]
fn functions_are_found_however_they_are_named() {
    let writes = || function("writes", &[], vec![node("bad", "WriteFile", &[])]);
    let with_function = |change: &dyn Fn(&mut pb::MetaGraphDef)| {
        let mut graph = whole();
        graph.graph_def.as_mut().unwrap().library.as_mut().unwrap().function.push(writes());
        change(&mut graph);
        effect(graph).is_some()
    };
    let list = pb::NameAttrList { name: "writes".to_owned(), attr: HashMap::new() };
    let func = |list: &pb::NameAttrList| pb::attr_value::Value::Func(list.clone());
    let lists = |list: &pb::NameAttrList| {
        let func = vec![list.clone()];
        pb::attr_value::Value::List(pb::attr_value::ListValue {
            func,
            ..pb::attr_value::ListValue::default()
        })
    };
    assert!(!with_function(&|_| {}));
    // As an operation, as an attribute of any, in a list, and as an attribute of another function.
    assert!(with_function(&|graph| body(graph, "add").push(node("call", "writes", &[]))));
    assert!(with_function(&|graph| {
        body(graph, "add").push(with(node("call", "While", &[]), "body", func(&list)));
    }));
    assert!(with_function(&|graph| {
        body(graph, "add").push(with(node("call", "Case", &[]), "branches", lists(&list)));
    }));
    let mut outer = pb::NameAttrList { name: "absent".to_owned(), attr: HashMap::new() };
    outer.attr.insert("inner".to_owned(), pb::AttrValue { value: Some(func(&list)) });
    assert!(with_function(&|graph| {
        body(graph, "add").push(with(node("call", "While", &[]), "body", func(&outer)));
    }));
    // As the gradient of one that runs, and as another implementation of what it implements.
    assert!(with_function(&|graph| {
        let library = graph.graph_def.as_mut().unwrap().library.as_mut().unwrap();
        let (function_name, gradient_func) = ("add".to_owned(), "writes".to_owned());
        library.gradient.push(pb::GradientDef { function_name, gradient_func });
    }));
    assert!(with_function(&|graph| {
        let library = graph.graph_def.as_mut().unwrap().library.as_mut().unwrap();
        for function in &mut library.function {
            let name = function.signature.as_ref().unwrap().name.as_str();
            if matches!(name, "add" | "writes") {
                let value = pb::AttrValue { value: Some(text("lstm")) };
                function.attr.insert("api_implements".to_owned(), value);
            }
        }
    }));
}

#[test]
fn nodes_behind_what_is_fed_do_not_run() {
    let mut graph = whole();
    nodes(&mut graph).push(node("file", "ReadFile", &[]));
    *named(nodes(&mut graph), "x") = node("x", "DecodeRaw", &["file"]);
    assert_eq!(effect(graph.clone()), None);
    // Another output of the same node is not fed, and a control input never is.
    for input in ["x:1", "^x"] {
        let mut graph = graph.clone();
        named(nodes(&mut graph), "y").input[1] = input.to_owned();
        assert!(
            effect(graph).unwrap().starts_with("node \"file\": ReadFile reads or writes files"),
            "{input}"
        );
    }
}

#[test]
fn a_file_is_read_only_by_a_path_that_can_be_no_other() {
    let refused = |change: &dyn Fn(&mut pb::MetaGraphDef)| {
        let mut graph = whole();
        nodes(&mut graph).push(node("evil", "Const", &[]));
        change(&mut graph);
        effect(graph).is_some_and(|found| found.contains("reads a file that is not one of the model's own"))
    };
    let dtype = |node, number| with(node, "dtype", pb::attr_value::Value::Type(number));
    assert!(!refused(&|_| {}));
    // A constant, given directly, through a call, or put together with the asset's path.
    assert!(refused(&|graph| body(graph, "fill_table")[0].input[1] = "table".to_owned()));
    assert!(refused(&|graph| named(nodes(graph), "fill").input[0] = "evil".to_owned()));
    assert!(refused(&|graph| {
        nodes(graph).push(node("join", "StringJoin", &["asset", "evil"]));
        named(nodes(graph), "fill").input[0] = "join".to_owned();
    }));
    // A second caller with a constant, one that passes it in an unknown way, and none.
    assert!(refused(&|graph| nodes(graph).push(calls("again", "fill_table", &["evil", "table"]))));
    assert!(refused(&|graph| {
        let list = pb::NameAttrList { name: "fill_table".to_owned(), attr: HashMap::new() };
        let call = with(node("again", "While", &["asset"]), "body", pb::attr_value::Value::Func(list));
        nodes(graph).push(call);
    }));
    // Text written to any variable, whichever it is called.
    assert!(
        refused(&|graph| nodes(graph).push(dtype(node("w2", "AssignVariableOp", &["other", "evil"]), 7)))
    );
    assert!(refused(&|graph| nodes(graph).push(node("w2", "AssignVariableOp", &["other", "evil"]))));
    assert!(refused(
        &|graph| nodes(graph).push(dtype(node("w2", "ResourceScatterUpdate", &["path", "evil"]), 7))
    ));
    assert!(refused(&|graph| {
        let assign = dtype(node("text", "AssignVariableOp", &["w", "restore:tensors:0"]), 7);
        body(graph, "restore_all").push(assign);
    }));
    assert!(!refused(
        &|graph| nodes(graph).push(dtype(node("w2", "AssignVariableOp", &["other", "evil"]), 1))
    ));
    // A checkpoint other than the model's, and the model's own at another time.
    assert!(refused(&|graph| named(nodes(graph), "restore").input[0] = "evil".to_owned()));
    assert!(refused(&|graph| nodes(graph)
        .iter_mut()
        .find(|n| n.name == "init")
        .unwrap()
        .input
        .push("^restore".to_owned())));
    assert!(refused(&|graph| named(nodes(graph), "y").input.push("^restore".to_owned())));
    assert!(refused(&|graph| named(nodes(graph), "y").input.push("^fill".to_owned())));
    // A path that goes round in circles comes from nowhere, and so from nowhere else.
    assert!(!refused(&|graph| {
        nodes(graph).push(node("round", "Identity", &["round"]));
        named(nodes(graph), "fill").input[0] = "round".to_owned();
    }));
}

#[test]
fn an_asset_that_leads_out_of_the_folder_is_found() {
    for (name, leads_out) in
        [("a/../../b", true), ("..", true), ("a\0", true), ("..a/b", false), ("/etc/passwd", false)]
    {
        let mut graph = whole();
        graph.asset_file_def[0].filename = name.to_owned();
        let found = effect(graph);
        assert_eq!(
            found.is_some_and(|found| found.contains("its name leads out of the model's folder")),
            leads_out
        );
    }
}

#[test]
fn more_than_a_bound_is_refused_before_it_is_made() {
    let tags = ["serve".to_owned()];
    // Two bytes each: an empty node in an empty graph in an empty meta graph.
    let nested = |field: u8, inner: &[u8]| {
        let mut out = vec![field << 3 | 2];
        prost::encode_length_delimiter(inner.len(), &mut out).unwrap();
        out.extend_from_slice(inner);
        out
    };
    let nodes = [0x0a, 0].repeat(limits::SAVED_MODEL_NODES_MAX + 1);
    let file = nested(2, &nested(2, &nodes));
    let why = MetaGraph::read(file.into(), &tags).unwrap_err().to_string();
    assert_eq!(why, "it has 1048577 nodes; at most 1048576 are read");
    let many = [0x12, 0].repeat(limits::SAVED_MODEL_META_GRAPHS_MAX + 1);
    let why = MetaGraph::read(many.into(), &tags).unwrap_err().to_string();
    assert_eq!(why, "it has 65 meta graphs; at most 64 are read");
}

#[test]
fn whatever_is_done_to_a_file_it_is_read_or_refused() {
    let file = bytes(vec![whole()]);
    for length in 0..file.len() {
        check_any_bytes(&file[..length]);
    }
    proptest!(|(flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6))| {
        let mut damaged = file.to_vec();
        for (at, value) in flips {
            let at = at.index(damaged.len());
            damaged[at] = value;
        }
        check_any_bytes(&damaged);
    });
    proptest!(|(noise in prop::collection::vec(any::<u8>(), 0..200))| {
        check_any_bytes(&noise);
    });
}
