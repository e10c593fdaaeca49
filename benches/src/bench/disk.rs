//! What the disk alone would make a request wait for: the part of a latency that no server can take away.

use std::fs::File;
use std::io::Write as _;
use std::time::Duration;

use tokio::time::Instant;

/// About what a batch leaves in the log.
static WRITTEN: [u8; 256 * 1024] = [0x5a; 256 * 1024];

/// Milliseconds that 99 of 100 requests would wait at most, if each came at a random moment and were
/// answered when the write after the one under way has reached the disk, as by a group commit that
/// takes no time itself.
///
/// # Errors
/// When the folder for temporary files cannot be written.
pub(crate) fn p99_ms(duration: Duration) -> anyhow::Result<f64> {
    let path = std::env::temp_dir().join(format!("samplit-bench-disk-{}", std::process::id()));
    let mut file = File::create(&path)?;
    let began = Instant::now();
    // When each write had reached the disk.
    let mut ends = Vec::new();
    while began.elapsed() < duration {
        file.write_all(&WRITTEN)?;
        file.sync_data()?;
        ends.push(began.elapsed().as_secs_f64() * 1e3);
    }
    drop(file);
    std::fs::remove_file(&path)?;
    let mut waits = Vec::new();
    for window in ends.windows(3) {
        let [begin, end, next] = *window else {
            continue;
        };
        // One request every tenth of a millisecond.
        let mut at = begin;
        while at < end {
            waits.push(next - at);
            at += 0.1;
        }
    }
    waits.sort_by(f64::total_cmp);
    let at = waits.len() * 99 / 100;
    Ok(waits.get(at).copied().unwrap_or_default())
}
