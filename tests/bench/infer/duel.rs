//! One model on both sides: that both compute the same, and how long each takes.

use crate::engine::Engine;
use crate::peer::Peer;
use crate::report::Report;
use crate::rounds::{Series, Subject, alternate};
use std::path::Path;

/// Runs a model here and at the peer, in turns.
pub(crate) fn run(
    path: &Path,
    rounds: usize,
    peer: Option<&mut Peer>,
    report: &mut Report,
) -> Result<(), String> {
    let mut engine = Engine::load(path)?;
    let model = engine.model.name().to_owned();
    engine.run();
    let mut title = format!("{model}, one thread, {rounds} rounds");
    let mut subjects = Vec::new();
    if let Some(peer) = peer {
        let theirs = peer.load(path, &engine.input)?;
        title += &same(&engine.tensors(), &theirs)?;
        let name = format!("TFLite {} with XNNPACK", peer.version);
        subjects.push(Subject::new(&name, "", Box::new(|count| peer.run(count))));
    }
    let has_peer = !subjects.is_empty();
    let burst = |count| Ok(engine.burst(count));
    subjects.push(Subject::new("inference, decode, NMS", "scalar", Box::new(burst)));
    let series = alternate(rounds, subjects)?;
    Report::table(&title, "the peer");
    for (at, one) in series.iter().enumerate() {
        let base: Option<&Series> = series.first().filter(|_| has_peer && at > 0);
        report.times(rounds, &model, one, base.map(|base| ("peer", base)));
    }
    Ok(())
}

/// Words for the title, or an error where the two do not compute the same.
fn same(ours: &[u8], theirs: &[u8]) -> Result<String, String> {
    let differ = ours.iter().zip(theirs).filter(|(a, b)| a != b).count();
    if ours.len() != theirs.len() || differ > 0 {
        let (ours, theirs) = (ours.len(), theirs.len());
        return Err(format!("{differ} bytes of {ours} here and {theirs} at the peer differ"));
    }
    Ok(format!("; {} bytes equal to the peer's", ours.len()))
}
