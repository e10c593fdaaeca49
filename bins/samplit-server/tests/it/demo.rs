//! `demo`: runs, and leaves nothing behind.

use std::path::Path;

use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::support::{Running, code, command, stderr, stdout};

/// A demo whose private PostgreSQL lives below a directory of our own.
fn demo(arguments: &[&str]) -> (TempDir, Running) {
    let base = tempfile::Builder::new()
        .prefix("demo-")
        .tempdir_in("/tmp")
        .unwrap();
    // The server's account, not ours, has to enter.
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    std::fs::set_permissions(base.path(), open).unwrap();
    let all = [&["demo", "--listen", "127.0.0.1:0"], arguments].concat();
    let mut command = command(&all);
    command.env("TMPDIR", base.path());
    (base, Running::start(command))
}

#[track_caller]
fn assert_nothing_left(base: &Path) {
    let left: Vec<_> = std::fs::read_dir(base).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
    let name = base.to_str().unwrap();
    for entry in std::fs::read_dir("/proc").unwrap() {
        let file = entry.unwrap().path().join("cmdline");
        // Processes come and go while we look.
        let line = std::fs::read(file).unwrap_or_default();
        assert!(
            !String::from_utf8_lossy(&line).contains(name),
            "a process is left"
        );
    }
}

#[test]
fn a_demo_of_some_seconds_runs_and_leaves_nothing_behind() {
    let (base, demo) = demo(&["--for-seconds", "3", "--rate", "500"]);
    let ended = demo.output();
    assert_eq!(code(&ended), 0, "{}", stderr(&ended));
    let text = stdout(&ended);
    assert_eq!(text.matches("curl -s").count(), 7, "{text}");
    assert!(text.contains("#key=sk_"), "{text}");
    assert!(text.contains("/join/ln_"), "{text}");
    assert!(
        text.contains("--key 'demo+") && !text.contains("PRIVATE"),
        "{text}"
    );
    // Visitors arrived, and the status line says so.
    let lines = stderr(&ended);
    assert!(
        lines.contains("weights: ") && !lines.contains("error"),
        "{lines}"
    );
    let last = lines.lines().last().unwrap();
    assert!(!last.starts_with("0 visitors"), "{lines}");
    assert_nothing_left(base.path());
}

#[test]
fn a_demo_that_is_interrupted_leaves_nothing_behind() {
    let (base, mut demo) = demo(&[]);
    // In the middle of whatever it does: the cluster's directory is there.
    while std::fs::read_dir(base.path()).unwrap().next().is_none() {
        assert!(demo.is_running());
        std::thread::yield_now();
    }
    demo.signal(Signal::SIGINT);
    let ended = demo.output();
    assert_eq!(code(&ended), 0, "{}", stderr(&ended));
    assert_nothing_left(base.path());
}
