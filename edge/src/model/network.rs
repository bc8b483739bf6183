//! A network: any graph that an engine here can run, and the memory of one who runs it.
//!
//! ```text
//! file --> Graph --> Engine (a plan of edge-infer's, or tract) = Network (shared)
//!                              bytes --> Arena::write --> run --> Arena::read --> bytes
//! ```

use super::engine::Engine;
use super::error::{self, Error, Kind};
use super::graph::{Graph, Refusal};
use super::threads::Desk;
use super::{MODEL_MAX, name};
use edge_infer::{Element, Target, Tensor};
use std::path::Path;
use std::sync::Arc;

/// A graph that is ready to run; immutable, shared by all who run it.
#[derive(Debug)]
pub struct Network {
    name: String,
    engine: Engine,
    inputs: Box<[Tensor]>,
    outputs: Box<[Tensor]>,
}

impl Network {
    /// Reads a `.tflite` file. The error names the file and what is wrong.
    pub fn load(target: Target, path: &Path) -> Result<Arc<Self>, Error> {
        let bytes = error::read(path, MODEL_MAX, Kind::Read)?;
        Self::from_bytes(target, path, &bytes).map(Arc::new)
    }

    /// A network from the bytes of a file, whatever they are; `path` gives it its name.
    pub fn from_bytes(target: Target, path: &Path, bytes: &[u8]) -> Result<Self, Error> {
        let graph = Graph::read(bytes).map_err(|(kind, words)| Error::new(path, kind, words))?;
        let refuse = |words| Error::new(path, Kind::Unsupported, words);
        Self::of(target, &graph, &graph.outputs, name(path)).map_err(refuse)
    }

    /// What computes `outputs` of a graph.
    pub(super) fn of(
        target: Target,
        graph: &Graph<'_>,
        outputs: &[usize],
        name: String,
    ) -> Result<Self, Refusal> {
        if outputs.is_empty() {
            return Err("has no outputs".into());
        }
        let engine = Engine::new(target, graph, outputs)?;
        let (inputs, outputs) = (engine.input_forms().into(), engine.output_forms().into());
        Ok(Self { name, engine, inputs, outputs })
    }

    /// The file's name without its ending.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The forms of the inputs, as they lie in an arena.
    pub fn inputs(&self) -> &[Tensor] {
        &self.inputs
    }

    /// The forms of the outputs, as they lie in an arena.
    pub fn outputs(&self) -> &[Tensor] {
        &self.outputs
    }

    /// Memory of each who runs it, bytes.
    pub fn arena_bytes(&self) -> usize {
        self.engine.arena_bytes()
    }

    /// Memory of the network itself, bytes.
    pub fn weight_bytes(&self) -> usize {
        self.engine.weight_bytes()
    }

    /// Multiplications, or values moved, in one run.
    pub fn work(&self) -> u64 {
        self.engine.work()
    }

    /// Memory to run it in; a quantized network allocates nothing after it was made.
    pub fn arena(self: &Arc<Self>) -> Arena {
        let bytes = vec![0; self.arena_bytes()].into();
        Arena { network: Arc::clone(self), bytes, desk: Desk::default() }
    }
}

/// What is said once at load: `avx2, 2 threads, 2.4 MB arena, 4.3 MB weights`.
impl std::fmt::Display for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [arena, weights] = [self.arena_bytes(), self.weight_bytes()].map(|it| it as f64 / 1e6);
        write!(f, "{}, {arena:.1} MB arena, {weights:.1} MB weights", self.engine)
    }
}

/// The memory of one who runs a network.
#[derive(Debug)]
pub struct Arena {
    network: Arc<Network>,
    bytes: Box<[u8]>,
    desk: Desk,
}

impl Arena {
    /// Sets input number `index`, in the file's own type, row-major, little-endian; `false`
    /// where there is none of that length. To be set before each run, which leaves other
    /// bytes there.
    pub fn write(&mut self, index: usize, input: &[u8]) -> bool {
        let form = self.network.inputs.get(index).copied();
        let Some(form) = form.filter(|form| form.bytes() == input.len()) else { return false };
        for (own, byte) in self.input(index).iter_mut().zip(input) {
            *own = byte ^ excess(form);
        }
        true
    }

    /// Computes the outputs.
    pub fn run(&mut self) {
        self.network.engine.run(&mut self.bytes, &self.desk);
    }

    /// Output number `index` as the last run left it, in the file's own type.
    ///
    /// # Panics
    /// Where there is no such output.
    pub fn read(&self, index: usize) -> Vec<u8> {
        let excess = excess(self.network.outputs[index]);
        self.output(index).iter().map(|byte| byte ^ excess).collect()
    }

    /// Input number `index` as it lies here: `INT8` plus 128.
    ///
    /// # Panics
    /// Where there is no such input.
    pub fn input(&mut self, index: usize) -> &mut [u8] {
        self.network.engine.input(index, &mut self.bytes)
    }

    /// Output number `index` as it lies here: `INT8` plus 128.
    ///
    /// # Panics
    /// Where there is no such output.
    pub fn output(&self, index: usize) -> &[u8] {
        self.network.engine.output(index, &self.bytes)
    }

    /// The network that it is for.
    pub fn network(&self) -> &Arc<Network> {
        &self.network
    }
}

/// Adding 128 to a byte is to turn its highest bit.
fn excess(form: Tensor) -> u8 {
    if matches!(form.element, Element::I8(_)) { 0x80 } else { 0 }
}
