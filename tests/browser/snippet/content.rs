//! What variants do to elements, and what they may not do.

use serde_json::json;

use super::site::{experiment, on_a_site, open, until, value};

const READY: &str = "window.ready_";
const LISTEN: &str = "<script nonce=n1>
    window.violations_ = []; window.missing_ = [];
    document.addEventListener('samplit:ready', (event) => window.ready_ = event.detail);
    document.addEventListener('samplit:no_match', (event) => missing_.push(event.detail));
    document.addEventListener('securitypolicyviolation', (event) => violations_.push(event.violatedDirective + ' ' + event.sourceFile));
</script>";

#[tokio::test]
async fn content_of_every_kind_is_applied() {
    on_a_site(async |page, site| {
        site.page(
            "/",
            LISTEN,
            "<p id=text>Old <b>text</b></p><div id=html></div><a id=link href=/old title=old>a</a>
             <picture><source srcset=/old.webp><img id=image src=/old.png srcset=/old2.png alt=old></picture>
             <p id=look class='a b' style='color: red; margin: 1px'>look</p><p id=away>away</p>
             <p id=back hidden>back</p><p id=bare>bare</p><p id=other>other</p>",
        );
        let on = |id: &str, content| experiment(id, &[&format!("id:{id}")], content);
        site.answers(&[
            on("text", json!({"text": "New <i>text</i>"})),
            on("html", json!({"html": "<em>New</em> html"})),
            on("link", json!({"href": "/new", "attributes": {"title": null, "data-x": "1", "onclick": "alert(1)"}})),
            on("image", json!({"src": "/new.png", "alt": "new"})),
            on("look", json!({"class": {"add": ["c"], "remove": ["a"]}, "style": {"color": "blue", "margin": null, "padding": "3px !important"}})),
            on("away", json!({"hidden": true})),
            on("back", json!({"hidden": false})),
            on("bare", json!("Bare")),
            on("other", json!({"price": 3, "text": 4})),
        ]);
        open(page, site, "/", READY).await;
        let found = value(
            page,
            "(() => { const by = (id) => document.getElementById(id); return {
                text: by('text').innerHTML, html: by('html').innerHTML, link: by('link').outerHTML,
                image: by('image').parentNode.innerHTML, look: [by('look').className, by('look').style.cssText],
                away: getComputedStyle(by('away')).display, back: getComputedStyle(by('back')).display,
                bare: by('bare').textContent, other: by('other').outerHTML,
            }; })()",
        )
        .await;
        assert_eq!(
            found,
            json!({
                "text": "New &lt;i&gt;text&lt;/i&gt;",
                "html": "<em>New</em> html",
                "link": "<a id=\"link\" href=\"/new\" data-x=\"1\">a</a>",
                "image": "<source><img id=\"image\" src=\"/new.png\" alt=\"new\">",
                "look": ["b c", "color: blue; padding: 3px !important;"],
                "away": "none",
                "back": "block",
                "bare": "Bare",
                "other": "<p id=\"other\">other</p>",
            })
        );
    })
    .await;
}

#[tokio::test]
async fn html_is_made_harmless_unless_the_site_allows_it_raw() {
    let cases = [
        ("<p class=a onclick=x()>a</p>", "<p class=\"a\">a</p>"),
        ("<script>ran_()</script><b>b</b>", "<b>b</b>"),
        ("<img src=x onerror=ran_()>", "<img src=\"x\">"),
        ("<a href=' java\nscript:ran_()'>a</a>", "<a>a</a>"),
        ("<a href='data:text/html,x'>a</a>", "<a>a</a>"),
        (
            "<a href=/b target=_blank>a</a>",
            "<a href=\"/b\" target=\"_blank\">a</a>",
        ),
        ("<svg><script>ran_()</script></svg>c", "c"),
        (
            "<math><mtext><table><mglyph><style><img src=x onerror=ran_()>",
            "",
        ),
        (
            "<iframe srcdoc='<script>parent.ran_()</script>'></iframe>",
            "",
        ),
        (
            "<form action=/x><button formaction=javascript:ran_()>d</button></form>",
            "",
        ),
        ("<template><img src=x onerror=ran_()></template>", ""),
        (
            "<!--x--><span style='color: red'>e</span>",
            "<span style=\"color: red;\">e</span>",
        ),
        ("<b id=location name=location>f</b>", "<b>f</b>"),
        (
            "<base href=//evil.test><meta http-equiv=refresh content=0><link rel=stylesheet href=x>g",
            "g",
        ),
        (
            "<noscript><p title='</noscript><img src=x onerror=ran_()>'></noscript>",
            "<p title=\"&lt;/noscript&gt;&lt;img src=x onerror=ran_()&gt;\"></p>",
        ),
    ];
    on_a_site(async |page, site| {
        let head = format!("{LISTEN}<script>window.ran_ = () => window.hasRun_ = true</script>");
        let body = "<div class=x></div>".repeat(cases.len());
        site.page("/", &head, &body);
        let experiments: Vec<_> = cases
            .iter()
            .enumerate()
            .map(|(at, (html, _))| {
                let path = format!("xpath://div[{}]", at + 1);
                experiment(&at.to_string(), &[&path], json!({ "html": html }))
            })
            .collect();
        site.answers(&experiments);
        open(page, site, "/", READY).await;
        let found = value(
            page,
            "[...document.querySelectorAll('.x')].map((x) => x.innerHTML)",
        )
        .await;
        for (at, (html, expected)) in cases.iter().enumerate() {
            assert_eq!(found[at], *expected, "{html}");
        }
        assert!(value(page, "window.hasRun_").await.is_null());

        site.set("raw_html", json!(true));
        site.answers(&[experiment(
            "e",
            &["class:x"],
            json!({"html": "<script>ran_()</script>"}),
        )]);
        open(page, site, "/", "window.hasRun_").await;
    })
    .await;
}

