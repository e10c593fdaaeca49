//! The element picker in a real Chromium, on a page of another origin with a strict policy.

use std::{fs, path::Path};

use serde_json::{Value as Json, json};

use crate::{
    chromium::emulate,
    picker_page::{Site, on_the_site},
};

const HEADLINE: &str = "() => document.querySelector('h1').textContent";
const ORIGINAL: &str = "Coffee, roasted this morning";

/// Pictures for people, in `screenshots` of the build directory.
async fn photograph(site: &Site, name: &str, sizes: &[(u32, u64)]) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("screenshots");
    fs::create_dir_all(&folder).unwrap();
    for &(width, height) in sizes {
        for scheme in ["light", "dark"] {
            emulate(&site.page, width, height, scheme).await;
            // Two frames: the outlines follow the page.
            let frames = "const done = arguments[0];
                requestAnimationFrame(() => requestAnimationFrame(() => done(null)));";
            site.page.execute_async(frames, Vec::new()).await.unwrap();
            let png = site.page.screenshot().await.unwrap();
            fs::write(
                folder.join(format!("picker-{name}-{width}-{scheme}.png")),
                png,
            )
            .unwrap();
        }
    }
    emulate(&site.page, 1280, 800, "light").await;
}

async fn variants_of_first(site: &Site) -> usize {
    let stored = site.stored().await;
    stored[0]["variants"].as_array().unwrap().len()
}

const BOTH: [(u32, u64); 2] = [(1280, 800), (390, 844)];

#[tokio::test]
async fn a_variant_is_made_on_the_page_and_saved() {
    on_the_site(async |site| {
        site.open(&site.link(&site.shop).await).await;
        site.wait_for("h2", "Hero of the start page").await;
        site.wait_for("main", "Point at something").await;
        let address = site.in_page("() => location.href").await;
        assert_eq!(address, site.shop, "the token is out of the address");
        site.in_page(
            "() => { window.heard = 0; for (const type of ['click', 'mousedown', 'keydown', 'focusin'])
                document.body.addEventListener(type, () => window.heard++); }",
        )
        .await;

        site.hover("h1").await;
        site.wait_for(".frame.hover + .tag", "headline <h1>").await;
        photograph(site, "pointing", &BOTH).await;
        site.pick("a.btn").await;
        site.wait_for("main", "Button").await;
        assert_eq!(site.in_page("() => location.pathname").await, "/", "no link was followed");
        site.pick("h1").await;
        site.wait_for(".what", "Headline").await;
        let found = site.text(".selectors").await;
        assert!(found.contains("h1.hero-title") && found.contains("1 match"), "{found}");
        assert!(!found.contains("css-"), "{found}");

        // In place.
        site.pick("h1").await;
        site.type_text("Fresh coffee, today").await;
        photograph(site, "editing", &BOTH).await;
        site.key("Enter").await;
        assert_eq!(site.in_page(HEADLINE).await, "Fresh coffee, today");
        let text = site.in_picker("textarea", "function() { return this.value }").await;
        assert_eq!(text, "Fresh coffee, today");
        site.press("footer button").await;
        assert_eq!(site.in_page(HEADLINE).await, ORIGINAL, "the preview is off");
        site.press("footer button").await;
        assert_eq!(site.in_page(HEADLINE).await, "Fresh coffee, today");
        site.fill("[name=variant]", "Fresh").await;
        site.press("footer .primary").await;
        site.wait_for(".status", "Saved “Fresh”").await;
        assert_eq!(site.in_page(HEADLINE).await, ORIGINAL);
        assert_eq!(site.in_page("() => window.heard").await, 0, "the page heard of nothing");

        let stored = site.stored().await;
        assert_eq!(stored.len(), 1, "the placeholder made way");
        let element = &stored[0];
        assert_eq!(element["selector"], json!({"type": "css", "value": "h1.hero-title"}));
        assert_ne!(element["fallback_selectors"], json!([]));
        assert_eq!(element["element_type"], "headline");
        assert_eq!(element["original_content"], json!({"text": ORIGINAL}));
        let variants = element["variants"].as_array().unwrap();
        let saved: Vec<_> = variants.iter().map(|v| [&v["name"], &v["is_control"], &v["content"]]).collect();
        assert_eq!(json!(saved), json!([
            ["Original", true, {}],
            ["Fresh", false, {"text": "Fresh coffee, today"}],
        ]));

        // Another variant of the same, in the panel.
        site.pick("h1").await;
        site.wait_for("main", "Found as the saved element").await;
        site.fill("textarea", "Good morning").await;
        site.fill("[name=variant]", "Warm").await;
        site.press("footer .primary").await;
        site.wait_for(".status", "Saved “Warm”").await;
        assert_eq!(variants_of_first(site).await, 3);

        // What is saved can be looked at.
        site.press(".saved ul li:nth-child(2) button").await;
        assert_eq!(site.in_page(HEADLINE).await, "Good morning");
        site.press(".saved ul li:nth-child(1) button").await;
        assert_eq!(site.in_page(HEADLINE).await, "Fresh coffee, today");
        photograph(site, "saved", &BOTH).await;
        site.press(".saved ul li:nth-child(1) button").await;
        assert_eq!(site.in_page(HEADLINE).await, ORIGINAL);
        site.press(".saved ul li:nth-child(1) button:last-child").await;
        assert_eq!(variants_of_first(site).await, 3, "asked first");
        site.press(".saved ul li:nth-child(1) button:last-child").await;
        site.wait_for(".status", "Deleted “Fresh”").await;
        assert_eq!(variants_of_first(site).await, 2);

        // What the page holds is as it was, and nobody sees anything of it yet.
        site.press(".leave").await;
        let is_left = "() => !document.querySelector('samplit-picker') && !!window.samplit?.variants";
        samplit_tests::eventually(async || site.in_page(is_left).await == true).await;
        assert_eq!(site.in_page(HEADLINE).await, ORIGINAL);

        // From the start on visitors of the same page do.
        site.start_experiment().await;
        let mut visits = 0;
        while site.visit().await != "Good morning" {
            visits += 1;
            assert!(visits < 50, "nobody is ever shown the variant");
        }
        samplit_tests::eventually(async || site.counted("exposures").await == visits + 1).await;
        assert_eq!(site.counted("assignments").await, visits + 1);
    })
    .await;
}

