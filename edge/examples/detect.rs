//! What a model sees in pictures, and how long it takes: `detect MODEL.tflite PICTURE.jpg...`

use edge::clock::Clock;
use edge::model::Model;
use edge_core::pixels::View;
use std::error::Error;
use std::io::Write;
use std::path::Path;
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;

/// Runs of one picture; the shortest is told.
const RUNS: u32 = 20;

fn main() -> Result<(), Box<dyn Error>> {
    let mut paths = std::env::args().skip(1);
    let model = paths.next().ok_or("usage: detect MODEL.tflite PICTURE.jpg...")?;
    let clock = Clock::start();
    let mut out = std::io::stdout().lock();
    let start = clock.std_now();
    let model = Model::load(Path::new(&model), None)?;
    writeln!(out, "{} read in {:.1?}", model.name(), clock.std_now() - start)?;
    let mut detector = model.detector();
    for path in paths {
        let mut decoder = JpegDecoder::new(ZCursor::new(std::fs::read(&path)?));
        let rgb = decoder.decode()?;
        let (width, height) = decoder.dimensions().ok_or("a picture without sides")?;
        let [width, height] = [u32::try_from(width)?, u32::try_from(height)?];
        let view = View::rgb(&rgb, width, height, width * 3).ok_or("not an RGB picture")?;
        let mut shortest = std::time::Duration::MAX;
        for _ in 0..RUNS {
            let (tensor, width, height) = detector.input();
            view.sample_into(tensor, width, height);
            let start = clock.std_now();
            detector.detect();
            shortest = shortest.min(clock.std_now() - start);
        }
        writeln!(out, "{path}: {width}x{height}, {shortest:.1?}")?;
        for detection in detector.detections() {
            let [x, y, w, h] = detection.bbox.xywh();
            let label = model.label(detection.class);
            writeln!(out, "  {:.2} {label} at {x:.2} {y:.2}, {w:.2} x {h:.2}", detection.score)?;
        }
    }
    Ok(())
}
