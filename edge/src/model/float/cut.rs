//! The file's bytes, changed in place so that only part of its graph is left.
//!
//! Vectors of a flatbuffer become shorter and name other things; nothing moves. What comes of
//! a hostile file is verified anew by who reads it.

#![deny(clippy::indexing_slicing)]

use crate::model::graph::{Graph, Operator};
use tract_tflite::tflite::{SubGraph, Tensor};

/// A file whose graph has these operators and outputs; `None` where there is no room for them.
pub(super) fn cut(
    graph: &Graph<'_>,
    operators: &[&Operator<'_>],
    outputs: &[usize],
) -> Option<Vec<u8>> {
    let subgraph = graph.model.subgraphs()?.iter().next()?._tab;
    let mut bytes = subgraph.buf().to_vec();
    let vector = |field| {
        let at = usize::from(subgraph.vtable().get(field));
        let at = subgraph.loc().checked_add(at).filter(|_| at > 0)?;
        at.checked_add(word(subgraph.buf(), at)?)
    };
    let (listed, named) = (vector(SubGraph::VT_OPERATORS)?, vector(SubGraph::VT_OUTPUTS)?);
    let slots = (listed.checked_add(4)?..).step_by(4);
    let words = operators.iter().zip(slots).map(|(operator, slot)| {
        // Offsets count forwards from where they stand.
        Some((slot, operator.raw._tab.loc().checked_sub(slot)?))
    });
    let words: Vec<(usize, usize)> = words.collect::<Option<_>>()?;
    write(&mut bytes, listed, &words)?;
    let slots = (named.checked_add(4)?..).step_by(4);
    let words: Vec<(usize, usize)> = slots.zip(outputs.iter().copied()).collect();
    write(&mut bytes, named, &words)?;
    // tract takes an empty buffer of a tensor's own for a constant without values.
    for tensor in (0..graph.tensor_count()).filter(|it| graph.is_constant(*it) == Ok(false)) {
        let table = graph.table(tensor)?;
        let field = usize::from(table.vtable().get(Tensor::VT_BUFFER));
        let at = table.loc().checked_add(field)?;
        if field > 0 {
            bytes.get_mut(at..at.checked_add(4)?)?.fill(0);
        }
    }
    Some(bytes)
}

/// Gives the vector at `at` the elements `words`, of which it has no fewer.
fn write(bytes: &mut [u8], at: usize, words: &[(usize, usize)]) -> Option<()> {
    if word(bytes, at)? < words.len() {
        return None;
    }
    let length = (at, words.len());
    for (at, value) in words.iter().chain([&length]) {
        let value = u32::try_from(*value).ok()?.to_le_bytes();
        bytes.get_mut(*at..at.checked_add(4)?)?.copy_from_slice(&value);
    }
    Some(())
}

fn word(bytes: &[u8], at: usize) -> Option<usize> {
    usize::try_from(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?)).ok()
}