#[tokio::test]
async fn images_links_colours_and_visibility_can_be_changed() {
    on_the_site(async |site| {
        site.open(&site.link(&site.shop).await).await;
        site.wait_for("main", "Point at something").await;
        // The panel is in its way.
        site.press(".side").await;
        site.pick(".hero img").await;
        site.wait_for(".what", "Image").await;
        site.fill("[name=src]", "/bag.svg").await;
        site.fill("[name=alt]", "A bag").await;
        let image = "() => [document.images[0].getAttribute('src'), document.images[0].alt]";
        assert_eq!(site.in_page(image).await, json!(["/bag.svg", "A bag"]));
        photograph(site, "image", &BOTH).await;
        site.press("footer .primary").await;
        site.wait_for(".status", "Saved").await;
        assert_eq!(site.in_page(image).await, json!(["/cup.svg", "A cup"]));

        site.press(".side").await;
        site.pick("a.btn").await;
        site.wait_for(".what", "Button").await;
        site.fill("[name=href]", "javascript:alert(1)").await;
        let link = "() => document.querySelector('a.btn').getAttribute('href')";
        assert_eq!(site.in_page(link).await, "/order", "that is no link");
        site.fill("[name=href]", "/order?now").await;
        let colour =
            "function() { this.value = '#00ff00'; this.dispatchEvent(new Event('input')) }";
        site.in_picker("[name=background-color]", colour).await;
        assert_eq!(site.in_page(link).await, "/order?now");
        let shown = "() => { const style = getComputedStyle(document.querySelector('a.btn'));
            return [style.backgroundColor, style.display]; }";
        assert_eq!(
            site.in_page(shown).await,
            json!(["rgb(0, 255, 0)", "inline-block"])
        );
        site.press("[name=hidden]").await;
        assert_eq!(site.in_page(shown).await[1], "none");
        site.press("[name=hidden]").await;
        site.press("footer .primary").await;
        site.wait_for(".status", "Saved").await;
        let stored = site.stored().await;
        let contents: Vec<&Json> = stored
            .iter()
            .map(|e| &e["variants"][1]["content"])
            .collect();
        assert_eq!(
            contents,
            [
                &json!({"src": "/bag.svg", "alt": "A bag"}),
                &json!({"href": "/order?now", "style": {"background-color": "#00ff00"}}),
            ]
        );
        assert_eq!(stored[1]["selector"]["value"], "a[data-testid=\"order\"]");
    })
    .await;
}

