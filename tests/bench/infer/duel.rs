//! One model on both sides: that both compute the same, and how long each takes.

use crate::engine::Engine;
use crate::peer::Peer;
use crate::report::Report;
use crate::rounds::{Subject, alternate};
use edge_infer::Isa;
use std::fmt::Write;
use std::path::Path;

/// Runs a model here, with every set the machine has, and at the peer, in turns.
pub(crate) fn run(
    path: &Path,
    rounds: usize,
    mut peer: Option<&mut Peer>,
    report: &mut Report,
) -> Result<(), String> {
    let mut engines =
        Isa::all().map(|isa| Engine::load(path, isa)).collect::<Result<Vec<Engine>, String>>()?;
    let mut looking = Engine::load(path, Isa::best())?;
    let model = looking.model.name().to_owned();
    let mut title = format!("{model}, one thread, {rounds} rounds");
    if let Some(peer) = &mut peer {
        let theirs = peer.load(path, &looking.input)?;
        for engine in &mut engines {
            engine.run();
            compare(&engine.tensors(), &theirs)
                .map_err(|why| format!("{model}, {}: {why}", engine.isa.name()))?;
        }
        let _ = write!(title, ", {} bytes equal to the peer's", theirs.len());
    }
    let has_peer = peer.is_some();
    let mut subjects: Vec<Subject<'_>> = peer.map(at_the_peer).into_iter().collect();
    for engine in &mut engines {
        let name = engine.isa.name();
        subjects.push(Subject::new("inference", name, move |count| Ok(engine.runs(count))));
    }
    let name = looking.isa.name();
    let looks = |count| Ok(looking.looks(count));
    subjects.push(Subject::new("inference, decode, NMS", name, looks));
    let series = alternate(rounds, subjects)?;
    let base = series.first().filter(|_| has_peer);
    Report::table(&title, "the peer");
    for one in &series {
        report.times(rounds, &model, one, base.map(|base| ("peer", base)));
    }
    Ok(())
}

fn at_the_peer(peer: &mut Peer) -> Subject<'_> {
    let name = format!("TFLite {} with XNNPACK", peer.version);
    Subject::new(&name, "", |count| peer.run(count))
}

/// An error where the two do not compute the same.
fn compare(ours: &[u8], theirs: &[u8]) -> Result<(), String> {
    let differ = ours.iter().zip(theirs).filter(|(a, b)| a != b).count();
    if ours.len() == theirs.len() && differ == 0 {
        return Ok(());
    }
    let (ours, theirs) = (ours.len(), theirs.len());
    Err(format!("{differ} bytes of {ours} here and {theirs} at the peer differ"))
}
