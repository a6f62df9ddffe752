//! Where the path of a file that is read comes from.
//!
//! When TensorFlow loads a model it feeds the paths of the model's own files, its
//! variables and its assets, to tensors that the file names. A path that can be followed
//! back to these alone is the model's own; one that cannot is not.

use std::collections::{HashMap, HashSet};

use super::graph::{At, Graph, called_by, function_name};
use super::signature::TensorName;
use super::wire::NodeDef;

/// `DT_STRING`.
const STRING: i32 = 7;

/// An input of a node: the text that stands there, and in which function's body.
type Place<'a> = (Option<usize>, &'a str);

impl<'a> Graph<'a> {
    /// Whether input `input` of the node can only be one of the tensors in `fed`.
    pub(super) fn is_own_path(&self, at: At, input: usize, fed: &HashSet<TensorName>) -> bool {
        let Some(start) = self.node(at).input.get(input) else { return false };
        let mut open: Vec<Place<'a>> = vec![(at.function, start)];
        let mut seen: HashSet<Place<'a>> = HashSet::new();
        let (mut callers, mut writes_followed) = (None, false);
        while let Some(place) = open.pop() {
            if !seen.insert(place) {
                continue;
            }
            let (function, text) = place;
            let found = match function {
                None => match TensorName::parse(text) {
                    Some(tensor) if fed.contains(&tensor) => continue,
                    Some(tensor) => self.named(&tensor.op).map(|node| At { function, node }),
                    None => None,
                },
                Some(number) => {
                    if let Some(argument) = self.argument(number, text) {
                        let callers = callers.get_or_insert_with(|| self.callers());
                        match self.given(callers, number, argument) {
                            Some(given) => open.extend(given),
                            None => return false,
                        }
                        continue;
                    }
                    let name = text.split(':').next().unwrap_or_default();
                    let body = &self.functions[number].node_def;
                    body.iter().position(|node| node.name == name).map(|node| At { function, node })
                }
            };
            let Some(at) = found else { return false };
            let node = self.node(at);
            match (node.op.as_str(), node.input.first()) {
                ("Identity", Some(input)) => open.push((at.function, input)),
                // Which variable it is cannot be told from the node, since names of
                // variables may be shared: all that hold text have to be such.
                ("ReadVariableOp", _) if !writes_followed => {
                    writes_followed = true;
                    match self.written_texts() {
                        Some(written) => open.extend(written),
                        None => return false,
                    }
                }
                ("ReadVariableOp", _) => {}
                _ => return false,
            }
        }
        true
    }

    /// The position of the argument that `text` is in this function's body. `None` when
    /// it is none, or when positions cannot be told.
    fn argument(&self, function: usize, text: &str) -> Option<usize> {
        let arguments = &self.functions[function].signature.as_ref()?.input_arg;
        let plain = |arg: &super::wire::ArgDef| arg.number_attr.is_empty() && arg.type_list_attr.is_empty();
        if !arguments.iter().all(plain) {
            return None;
        }
        arguments.iter().position(|argument| argument.name == text)
    }

    /// All nodes, with where they are.
    fn all(&self) -> impl Iterator<Item = (At, &'a NodeDef)> {
        let (nodes, functions) = (self.nodes, self.functions);
        let main = nodes.iter().enumerate().map(|(node, def)| (At { function: None, node }, def));
        let bodies = functions.iter().enumerate().flat_map(|(number, function)| {
            let body = function.node_def.iter().enumerate();
            body.map(move |(node, def)| (At { function: Some(number), node }, def))
        });
        main.chain(bodies)
    }

    fn callers(&self) -> HashMap<&'a str, Vec<At>> {
        let mut callers: HashMap<&str, Vec<At>> = HashMap::new();
        let mut names = Vec::new();
        for (at, node) in self.all() {
            names.clear();
            called_by(node, &mut names);
            for name in &names {
                callers.entry(name).or_default().push(at);
            }
        }
        callers
    }

    /// What the callers of a function give for one of its arguments. `None` when one
    /// calls it in a way that does not tell, or nobody does.
    fn given(
        &self,
        callers: &HashMap<&'a str, Vec<At>>,
        function: usize,
        argument: usize,
    ) -> Option<Vec<Place<'a>>> {
        let name = function_name(&self.functions[function]);
        let calls = callers.get(name)?;
        let one = |at: &At| {
            let node = self.node(*at);
            let direct = node.op == name;
            let partitioned = matches!(node.op.as_str(), "PartitionedCall" | "StatefulPartitionedCall")
                && node.attr.get("f").and_then(|f| f.func.as_ref()).is_some_and(|f| f.name == name);
            let input = node.input.get(argument)?;
            ((direct || partitioned) && !input.starts_with('^')).then_some((at.function, input.as_str()))
        };
        calls.iter().map(one).collect()
    }

    /// What is written to variables that hold text, or may hold it. `None` when
    /// something is written in a way that is not followed.
    fn written_texts(&self) -> Option<Vec<Place<'a>>> {
        let mut written = Vec::new();
        for (at, node) in self.all() {
            let writes = node.op.contains("Assign") || node.op.contains("Scatter");
            let types = || ["dtype", "T"].iter().filter_map(|name| node.attr.get(*name));
            if !writes || types().any(|value| value.r#type != 0 && value.r#type != STRING) {
                continue;
            }
            match (node.op.as_str(), node.input.get(1)) {
                ("AssignVariableOp", Some(value)) => written.push((at.function, value.as_str())),
                _ => return None,
            }
        }
        Some(written)
    }
}
