//! What runs in browsers, in a real Chromium. Here the verifier of bundles: what it says of sound and of
//! tampered trails, from a server and from disk, and that it says what the verifier in Rust says.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the answer")]

mod agreement;
mod bundles;
mod chromium;
mod dashboard;
mod http;
mod large;
mod page;
mod picker;
mod picker_page;
mod snippet;

use std::{fs, path::PathBuf};

use agreement::{Edit, assert_agreement};
use bundles::{
    COMPLETE, GOLDEN, KEYS, SINGLE, forged, forgeries, line_of, odd, pinned, rearranged, verdict,
    with_line,
};
use chromium::{INSECURE, with_browser};
use fantoccini::Client;
use page::{assert_offline, click, fill, photograph, run, text, type_into, verify, wait_for};
use samplit_audit::FailureKind;
use samplit_http::{Drain, HttpConfig, Listeners, serve};
use serde_json::json;
use tempfile::TempDir;
use tokio::{net::TcpListener, sync::oneshot};

/// Runs `test` with a browser that shows the page as a real server serves it.
async fn on_the_page(test: impl AsyncFnOnce(&Client)) {
    let database = samplit_tests::database().await;
    let engine = samplit_tests::engine(database.url(), 1).await;
    let public = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/verify", public.local_addr().unwrap());
    let (stop, stopped) = oneshot::channel::<()>();
    let listeners = Listeners { public, ops: None };
    let served = tokio::spawn(serve(
        listeners,
        engine,
        HttpConfig::default(),
        async move {
            let _ = stopped.await;
        },
    ));
    with_browser(async |client| {
        client.goto(&address).await.unwrap();
        test(&client).await;
    })
    .await;
    drop(stop);
    assert_eq!(served.await.unwrap(), Drain::Complete);
}

/// Bundles as files.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn put(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, content).unwrap();
        path
    }
}

#[tokio::test]
async fn a_sound_trail_is_called_sound() {
    on_the_page(async |page| {
        let folder = Folder::new();
        let bundle = folder.put("button-colour.ndjson", COMPLETE);
        let report = verdict(COMPLETE.as_bytes(), KEYS.trim()).unwrap();
        let replay = report.replay.unwrap();

        let said = verify(page, &bundle, KEYS.trim()).await;
        assert_eq!(said.kind, "sound");
        assert_eq!(said.title, "Sound");
        let numbers = format!(
            "Entries\n{}\nAssignments\n{}\nConversions\n{}\nCheckpoints\n{}\n",
            report.entries, replay.assignments, replay.conversions, report.checkpoints
        );
        assert!(said.numbers.starts_with(&numbers), "{}", said.numbers);
        for found in [
            format!("{} signatures held under your keys", report.signatures),
            format!("{} draws recomputed from the draw key", replay.draws),
            format!("{} payloads redacted", report.redactions),
            format!("recounted at {} changes of weights", replay.reallocations),
            "1 restore, 1 checkpoint given up".to_owned(),
            "taken as logged, not recomputed here".to_owned(),
        ] {
            assert!(said.checks.contains(&found), "{found}: {}", said.checks);
        }
        let hashes = text(page, "#hashes").await;
        assert!(hashes.contains(&report.root.to_string()), "{hashes}");
        assert!(hashes.contains(&report.head.to_string()), "{hashes}");
        assert_offline(page).await;
        photograph(page, "sound").await;

        // Without a key it holds together, and that is all that is said.
        let said = verify(page, &bundle, "").await;
        assert_eq!(said.kind, "unsigned");
        assert!(
            said.why.contains("no signature was checked"),
            "{}",
            said.why
        );
        photograph(page, "unsigned").await;
    })
    .await;
}

