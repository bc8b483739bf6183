//! The file's bytes, changed in place so that only part of its graph is left.
//!
//! The list of operators becomes shorter, that of outputs is written anew at the end; nothing
//! else moves. What comes of a hostile file is verified anew by who reads it.

#![deny(clippy::indexing_slicing)]

use crate::model::graph::{Graph, Operator};
use tract_tflite::tflite::{SubGraph, Tensor};

/// A file whose graph has these operators, of its own, and outputs; `None` where the file lies.
pub(super) fn cut(
    graph: &Graph<'_>,
    operators: &[&Operator<'_>],
    outputs: &[usize],
) -> Option<Vec<u8>> {
    let subgraph = graph.model.subgraphs()?.iter().next()?._tab;
    let mut bytes = subgraph.buf().to_vec();
    let field = |field| {
        let at = usize::from(subgraph.vtable().get(field));
        subgraph.loc().checked_add(at).filter(|_| at > 0)
    };
    let listed = field(SubGraph::VT_OPERATORS)?;
    let listed = listed.checked_add(word(&bytes, listed)?)?;
    let slots = (listed.checked_add(4)?..).step_by(4);
    let words = operators.iter().zip(slots).map(|(operator, slot)| {
        // Offsets count forwards from where they stand.
        Some((slot, operator.raw._tab.loc().checked_sub(slot)?))
    });
    let words: Vec<(usize, usize)> = words.collect::<Option<_>>()?;
    if word(&bytes, listed)? < words.len() {
        return None;
    }
    write(&mut bytes, &words)?;
    write(&mut bytes, &[(listed, words.len())])?;
    append(&mut bytes, field(SubGraph::VT_OUTPUTS)?, outputs)?;
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

/// Gives the field at `field` a vector of `numbers`, at the end of the file.
fn append(bytes: &mut Vec<u8>, field: usize, numbers: &[usize]) -> Option<()> {
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    let vector = bytes.len();
    bytes.resize(vector + 4 * (1 + numbers.len()), 0);
    let numbers = [numbers.len()].into_iter().chain(numbers.iter().copied());
    let words: Vec<_> = (vector..).step_by(4).zip(numbers).collect();
    write(bytes, &words)?;
    write(bytes, &[(field, vector.checked_sub(field)?)])
}

/// Writes words, each to its place.
fn write(bytes: &mut [u8], words: &[(usize, usize)]) -> Option<()> {
    for (at, value) in words {
        let value = u32::try_from(*value).ok()?.to_le_bytes();
        bytes.get_mut(*at..at.checked_add(4)?)?.copy_from_slice(&value);
    }
    Some(())
}

fn word(bytes: &[u8], at: usize) -> Option<usize> {
    usize::try_from(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?)).ok()
}