#[tokio::test]
async fn a_strict_policy_is_kept() {
    on_a_site(async |page, site| {
        let policy = "default-src 'none'; script-src 'nonce-n1' 'strict-dynamic'; connect-src {api}; \
             base-uri 'none'; require-trusted-types-for 'script'; trusted-types samplit";
        site.page_with_policy("/", LISTEN, "<h1>Control</h1>", Some(policy));
        site.set("selectors", json!([{"url": "*", "css": ["h1"]}]));
        let content = json!({"html": "<b style='color: rgb(1, 2, 3)'>Variant</b>", "style": {"margin": "7px"}});
        site.answers(&[experiment("e", &["css:h1"], content)]);
        open(page, site, "/", READY).await;
        let found = value(
            page,
            "[getComputedStyle(document.querySelector('h1 b')).color, getComputedStyle(document.querySelector('h1')).margin]",
        )
        .await;
        assert_eq!(found, json!(["rgb(1, 2, 3)", "7px"]));
        site.until(|site| !site.events_of("exposure").is_empty()).await;
        assert_eq!(value(page, "violations_").await, json!([]));

        // The picker gets in, too, and the experiments stay out.
        open(page, site, "/?samplit_edit=t", "document.title === 'picker'").await;
        assert_eq!(value(page, "violations_").await, json!([]));
        assert_eq!(value(page, "document.querySelector('h1').textContent").await, "Control");
    })
    .await;
}

#[tokio::test]
async fn fallbacks_are_taken_in_order_and_only_once_the_page_is_read() {
    on_a_site(async |page, site| {
        // What a fallback finds at first is not what the primary selector means.
        site.hold("page");
        site.page(
            "/",
            LISTEN,
            "<h2>First</h2><i></i><!--pause--><h2 id=meant>Second</h2><p class='c d'>Class</p>
            <div><span>Path</span></div>",
        );
        site.answers(&[
            experiment(
                "1",
                &["css:#meant", "css:h2"],
                json!({"text": "by the primary"}),
            ),
            experiment(
                "2",
                &["css:#gone", "css:)", "xpath://div/span", "css:h2"],
                json!({"text": "by a path"}),
            ),
            experiment("3", &["id:gone", "class:d"], json!({"text": "by a class"})),
            experiment(
                "4",
                &["css:#nowhere", "xpath:(("],
                json!({"text": "nowhere"}),
            ),
        ]);
        open(page, site, "/", READY).await;
        assert_eq!(
            value(page, "document.querySelector('h2').textContent").await,
            "First"
        );
        site.release("page");
        until(page, "missing_.length").await;
        let found = value(
            page,
            "['h2', '#meant', 'span', 'p'].map((css) => document.querySelector(css).textContent)",
        )
        .await;
        assert_eq!(
            found,
            json!(["First", "by the primary", "by a path", "by a class"])
        );
        site.until(|site| site.events_of("exposure").len() == 3)
            .await;
        site.until(|site| !site.events_of("no_match").is_empty())
            .await;
        let missing = site.events_of("no_match");
        assert_eq!(missing.len(), 1);
        assert_eq!(missing[0]["experiment_id"], "4");
        assert_eq!(missing[0]["element_id"], "element 4");
        assert_eq!(missing[0]["url"], format!("{}/", site.origin));
        let detail = value(
            page,
            "missing_[0].selectors.map((selector) => selector.value)",
        )
        .await;
        assert_eq!(detail, json!(["#nowhere", "(("]));
    })
    .await;
}

#[tokio::test]
async fn what_runs_by_itself_takes_no_content() {
    on_a_site(async |page, site| {
        let data = "<script type='application/ld+json'>{}</script>";
        site.page("/", LISTEN, data);
        let content = json!({
            "attributes": {"type": "text/javascript", "src": "data:text/javascript,window.ran=1"},
            "text": "window.ran = 1",
        });
        site.answers(&[experiment("e", &["css:script[type*=ld]"], content)]);
        open(page, site, "/", READY).await;
        let left = "[window.ran ?? null, document.querySelector('script[type*=ld]')?.outerHTML]";
        let data = data.replace('\'', "\"");
        assert_eq!(value(page, left).await, json!([null, data]));
    })
    .await;
}
