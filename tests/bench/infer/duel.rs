//! One model on both sides: whether both compute the same, and how long each takes.

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
    let model = looking.name.clone();
    let mut title = format!("{model}, one thread, {rounds} rounds");
    if let Some(peer) = &mut peer {
        let theirs = peer.load(path, &looking.input)?;
        let mut most = 0;
        for engine in &mut engines {
            engine.run();
            let differ = differing(&engine.tensors(), &theirs);
            most =
                most.max(differ.map_err(|why| format!("{model}, {}: {why}", engine.isa.name()))?);
        }
        let bytes = theirs.len();
        let _ = match most {
            0 => write!(title, ", {bytes} bytes equal to the peer's"),
            most => write!(title, ", up to {most} of {bytes} bytes differ from the peer's"),
        };
    }
    let has_peer = peer.is_some();
    let mut subjects: Vec<Subject<'_>> = peer.map(at_the_peer).into_iter().collect();
    for engine in &mut engines {
        let name = engine.isa.name();
        subjects.push(Subject::new("inference", name, move |count| Ok(engine.runs(count))));
    }
    if looking.detector().is_some() {
        let name = looking.isa.name();
        let looks = |count| Ok(looking.looks(count));
        subjects.push(Subject::new("inference, decode, NMS", name, looks));
    }
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

/// How many bytes the two do not have in common. XNNPACK computes some things otherwise on
/// some processors, so that this is told and no error.
fn differing(ours: &[u8], theirs: &[u8]) -> Result<usize, String> {
    if ours.len() == theirs.len() {
        return Ok(ours.iter().zip(theirs).filter(|(a, b)| a != b).count());
    }
    Err(format!("{} bytes here, {} at the peer", ours.len(), theirs.len()))
}