#[tokio::test]
async fn tampering_is_named_with_its_entry() {
    on_the_page(async |page| {
        let folder = Folder::new();
        photograph(page, "empty").await;

        let line = line_of(COMPLETE, 7);
        let row = COMPLETE.lines().nth(line).unwrap();
        let altered = with_line(
            COMPLETE,
            line,
            &row.replacen("\"r_ppb\":", "\"r_ppb\":1", 1),
        );
        let spaced = with_line(COMPLETE, line, &row.replacen(':', ": ", 1));
        let note = COMPLETE
            .lines()
            .position(|line| line.contains("checkpoint"))
            .unwrap();
        let signed = COMPLETE.lines().nth(note).unwrap();
        // The last digit of the signature that is all its own.
        let at = signed.rfind("=\\n").unwrap() - 3;
        let other = if signed.as_bytes()[at] == b'A' {
            "B"
        } else {
            "A"
        };
        let resigned = format!("{}{other}{}", &signed[..at], &signed[at + 1..]);
        let resigned = with_line(COMPLETE, note, &resigned);
        let moved = forged(COMPLETE, 7, |payload| {
            payload["arm"] = json!((payload["arm"].as_u64().unwrap() + 1) % 3);
        });

        let cases = [
            (
                "altered",
                altered,
                KEYS.trim(),
                FailureKind::Integrity,
                Some(7),
            ),
            (
                "resigned",
                resigned,
                KEYS.trim(),
                FailureKind::Signature,
                Some(1),
            ),
            ("moved", moved, "", FailureKind::Replay, Some(7)),
            ("spaced", spaced, KEYS.trim(), FailureKind::Malformed, None),
        ];
        for (name, bundle, keys, kind, sequence) in cases {
            let failure = verdict(bundle.as_bytes(), keys).unwrap_err();
            assert_eq!(
                (failure.kind, failure.sequence),
                (kind, sequence),
                "{failure}"
            );
            let said = verify(page, &folder.put(name, bundle), keys).await;
            said.assert_is(&failure);
            photograph(page, name).await;
        }
        assert_offline(page).await;
    })
    .await;
}

#[tokio::test]
async fn a_copy_on_disk_does_the_same() {
    on_the_page(async |page| {
        let folder = Folder::new();
        let copy = folder.put("verify.html", page.source().await.unwrap());
        page.goto(&format!("file://{}", copy.display()))
            .await
            .unwrap();
        let bundle = folder.put("sound.ndjson", COMPLETE);
        let said = verify(page, &bundle, pinned()).await;
        assert_eq!(said.kind, "sound", "{said:?}");
        let cut = COMPLETE.split_inclusive('\n').take(20).collect::<String>();
        let failure = verdict(cut.as_bytes(), pinned()).unwrap_err();
        verify(page, &folder.put("cut.ndjson", cut), pinned())
            .await
            .assert_is(&failure);
        assert_offline(page).await;
    })
    .await;
}

#[tokio::test]
async fn where_there_is_no_webcrypto_the_verdict_says_so() {
    on_the_page(async |page| {
        let address = page.current_url().await.unwrap();
        let insecure = address.as_str().replace("127.0.0.1", INSECURE);
        page.goto(&insecure).await.unwrap();
        let folder = Folder::new();
        let said = verify(page, &folder.put("sound.ndjson", COMPLETE), pinned()).await;
        assert_eq!(said.kind, "unsigned", "{said:?}");
        let words = "this browser cannot check Ed25519 signatures";
        assert!(
            said.why.contains(words) && said.checks.contains(words),
            "{said:?}"
        );

        // Whether a pinned key has signed at all is seen nevertheless.
        let stranger = KEYS.lines().nth(1).unwrap();
        let failure = verdict(SINGLE.as_bytes(), stranger).unwrap_err();
        let said = verify(page, &folder.put("single.ndjson", SINGLE), stranger).await;
        said.assert_is(&failure);
    })
    .await;
}

