//! A flood, and a pair that relays meanwhile.

use crate::report::Report;
use crate::server::{Kind, Server};
use crate::{Scale, relay, share};
use harness::flood::{self, MIB};
use std::time::Duration;

/// How long memory may take to come back.
const REST: Duration = Duration::from_secs(10);

/// Offers to nobody, one message without end, and ids without number, one after the other.
pub(crate) fn run(kinds: &[Kind], scale: Scale, report: &mut Report) -> Result<(), String> {
    let part = scale.part;
    Report::title(&format!(
        "Floods: {} MiB of offers to absent ids, {} messages of 90 MiB, {} ids",
        264 / part,
        10 / part,
        100_000 / part
    ));
    let [mut p50, mut p99, mut grown, mut kept] = [const { Vec::new() }; 4];
    for kind in kinds {
        let (server, _) = Server::start(kind)?;
        let (before, at) = (server.resident_mib(), server.at);
        let most = std::sync::Mutex::new(before);
        let flood = || {
            flood::offers(at, 264 * MIB / part);
            (0..10 / part).for_each(|_| flood::message(at, 90 * MIB));
            flood::ids(at, 100_000 / part);
        };
        let ((), delays) = std::thread::scope(|scope| {
            let (ended, end) = std::sync::mpsc::channel::<()>();
            let (most, server) = (&most, &server);
            scope.spawn(move || {
                while end
                    .recv_timeout(Duration::from_millis(50))
                    .is_err_and(|it| it == std::sync::mpsc::RecvTimeoutError::Timeout)
                {
                    if let Ok(mut most) = most.lock() {
                        *most = most.max(server.resident_mib());
                    }
                }
            });
            let done = relay::beside(at, flood);
            drop(ended);
            done
        })?;
        std::thread::sleep(REST);
        p50.push(share(&delays, 0.5));
        p99.push(share(&delays, 0.99));
        grown.push(most.into_inner().map_err(|_| "the watcher broke")? - before);
        kept.push(server.resident_mib() - before);
    }
    report.row("relay of another pair, p50", 0, "ms", &p50, "");
    report.row("relay of another pair, p99", 0, "ms", &p99, "50");
    report.row("grown by, at most", 0, "MiB", &grown, "32");
    report.row("kept 10 s later", 0, "MiB", &kept, "4");
    Ok(())
}