#[tokio::test]
async fn what_is_shown_of_saved_variants_is_taken_back_part_by_part() {
    on_the_site(async |site| {
        let link = site.link(&site.shop).await;
        let save = async |element: &str, content: Json| {
            let css = json!({"type": "css", "value": "h1"});
            let body = json!({"element": null, "name": element, "selector": css, "fallback_selectors": [],
                "element_type": "headline", "original_content": {}, "variant": {"name": "V", "content": content}});
            site.save(&link, &body).await;
        };
        save("one", json!({"text": "One", "style": {"margin": "7px", "border": "var(--b)", "color": "red !important", "colour": "x"}})).await;
        save("two", json!({"text": "Two", "style": {"margin-left": "9px"}, "hidden": true})).await;
        site.open(&link).await;
        site.wait_for(".saved", "one").await;
        // A policy may forbid the attribute.
        let own = "margin-left: 3px; border-top: 1px solid rgb(1, 2, 3); color: green";
        site.in_page(&format!("() => {{ document.querySelector('h1').style.cssText = '{own}' }}")).await;
        let styles = "() => { const { style } = document.querySelector('h1');
            return [document.querySelector('h1').textContent,
                [...style].sort().map((name) => name + ': ' + style.getPropertyValue(name) + style.getPropertyPriority(name))]; }";
        let before = site.in_page(styles).await;
        let toggle = |at: usize| format!(".saved > li:nth-child({at}) button");
        for order in [[1, 2, 1, 2], [2, 1, 2, 1], [1, 2, 2, 1]] {
            for at in &order[..2] {
                site.press(&toggle(*at)).await;
            }
            let shown = "() => { const { style, textContent } = document.querySelector('h1');
                return [textContent, style.marginTop, style.color + style.getPropertyPriority('color'), style.display]; }";
            // One at a time of the same element.
            let expected = match order[1] {
                1 => json!(["One", "7px", "redimportant", ""]),
                _ => json!(["Two", "", "green", "none"]),
            };
            assert_eq!(site.in_page(shown).await, expected);
            for at in &order[2..] {
                let pressed = format!("{}[aria-pressed=true]", toggle(*at));
                if site.in_picker(&pressed, "function() { return true }").await == true {
                    site.press(&pressed).await;
                }
            }
            assert_eq!(site.in_page(styles).await, before, "{order:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn everything_can_be_reached_by_keys() {
    on_the_site(async |site| {
        site.open(&site.link(&site.shop).await).await;
        site.wait_for("main", "Point at something").await;
        site.pick("h1").await;
        let tag = ".frame.selected + .tag";
        for (key, expected) in [
            ("ArrowRight", "text <p>"),
            ("ArrowRight", "button <a>"),
            ("ArrowUp", "text <div>"),
            ("ArrowDown", "headline <h1>"),
        ] {
            site.key(key).await;
            site.wait_for(tag, expected).await;
        }
        site.key("Enter").await;
        site.type_text("By keys").await;
        site.key("Escape").await;
        assert_eq!(site.in_page(HEADLINE).await, "By keys");
        site.key("Tab").await;
        let focused = site
            .in_picker("main :focus", "function() { return this.title }")
            .await;
        assert_eq!(focused, "Parent");
        site.key("Escape").await;
        site.wait_for("main", "Point at something").await;
        assert_eq!(
            site.in_page(HEADLINE).await,
            ORIGINAL,
            "what was not saved is gone"
        );
    })
    .await;
}

#[tokio::test]
async fn bad_links_open_nothing_and_say_why() {
    on_the_site(async |site| {
        site.open(&site.expired_link()).await;
        site.wait_for(".status.bad", "This link has expired").await;
        photograph(site, "expired", &[(1280, 800)]).await;
        let good = site.link(&site.shop).await;
        let forged = format!("{}x", &good[..good.len() - 1]);
        let foreign = site.link(&site.foreign).await;
        for (link, why) in [
            (forged, "was not made here, or it was altered"),
            (foreign, "does not let this page in"),
        ] {
            site.open(&link).await;
            site.wait_for(".status.bad", why).await;
            site.pick("h1").await;
            assert_eq!(site.text("main").await, "");
        }
        site.start_experiment().await;
        site.open(&good).await;
        site.wait_for(".status.bad", "The experiment was started")
            .await;
        site.pick("h1").await;
        site.fill("textarea", "Late").await;
        let disabled = site.in_picker("footer .primary", "function() { return this.disabled }");
        assert_eq!(disabled.await, true);
    })
    .await;
}

#[tokio::test]
async fn selectors_find_their_element_and_hold_nothing_that_is_made_anew() {
    on_the_site(async |site| {
        site.open(&format!("{}awkward", site.shop)).await;
        let script = concat!(
            include_str!("../../crates/samplit-http/assets/picker/selectors.js"),
            include_str!("pages/awkward.js"),
        );
        let said = site.in_page(&format!("() => {{ {script} }}")).await;
        let expected: Json = serde_json::from_str(include_str!("pages/awkward.json")).unwrap();
        for (name, expected) in expected.as_object().unwrap() {
            assert_eq!(said[name], *expected, "{name}");
        }
        assert_eq!(said["wrong"], json!([]));
    })
    .await;
}
