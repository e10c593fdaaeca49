//! No frame shows the control of an element that is treated, and none hides it for longer than promised.

use fantoccini::Client;
use serde_json::{Value as Json, json};

use super::site::{Site, experiment, on_a_site, open, until, value};

/// Notes what every frame shows of the headline, and every layout shift.
pub(crate) const SAMPLER: &str = "<script>
    window.frames_ = []; window.shift_ = 0; window.ready_ = [];
    (function frame() {
        const node = document.querySelector('h1');
        if (node) frames_.push({text: node.textContent, is: getComputedStyle(node).visibility, at: performance.now()});
        requestAnimationFrame(frame);
    })();
    new PerformanceObserver((list) => list.getEntries().forEach((entry) => shift_ += entry.value))
        .observe({type: 'layout-shift', buffered: true});
    document.addEventListener('samplit:ready', (event) => ready_.push(event.detail));
</script>";
const BODY: &str = "<h1>Control</h1><p>Text</p>";
const HAS_SHOWN: &str = "window.frames_?.some((frame) => frame.is === 'visible')";

fn treated(site: &Site) {
    site.set("selectors", json!([{"url": "*", "css": ["h1"]}]));
    site.answers(&[experiment("e", &["css:h1"], json!({"text": "Variant"}))]);
}

/// What frames showed, each once, in order.
pub(crate) async fn shown(page: &Client) -> Vec<String> {
    let frames = value(page, "frames_.map((frame) => frame.text + ' ' + frame.is)").await;
    let mut shown: Vec<String> = serde_json::from_value(frames).unwrap();
    // A frame may fall between an element and its text.
    shown.retain(|frame| !frame.starts_with(' '));
    shown.dedup();
    shown
}

#[tokio::test]
async fn no_frame_of_a_first_or_a_second_visit_shows_control() {
    on_a_site(async |page, site| {
        treated(site);
        // The page itself says when the server goes on, some frames later.
        let slow = |what: &str| {
            format!("{SAMPLER}<script>setTimeout(() => fetch('/release/{what}'), 100)</script>")
        };
        site.page("/file", &slow("script"), BODY);
        site.page("/answer", &slow("answer"), BODY);

        site.hold("script");
        open(page, site, "/file", HAS_SHOWN).await;
        assert_eq!(shown(page).await.last().unwrap(), "Variant visible");
        assert!(!shown(page).await.contains(&"Control visible".to_owned()));
        until(page, "ready_.length").await;
        assert_eq!(value(page, "shift_").await, 0);
        site.until(|site| site.events_of("exposure").len() == 1)
            .await;

        for path in ["/answer", "/answer"] {
            site.hold("answer");
            open(page, site, path, HAS_SHOWN).await;
            let shown = shown(page).await;
            assert_eq!(shown, ["Control hidden", "Variant visible"]);
            assert_eq!(value(page, "shift_").await, 0);
        }
    })
    .await;
}

/// Notes which timers end the hiding, and in which frame.
const CLOCK: &str = "<script>
    window.timers_ = [];
    const later_ = window.setTimeout;
    window.setTimeout = (then, ms) => {
        const begun = performance.now();
        return later_(() => {
            const before = frames_.length;
            then();
            timers_.push({ms, took: performance.now() - begun, before});
        }, ms);
    };
</script>";

#[tokio::test]
async fn a_server_that_never_answers_means_control_in_time_and_counts_nothing() {
    on_a_site(async |page, site| {
        treated(site);
        // As long as the site wants, and never longer than a second.
        for (wanted, promised) in [(500, 500), (5_000, 1_000)] {
            site.set("hide_ms", json!(wanted));
            site.page_by_the_clock("/", &format!("{SAMPLER}{CLOCK}"), BODY);
            for what in ["script", "answer"] {
                site.hold(what);
                open(page, site, "/", HAS_SHOWN).await;
                // Hidden until the timer, and seen in the very next frame, whatever the machine is busy with.
                let seen =
                    value(page, "frames_.findIndex((frame) => frame.is === 'visible')").await;
                let of = format!("timers_.find((timer) => timer.ms === {promised})");
                let timer = value(page, &of).await;
                assert_eq!(timer["before"], seen, "{wanted} {what}: {timer}");
                let took = timer["took"].as_f64().unwrap();
                assert!(took >= f64::from(promised) - 1.0, "{timer}");
                // Late is late, for all of the view.
                site.release(what);
                until(page, "ready_.length").await;
                assert_eq!(value(page, "ready_[0].in_time").await, false);
                assert_eq!(
                    value(page, "document.querySelector('h1').textContent").await,
                    "Control"
                );
                assert_eq!(site.events(), [Json::Null; 0]);
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_site_that_hides_nothing_shows_the_variant_whenever_it_comes() {
    on_a_site(async |page, site| {
        treated(site);
        site.set("hide_ms", json!(0));
        site.page("/", SAMPLER, BODY);
        site.hold("answer");
        open(page, site, "/", HAS_SHOWN).await;
        site.release("answer");
        until(page, "frames_.at(-1).text === 'Variant'").await;
        assert_eq!(shown(page).await, ["Control visible", "Variant visible"]);
    })
    .await;
}