#[tokio::test]
async fn a_bundle_can_be_dropped_anywhere() {
    on_the_page(async |page| {
        let drop = "
            const [text, done] = arguments;
            const dataTransfer = new DataTransfer();
            dataTransfer.items.add(new File([text], 'dropped.ndjson'));
            const event = new DragEvent('drop', { dataTransfer, bubbles: true, cancelable: true });
            done(document.querySelector('footer').dispatchEvent(event));";
        let shown_by_the_browser = run(page, drop, vec![json!(COMPLETE)]).await;
        assert_eq!(shown_by_the_browser, false);
        assert_eq!(text(page, "#file-name").await, "dropped.ndjson");
        click(page, "#start").await;
        wait_for(page, "#result[data-verdict='unsigned']").await;
    })
    .await;
}

#[tokio::test]
async fn a_key_that_is_none_is_refused_where_it_stands() {
    on_the_page(async |page| {
        let folder = Folder::new();
        let bundle = folder.put("sound.ndjson", COMPLETE);
        let renamed = pinned().replacen("o.", "p.", 1);
        fill(page, &bundle, &format!("{}\n{renamed}", pinned())).await;
        click(page, "#start").await;
        wait_for(page, "#keys[aria-invalid='true']").await;
        let error = text(page, "#keys-error").await;
        assert_eq!(error, "Line 2 is not a verifier key of Ed25519.");
        assert_eq!(verify(page, &bundle, pinned()).await.kind, "sound");
    })
    .await;
}

#[tokio::test]
async fn a_large_bundle_can_be_cancelled_and_then_verified() {
    on_the_page(async |page| {
        let folder = Folder::new();
        let path = folder.put("large.ndjson", "");
        large::write(&path).unwrap();
        fill(page, &path, "").await;
        type_into(page, "#draw-key", &"07".repeat(32)).await;
        click(page, "#start").await;
        click(page, "#cancel").await;
        assert_eq!(
            text(page, "#note").await,
            "Cancelled. Nothing was found out."
        );
        let said = verify(page, &path, "").await;
        assert_eq!(said.kind, "unsigned", "{said:?}");
        let entries = format!("Entries\n{}\n", large::WRITTEN);
        assert!(said.numbers.starts_with(&entries), "{}", said.numbers);
        assert!(said.checks.contains("draws recomputed"), "{}", said.checks);
    })
    .await;
}

#[tokio::test]
async fn every_altered_byte_and_line_gets_the_verdict_of_rust() {
    on_the_page(async |page| {
        // Signed by one key alone: where two sign, one of them can be made a stranger.
        let flips: Vec<Edit> = (0..SINGLE.len())
            .map(|at| Edit {
                bundle: 0,
                at: Some(at),
            })
            .collect();
        let wrong = assert_agreement(page, KEYS.trim(), &[SINGLE.to_owned()], &flips).await;
        assert_eq!(wrong, flips.len(), "no bit can be another");

        let bundles = odd(COMPLETE);
        let wrong = assert_agreement(page, KEYS.trim(), &bundles, &as_they_are(&bundles)).await;
        assert_eq!(wrong, bundles.len());

        let bundles: Vec<String> = GOLDEN.into_iter().flat_map(rearranged).collect();
        let wrong = assert_agreement(page, KEYS.trim(), &bundles, &as_they_are(&bundles)).await;
        // Only a checkpoint can be left out, said twice, or change its place with another.
        assert!(
            wrong > bundles.len() * 9 / 10,
            "{wrong} of {}",
            bundles.len()
        );
    })
    .await;
}

#[tokio::test]
async fn every_forged_value_gets_the_verdict_of_rust() {
    on_the_page(async |page| {
        for bundle in GOLDEN {
            let bundles = forgeries(bundle);
            let wrong = assert_agreement(page, "", &bundles, &as_they_are(&bundles)).await;
            assert!(wrong > bundles.len() / 2, "{wrong} of {}", bundles.len());
        }
    })
    .await;
}

fn as_they_are(bundles: &[String]) -> Vec<Edit> {
    let edit = |bundle| Edit { bundle, at: None };
    (0..bundles.len()).map(edit).collect()
}
