//! Elements that several experiments and the page itself change: each place of an element has one owner,
//! and what the page had there comes back.

use serde_json::json;

use super::site::{experiment, on_a_site, open, until, value};

const LISTEN: &str = "<script>
    window.visits_ = [];
    document.addEventListener('samplit:ready', () => visits_.push(location.pathname));
    window.go_ = (path) => history.pushState(null, '', path);
    window.styles_ = (css) => {
        const { style } = document.querySelector(css);
        return [...style].sort().map((name) => name + ': ' + style.getPropertyValue(name) + style.getPropertyPriority(name));
    };
</script>";
const TEXT: &str = "document.querySelector('h1').textContent";

#[tokio::test]
async fn two_experiments_on_one_element_stack_and_give_the_page_back_its_own() {
    on_a_site(async |page, site| {
        let first = || {
            let content =
                json!({"text": "First", "class": {"add": ["one"]}, "style": {"margin": "7px"}});
            experiment("first", &["css:h1"], content)
        };
        let second = || {
            let content = json!({"html": "<b>Second</b>", "style": {"margin-left": "9px"}});
            experiment("second", &["id:title"], content)
        };
        let html = "<h1 id=title style='margin-left: 3px'>Control</h1>";
        site.page("/", LISTEN, html);
        site.answers_at("/", &[first(), second()]);
        site.answers_at("/first", &[first()]);
        open(page, site, "/", "window.visits_?.length === 1").await;
        let both = "document.querySelector('h1').outerHTML";
        let stacked =
            "<h1 id=\"title\" style=\"margin: 7px 7px 7px 9px;\" class=\"one\"><b>Second</b></h1>";
        assert_eq!(value(page, both).await, stacked);

        // Whichever notices first mends it for both.
        value(
            page,
            "(document.querySelector('h1').textContent = 'Rendered again')",
        )
        .await;
        until(page, &format!("{TEXT} === 'Second'")).await;
        assert_eq!(value(page, both).await, stacked);

        // What lies below another is not seen.
        site.until(|site| !site.events_of("exposure").is_empty())
            .await;
        let seen = |at: usize| site.events_of("exposure")[at]["experiment_id"].clone();
        assert_eq!(seen(0), "second");

        value(page, "go_('/first')").await;
        until(page, "visits_.length === 2").await;
        let left = "<h1 id=\"title\" style=\"margin: 7px;\" class=\"one\">First</h1>";
        assert_eq!(value(page, both).await, left);
        site.until(|site| site.events_of("exposure").len() == 2)
            .await;
        assert_eq!(seen(1), "first");

        value(page, "go_('/none')").await;
        until(page, "visits_.length === 3").await;
        let original =
            "<h1 id=\"title\" style=\"margin-left: 3px;\" class=\"\">Rendered again</h1>";
        assert_eq!(value(page, both).await, original);

        // And the other way round: the lower one goes first.
        site.answers_at("/second", &[second()]);
        value(page, "go_('/')").await;
        until(page, "visits_.length === 4").await;
        value(page, "go_('/second')").await;
        until(page, "visits_.length === 5").await;
        let left = "<h1 id=\"title\" style=\"margin-left: 9px;\" class=\"\"><b>Second</b></h1>";
        assert_eq!(value(page, both).await, left);
        value(page, "go_('/none')").await;
        until(page, "visits_.length === 6").await;
        assert_eq!(value(page, both).await, original);
    })
    .await;
}

#[tokio::test]
async fn styles_come_back_part_by_part() {
    on_a_site(async |page, site| {
        let style = "margin-left: 3px; background-color: red; border-top: 1px solid !important; \
            padding: var(--p); --own: 4px; color: green";
        site.page("/", LISTEN, &format!("<p style='{style}'>a</p>"));
        let styles = json!({"margin": "7px", "background": "blue", "border": "var(--b)", "inset": "0",
            "--own": "5px", "--new": "1px", "color": null, "font": "12px serif !important"});
        site.answers_at("/", &[experiment("e", &["css:p"], json!({ "style": styles }))]);
        site.plain_page("/plain", format!("<!doctype html><p style='{style}'>a</p>"));
        open(page, site, "/plain", "document.querySelector('p')").await;
        open(page, site, "/", "window.visits_?.length === 1").await;
        let shown = value(
            page,
            "(({style}) => ['margin', 'background', 'border', 'inset', '--own', '--new', 'color', 'font'].map(
                (name) => [style.getPropertyValue(name), style.getPropertyPriority(name)]))(document.querySelector('p'))",
        );
        assert_eq!(
            shown.await,
            json!([["7px", ""], ["blue", ""], ["var(--b)", ""], ["0px", ""], ["5px", ""], ["1px", ""],
                ["", ""], ["12px serif", "important"]])
        );
        value(page, "go_('/other')").await;
        until(page, "visits_.length === 2").await;
        let fresh = "document.createElement('p')";
        let script = format!(
            "(() => {{ const p = {fresh}; p.className = 'fresh'; p.hidden = true; p.style.cssText = `{style}`;
            document.body.append(p); return [styles_('p.fresh'), styles_('p:not(.fresh)')]; }})()"
        );
        let found = value(page, &script).await;
        assert_eq!(found[0], found[1]);
    })
    .await;
}

#[tokio::test]
async fn an_attribute_is_kept_however_its_name_is_written() {
    on_a_site(async |page, site| {
        site.page("/", LISTEN, "<h1 data-state=old>Control</h1>");
        let content = json!({"attributes": {"DATA-State": "new"}});
        site.answers(&[experiment("e", &["css:h1"], content)]);
        open(page, site, "/", "window.visits_?.length === 1").await;
        value(
            page,
            "(document.querySelector('h1').dataset.state = 'other')",
        )
        .await;
        until(page, "document.querySelector('h1').dataset.state === 'new'").await;
    })
    .await;
}

#[tokio::test]
async fn a_node_that_the_page_takes_away_and_keeps_is_given_back_as_it_was() {
    on_a_site(async |page, site| {
        site.page("/", LISTEN, "<main><h1>Control</h1></main>");
        site.answers_at(
            "/",
            &[experiment(
                "e",
                &["css:h1"],
                json!({"html": "<b>Variant</b>"}),
            )],
        );
        open(page, site, "/", "window.visits_?.length === 1").await;
        let swap = "(() => {
            window.kept_ = document.querySelector('h1');
            const other = document.createElement('h1');
            other.textContent = 'Other';
            document.querySelector('main').replaceChildren(other);
        })()";
        value(page, swap).await;
        until(page, &format!("{TEXT} === 'Variant'")).await;
        assert_eq!(value(page, "kept_.innerHTML").await, "Control");
        value(
            page,
            "document.querySelector('main').replaceChildren(kept_)",
        )
        .await;
        until(page, &format!("{TEXT} === 'Variant'")).await;
        value(page, "go_('/other')").await;
        until(page, "visits_.length === 2").await;
        assert_eq!(
            value(page, "document.querySelector('main').innerHTML").await,
            "<h1>Control</h1>"
        );
    })
    .await;
}
