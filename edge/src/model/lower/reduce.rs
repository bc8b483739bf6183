//! `MEAN` and `ARG_MAX`: operators that fold axes up.

#![deny(clippy::indexing_slicing)]

use super::{Step, axis};
use crate::model::graph::Refusal;
use edge_infer::Op;
use tract_tflite::tflite::BuiltinOperator;

impl Step<'_, '_, '_> {
    pub(super) fn reduced(&mut self) -> Result<(), Refusal> {
        let input = self.read(0)?;
        let shape = self.form(input)?.shape;
        let sides = shape.sides();
        let named = self.graph.integers(self.operator.input(1)?)?;
        let axes = named.iter().map(|it| axis(*it, sides.len())).collect::<Result<Vec<_>, _>>()?;
        let keep = self.operator.raw.builtin_options_as_reducer_options();
        let keep = keep.is_some_and(|options| options.keep_dims());
        let left = sides.iter().enumerate().filter_map(|(at, side)| match axes.contains(&at) {
            true if keep => Some(1),
            true => None,
            false => Some(*side),
        });
        self.expect(&left.collect::<Vec<_>>())?;
        if self.operator.code == BuiltinOperator::MEAN {
            return self.add(&Op::Mean { axes: &axes }, &[input]);
        }
        let [axis] = *axes.as_slice() else {
            return Err(format!("names {} axes, one is expected", axes.len()));
        };
        self.add(&Op::ArgMax { axis }, &[input])
    }
}
