//! The order of a graph's nodes.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap, HashSet};

use super::graph::Scope;
use crate::limits;
use crate::proto::onnx::{GraphProto, NodeProto};

/// The names that a node uses: its inputs, and what its subgraphs take from around them.
pub(super) fn used_names(node: &NodeProto) -> Vec<String> {
    let mut names: Vec<String> = node.input.iter().filter(|name| !name.is_empty()).cloned().collect();
    for graph in node.attribute.iter().flat_map(|attribute| attribute.g.iter().chain(&attribute.graphs)) {
        names.extend(free_names(graph));
    }
    names
}

/// The names that a graph uses and does not define. The decoder bounds how deep
/// graphs lie in each other.
fn free_names(graph: &GraphProto) -> BTreeSet<String> {
    let own: HashSet<&str> = graph
        .node
        .iter()
        .flat_map(|node| node.output.iter().map(String::as_str))
        .chain(graph.input.iter().map(|input| input.name.as_str()))
        .chain(graph.initializer.iter().map(|tensor| tensor.name.as_str()))
        .chain(graph.sparse_initializer.iter().filter_map(|s| s.values.as_ref()).map(|v| v.name.as_str()))
        .collect();
    let used =
        graph.node.iter().flat_map(used_names).chain(graph.output.iter().map(|output| output.name.clone()));
    used.filter(|name| !own.contains(name.as_str())).collect()
}

/// What an ordering gives: the nodes that are needed, each after those it uses; every
/// name that one of them or an output uses; and which node makes each name.
pub(super) type Order<'a> = (Vec<usize>, HashSet<String>, HashMap<&'a str, usize>);

/// The nodes that the outputs need, sorted.
pub(super) fn order<'a>(
    nodes: &'a [NodeProto],
    outputs: &[&str],
    scope: &Scope<'_>,
) -> Result<Order<'a>, String> {
    let mut made: HashMap<&str, usize> = HashMap::new();
    for (number, node) in nodes.iter().enumerate() {
        for name in node.output.iter().filter(|name| !name.is_empty()) {
            if made.insert(name, number).is_some() || scope.known.contains_key(name) {
                return Err(format!("{}: the name {name:?} is defined twice", node_name(node)));
            }
        }
    }
    let names: Vec<Vec<String>> = nodes.iter().map(used_names).collect();
    let is_there =
        |name: &str| made.contains_key(name) || scope.known.contains_key(name) || scope.find(name).is_some();
    let mut used: HashSet<String> = outputs.iter().map(|&name| name.to_owned()).collect();
    let mut needed = vec![false; nodes.len()];
    let mut open: Vec<usize> = Vec::new();
    for name in outputs {
        if !is_there(name) {
            return Err(format!("output {name:?} is not defined"));
        }
        open.extend(made.get(name));
    }
    while let Some(number) = open.pop() {
        if std::mem::replace(&mut needed[number], true) {
            continue;
        }
        for name in &names[number] {
            if !is_there(name) {
                return Err(format!("{}: the name {name:?} is not defined", node_name(&nodes[number])));
            }
            used.insert(name.clone());
            open.extend(made.get(name.as_str()));
        }
    }
    // Kahn's algorithm; among those that are ready the file's order holds.
    let mut waits = vec![0usize; nodes.len()];
    let mut next: Vec<Vec<usize>> = vec![Vec::new(); nodes.len()];
    for number in (0..nodes.len()).filter(|&number| needed[number]) {
        for maker in names[number].iter().filter_map(|name| made.get(name.as_str())) {
            waits[number] += 1;
            next[*maker].push(number);
        }
    }
    let ready = (0..nodes.len()).filter(|&number| needed[number] && waits[number] == 0);
    let mut ready: BinaryHeap<Reverse<usize>> = ready.map(Reverse).collect();
    let mut order = Vec::new();
    while let Some(Reverse(number)) = ready.pop() {
        order.push(number);
        for &after in &next[number] {
            waits[after] -= 1;
            if waits[after] == 0 {
                ready.push(Reverse(after));
            }
        }
    }
    if let Some(stuck) = (0..nodes.len()).find(|&number| needed[number] && waits[number] > 0) {
        return Err(format!(
            "{}: it needs its own result; expected a graph without cycles",
            node_name(&nodes[stuck])
        ));
    }
    Ok((order, used, made))
}

/// A node for messages: `node "scale" (Scaler)`. Nodes without a name are called
/// after their first output.
pub(super) fn node_name(node: &NodeProto) -> String {
    let name = if node.name.is_empty() { node.output.first().map_or("", String::as_str) } else { &node.name };
    let shown: String = name.chars().take(limits::ONNX_NAME_CHARS_SHOWN_MAX).collect();
    format!("node {shown:?} ({})", node.op_type.chars().take(64).collect::<String>())
}
