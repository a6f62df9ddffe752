//! A graph as it is run: steps in an order in which each finds its inputs, and values
//! by number.

use std::fmt;

use smallvec::SmallVec;

use super::super::backend::Value;
use super::op::{Budget, Input, Inputs, Operator};
use crate::limits;

/// Where a step finds an input.
#[derive(Debug, Clone, Copy)]
pub(super) enum Source {
    Absent,
    Constant(usize),
    /// A value of this run; `true` when nobody asks for it afterwards.
    Slot(usize, bool),
}

/// One run of one operator.
pub(super) struct Step {
    /// For messages: `node "scale" (Scaler)`.
    pub(super) name: String,
    pub(super) operator: Box<dyn Operator>,
    pub(super) inputs: SmallVec<[Source; 4]>,
    /// Where its outputs go; `None` for those that nobody uses.
    pub(super) outputs: SmallVec<[Option<usize>; 1]>,
    /// Values that nobody asks for afterwards, and that could not be handed over.
    pub(super) drops: SmallVec<[usize; 1]>,
}

/// A graph that is ready to run.
pub(in crate::engines::onnx) struct Plan {
    pub(super) steps: Vec<Step>,
    pub(super) constants: Vec<Value>,
    /// How many values a run has.
    pub(super) slots: usize,
    /// How many of these, the first, are inputs.
    pub(super) inputs: usize,
    pub(super) outputs: Vec<Source>,
    /// For each output, the steps that it needs, a bit each. Empty when all are run anyway.
    pub(super) needed: Vec<Vec<u64>>,
}

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.steps.iter().map(|step| &step.name)).finish()
    }
}

impl Plan {
    /// How many inputs it takes, captured ones included.
    pub(super) fn inputs(&self) -> usize {
        self.inputs
    }

    /// How many outputs it has.
    pub(super) fn outputs(&self) -> usize {
        self.outputs.len()
    }

    /// Whether this step is needed for one of these outputs.
    fn wants(&self, wanted: &[usize], step: usize) -> bool {
        self.needed.is_empty()
            || wanted.iter().any(|&output| self.needed[output][step / 64] >> (step % 64) & 1 == 1)
    }

    /// Runs what the `wanted` outputs (positions) need, and gives a value for each.
    ///
    /// # Errors
    /// What is wrong, with the node where it is.
    pub(super) fn run<'v>(
        &self,
        inputs: impl IntoIterator<Item = Input<'v>>,
        wanted: &[usize],
        budget: &Budget,
    ) -> Result<Vec<Value>, String> {
        let mut slots: Vec<Input<'v>> = Vec::with_capacity(self.slots);
        slots.extend(inputs);
        slots.resize_with(self.slots, || Input::Absent);
        let is_part = wanted.len() < self.outputs.len() && !self.needed.is_empty();
        for (number, step) in self.steps.iter().enumerate() {
            if is_part && !self.wants(wanted, number) {
                continue;
            }
            budget.step()?;
            self.step(step, &mut slots, budget).map_err(|error| format!("{}: {error}", step.name))?;
        }
        let mut values = Vec::with_capacity(wanted.len());
        for (at, &output) in wanted.iter().enumerate() {
            let source = self.outputs[output];
            let again = |slot: usize| {
                wanted[at + 1..]
                    .iter()
                    .any(|&other| matches!(self.outputs[other], Source::Slot(same, _) if same == slot))
            };
            values.push(match source {
                Source::Absent => Value::Absent,
                Source::Constant(constant) => self.constants[constant].clone(),
                Source::Slot(slot, _) if again(slot) => slots[slot].value().cloned().unwrap_or(Value::Absent),
                Source::Slot(slot, _) => match std::mem::replace(&mut slots[slot], Input::Absent) {
                    Input::Owned(value) => value,
                    Input::Borrowed(value) => value.clone(),
                    Input::Absent => Value::Absent,
                },
            });
        }
        Ok(values)
    }

    fn step(&self, step: &Step, slots: &mut [Input<'_>], budget: &Budget) -> Result<(), String> {
        // First what is handed over, so that the rest can be borrowed.
        let mut values: SmallVec<[Input<'_>; 4]> = SmallVec::new();
        for source in &step.inputs {
            values.push(match *source {
                Source::Slot(slot, true) => std::mem::replace(&mut slots[slot], Input::Absent),
                _ => Input::Absent,
            });
        }
        for (value, source) in values.iter_mut().zip(&step.inputs) {
            match *source {
                Source::Slot(slot, false) => {
                    *value = slots[slot].value().map_or(Input::Absent, Input::Borrowed);
                }
                Source::Constant(constant) => *value = Input::Borrowed(&self.constants[constant]),
                _ => {}
            }
        }
        let outputs = step.operator.run(Inputs { values, budget })?;
        budget.made(&outputs)?;
        for (value, place) in outputs.into_iter().zip(&step.outputs) {
            if let Some(slot) = place {
                slots[*slot] = Input::Owned(value);
            }
        }
        step.drops.iter().for_each(|&slot| slots[slot] = Input::Absent);
        Ok(())
    }

    /// Notes after which step each value is not asked for any more, and which steps
    /// each output needs.
    pub(super) fn settle(mut self) -> Self {
        let mut last: Vec<Option<usize>> = vec![None; self.slots];
        let mut maker: Vec<Option<usize>> = vec![None; self.slots];
        for (number, step) in self.steps.iter().enumerate() {
            for source in &step.inputs {
                if let Source::Slot(slot, _) = source {
                    last[*slot] = Some(number);
                }
            }
            for slot in step.outputs.iter().flatten() {
                maker[*slot] = Some(number);
            }
        }
        for source in &self.outputs {
            if let Source::Slot(slot, _) = source {
                last[*slot] = None;
            }
        }
        for (number, step) in self.steps.iter_mut().enumerate() {
            let sources = step.inputs.clone();
            for source in &mut step.inputs {
                let Source::Slot(slot, is_last) = source else { continue };
                if last[*slot] != Some(number) {
                    continue;
                }
                let times =
                    sources.iter().filter(|s| matches!(s, Source::Slot(same, _) if same == slot)).count();
                *is_last = times == 1;
                if times > 1 && !step.drops.contains(slot) {
                    step.drops.push(*slot);
                }
            }
        }
        let words = self.steps.len().div_ceil(64);
        if self.outputs.len() > 1 && words.saturating_mul(self.outputs.len()) <= limits::ONNX_NODES_MAX {
            let of = |source: &Source| {
                let mut bits = vec![0u64; words];
                if let Source::Slot(slot, _) = source
                    && let Some(step) = maker[*slot]
                {
                    bits[step / 64] |= 1 << (step % 64);
                }
                for number in (0..self.steps.len()).rev().filter(|n| words > 0 && *n < words * 64) {
                    if bits[number / 64] >> (number % 64) & 1 == 0 {
                        continue;
                    }
                    for source in &self.steps[number].inputs {
                        if let Source::Slot(slot, _) = source
                            && let Some(step) = maker[*slot]
                        {
                            bits[step / 64] |= 1 << (step % 64);
                        }
                    }
                }
                bits
            };
            self.needed = self.outputs.iter().map(of).collect();
        }
        self
    }
}
