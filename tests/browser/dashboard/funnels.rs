//! Funnels in the browser: drawn by mouse, drawn by keyboard alone, undone, saved and read back, mended where
//! the server says so, activated.

use fantoccini::Locator;
use samplit_engine::{Principal, Role};
use serde_json::{Value as Json, json};

use super::{
    axe::assert_accessible,
    crowd::{CROWD, busy_funnel},
    desk::{Desk, at_the_desk},
};
use crate::{chromium::devtools, page::photograph_as};

const EMAIL: &str = "ana@example.org";

/// What is drawn: names and places of steps, and the ways between them with their conditions.
const DRAWN: &str = "
    const name = (group) => group.querySelector('.name').dataset.words;
    const nodes = [...document.querySelectorAll('#nodes .node')]
      .map((node) => [name(node), node.dataset.type, node.querySelector('.what').dataset.words, node.getAttribute('transform')]);
    const ways = [...document.querySelectorAll('#edges .edge')].map((edge) => edge.getAttribute('aria-label'));
    return { nodes: nodes.sort(), ways: ways.sort() };";

impl Desk {
    async fn drawn(&self) -> Json {
        self.run(DRAWN).await
    }

    /// Makes a draft by the form for new ones, and waits for its canvas.
    async fn new_funnel(&self, name: &str, template: &str) -> String {
        self.open("/funnels/new").await;
        self.fill("#f-name", name).await;
        self.click(&format!("input[value={template}]")).await;
        self.press("Make the draft").await;
        self.wait_for("#editor:not([hidden]) #save-state[data-state]")
            .await;
        let place = self.place().await;
        place.split('/').nth(2).unwrap().to_owned()
    }

    /// Where the middle of something is in the window.
    async fn middle(&self, css: &str) -> (f64, f64) {
        let found = self
            .run(&format!(
                "const box = document.querySelector({}).getBoundingClientRect();
                 return [box.x + box.width / 2, box.y + box.height / 2];",
                json!(css)
            ))
            .await;
        (found[0].as_f64().unwrap(), found[1].as_f64().unwrap())
    }

    /// Drags from one place of the window to another, in a few steps.
    async fn drag(&self, from: (f64, f64), to: (f64, f64)) {
        self.mouse("mouseMoved", from, 0).await;
        self.mouse("mousePressed", from, 1).await;
        for part in [0.3, 0.7, 1.0] {
            let at = |from: f64, to: f64| from + part * (to - from);
            self.mouse("mouseMoved", (at(from.0, to.0), at(from.1, to.1)), 1)
                .await;
        }
        self.mouse("mouseReleased", to, 0).await;
    }

    async fn mouse(&self, kind: &str, (x, y): (f64, f64), buttons: u8) {
        let is_press = kind != "mouseMoved";
        let event = json!({
            "type": kind, "x": x, "y": y, "buttons": buttons, "pointerType": "mouse",
            "button": if is_press || buttons > 0 { "left" } else { "none" },
            "clickCount": i32::from(is_press),
        });
        devtools(&self.page, "Input.dispatchMouseEvent", event).await;
    }

    async fn wheel(&self, (x, y): (f64, f64), by: f64) {
        let event = json!({ "type": "mouseWheel", "x": x, "y": y, "deltaX": 0.0, "deltaY": by });
        devtools(&self.page, "Input.dispatchMouseEvent", event).await;
    }

    /// A key with others held, as `Ctrl+z`.
    async fn stroke(&self, keys: &str) {
        let (held, key) = keys.rsplit_once('+').unwrap_or(("", keys));
        let modifiers =
            2 * i32::from(held.contains("Ctrl")) + 8 * i32::from(held.contains("Shift"));
        let code = match key {
            "Enter" => 13,
            "Tab" => 9,
            "Escape" => 27,
            "Delete" => 46,
            "ArrowLeft" => 37,
            "ArrowUp" => 38,
            "ArrowRight" => 39,
            "ArrowDown" => 40,
            letter => i32::from(letter.to_uppercase().as_bytes()[0]),
        };
        let is_text = key.len() == 1 && modifiers & 2 == 0;
        let text = match key {
            "Enter" => "\r",
            letter if is_text => letter,
            _ => "",
        };
        for kind in ["keyDown", "keyUp"] {
            let text = if kind == "keyDown" { text } else { "" };
            let event = json!({
                "type": kind, "key": key, "code": key, "text": text, "modifiers": modifiers,
                "windowsVirtualKeyCode": code,
            });
            devtools(&self.page, "Input.dispatchKeyEvent", event).await;
        }
    }

    async fn save_by(&self, keys: &str) {
        self.stroke(keys).await;
        self.wait_for("#save-state[data-state=saved]").await;
    }

    /// The selector of the step that is called so, which `id` then names.
    async fn step(&self, name: &str) -> String {
        let id = self
            .run(&format!(
                "return [...document.querySelectorAll('#nodes .node')]
                   .find((node) => node.querySelector('.name').dataset.words === {})?.dataset.node ?? '';",
                json!(name)
            ))
            .await;
        let id = id.as_str().unwrap();
        assert!(!id.is_empty(), "there is a step called {name}");
        format!("[data-node='{id}']")
    }

    /// Chooses an option, as a person does.
    async fn choose(&self, css: &str, value: &str) {
        let script = format!(
            "const field = document.querySelector({}); field.value = {};
             field.dispatchEvent(new Event('change', {{ bubbles: true }}));",
            json!(css),
            json!(value)
        );
        self.run(&script).await;
    }

    async fn said(&self) -> String {
        self.text("#canvas-said").await
    }

    /// The id of what has the focus, or the name of the step that has it.
    async fn focused(&self) -> String {
        let found = self
            .run(
                "const at = document.activeElement;
                 return at.querySelector?.('.name')?.dataset.words ?? at.id;",
            )
            .await;
        found.as_str().unwrap_or_default().to_owned()
    }
}

#[tokio::test]
async fn a_funnel_is_drawn_by_mouse_from_nothing() {
    at_the_desk(async |desk| {
        desk.enter(EMAIL, Role::Client).await;
        desk.open("/funnels").await;
        assert_accessible(desk, "funnels-empty").await;
        photograph_as(&desk.page, "dashboard-funnels-empty").await;
        desk.press("Draw your first funnel").await;
        desk.arrive("/funnels/new").await;
        desk.press("Make the draft").await;
        desk.wait_for("#f-name-error").await;
        let id = desk.new_funnel("Sign-ups of the spring", "blank").await;
        assert_accessible(desk, "funnel-edit-blank").await;
        photograph_as(&desk.page, "dashboard-funnel-edit-blank").await;

        // Two steps that nothing joins, and a third behind the second.
        desk.click("[data-add=page]").await;
        desk.fill("#n-name", "Landing page").await;
        desk.fill("#n-page", "https://shop.example.org/").await;
        let ground = desk.middle("#canvas").await;
        let empty = (ground.0 + 60.0, ground.1 + 160.0);
        desk.drag(empty, empty).await;
        assert_eq!(desk.text("#panel").await, "", "nothing is selected");
        desk.click("[data-add=action]").await;
        desk.fill("#n-name", "Asks for a trial").await;
        desk.choose("#n-trigger", "click").await;
        desk.fill("#n-selector", "#trial").await;
        desk.click("[data-add=conversion]").await;
        desk.fill("#n-name", "Signed up").await;
        desk.choose("#n-trigger", "event").await;
        desk.fill("#n-event", "signup").await;
        let drawn = desk.drawn().await;
        assert_eq!(drawn["nodes"].as_array().unwrap().len(), 3, "{drawn}");
        assert_eq!(drawn["nodes"][1][2], "https://shop.example.org/".trim_start_matches("https://"));
        assert_eq!(drawn["ways"], json!(["Way from “Asks for a trial” to “Signed up”"]));

        // What is missing stands at the step, and in a list that leads to it.
        desk.click("[data-do=save]").await;
        desk.wait_for("#save-state[data-state=saved]").await;
        desk.wait_for(".node[data-faulty]").await;
        photograph_as(&desk.page, "dashboard-funnel-edit-faults").await;
        assert_accessible(desk, "funnel-edit-faults").await;
        desk.click("#faults .link-button").await;
        let selected = desk.run("return document.querySelector('.node[aria-current=true]').matches('[data-faulty]');").await;
        assert_eq!(selected, json!(true));
        assert!(!desk.text("#panel .callout").await.is_empty());

        // A way by dragging, from the exit of a step to another one.
        desk.click("[data-do=fit]").await;
        let landing = desk.step("Landing page").await;
        let trial = desk.step("Asks for a trial").await;
        let from = desk.middle(&format!("{landing} .exit .dot")).await;
        let to = desk.middle(&format!("{trial} .box")).await;
        desk.drag(from, to).await;
        assert_eq!(desk.said().await, "Joined “Landing page” to “Asks for a trial”.");
        assert_eq!(desk.drawn().await["ways"].as_array().unwrap().len(), 2);
        // Once is enough, and nothing leads to itself or to nowhere.
        desk.drag(from, to).await;
        assert!(desk.said().await.contains("already"), "{}", desk.said().await);
        desk.drag(from, empty).await;
        assert_eq!(desk.drawn().await["ways"].as_array().unwrap().len(), 2);

        // A step is moved by dragging it, and only it; that is undone and done again.
        let before = desk.drawn().await;
        let at = desk.middle(&format!("{landing} .box")).await;
        desk.drag(at, (at.0 + 40.0, at.1 - 90.0)).await;
        let moved = desk.drawn().await;
        assert_ne!(moved, before);
        desk.click("[data-do=undo]").await;
        assert_eq!(desk.drawn().await, before);
        desk.click("[data-do=redo]").await;
        assert_eq!(desk.drawn().await, moved);

        // The ground moves the view, the wheel scales it, and neither changes the funnel.
        let view = "return document.querySelector('#world').getAttribute('transform');";
        let (from, was) = (desk.middle("#canvas").await, desk.run(view).await);
        desk.drag((from.0, from.1 + 170.0), (from.0 + 50.0, from.1 + 140.0)).await;
        let panned = desk.run(view).await;
        assert_ne!(panned, was);
        desk.click(&format!("{landing} .box")).await;
        desk.wheel(from, -240.0).await;
        samplit_tests::eventually(async || desk.run(view).await != panned).await;
        assert_eq!(desk.drawn().await, moved);
        desk.click("[data-do=fit]").await;

        // Whoever leaves now is warned; after saving it comes back as it was.
        assert_eq!(desk.text("#save-state").await, "Not saved yet");
        let asks = "const event = new Event('beforeunload', { cancelable: true });
                    dispatchEvent(event); return event.defaultPrevented;";
        assert_eq!(desk.run(asks).await, json!(true));
        desk.save_by("Ctrl+s").await;
        assert_eq!(desk.run(asks).await, json!(false));
        desk.wait_for("#faults [data-none]:not([hidden])").await;
        desk.open(&format!("/funnels/{id}/edit")).await;
        desk.wait_for("#nodes .node").await;
        assert_eq!(desk.drawn().await, moved);
        photograph_as(&desk.page, "dashboard-funnel-edit").await;

        // A change that is not saved yet is saved before it starts.
        desk.click(&format!("{landing} .box")).await;
        desk.fill("#n-name", "Start page").await;
        desk.press("Activate").await;
        desk.arrive(&format!("/funnels/{id}")).await;
        assert_eq!(desk.text(".meta .badge").await, "active");
        desk.open(&format!("/funnels/{id}/edit")).await;
        desk.wait_for("#nodes .node").await;
        let start = desk.step("Start page").await;
        assert_accessible(desk, "funnel-edit-active").await;
        // Its steps are fixed now; where they stand is not.
        let at = desk.middle(&format!("{start} .box")).await;
        desk.drag(at, (at.0, at.1 + 60.0)).await;
        desk.stroke("Delete").await;
        assert!(desk.said().await.contains("Duplicate the funnel"));
        assert_eq!(desk.drawn().await["nodes"].as_array().unwrap().len(), 3);
        desk.save_by("Ctrl+s").await;
    })
    .await;
}

#[tokio::test]
async fn a_funnel_is_drawn_by_keyboard_alone() {
    at_the_desk(async |desk| {
        desk.enter(EMAIL, Role::Client).await;
        desk.new_funnel("By keyboard", "blank").await;
        // From the top of the page to the first button of the toolbar.
        desk.run("document.querySelector('[data-add=page]').focus();")
            .await;
        desk.stroke("Enter").await;
        samplit_tests::eventually(async || desk.focused().await == "New page").await;
        // Enter leads to the settings, Escape back to the step.
        desk.stroke("Enter").await;
        assert_eq!(desk.focused().await, "n-name");
        desk.stroke("Ctrl+a").await;
        desk.type_text("Start").await;
        desk.stroke("Tab").await;
        assert_eq!(desk.focused().await, "n-page");
        desk.type_text("https://shop.example.org/").await;
        desk.stroke("Escape").await;
        assert_eq!(desk.focused().await, "Start");
        // Arrows move it; all of that is one step back.
        let before = desk.drawn().await;
        for _ in 0..3 {
            desk.stroke("ArrowDown").await;
        }
        desk.stroke("Shift+ArrowRight").await;
        let moved = desk.drawn().await;
        assert_ne!(moved, before);
        desk.stroke("Ctrl+z").await;
        assert_eq!(desk.drawn().await, before);
        assert_eq!(desk.said().await, "Undone: moved “Start”.");
        desk.stroke("Ctrl+y").await;
        assert_eq!(desk.drawn().await, moved);

        desk.run("document.querySelector('[data-add=conversion]').focus();")
            .await;
        desk.stroke("Enter").await;
        samplit_tests::eventually(async || desk.focused().await == "New conversion").await;
        assert_eq!(desk.drawn().await["ways"].as_array().unwrap().len(), 1);
        // The way is taken away by its button beside the step, and drawn again with C, Tab and Enter.
        let start = desk.step("Start").await;
        desk.run(&format!("document.querySelector(\"{start}\").focus();"))
            .await;
        desk.run("document.querySelector('.ways-do .quiet').focus();")
            .await;
        desk.stroke("Enter").await;
        assert_eq!(desk.drawn().await["ways"], json!([]));
        assert_eq!(desk.focused().await, "Start");
        desk.stroke("c").await;
        assert!(desk.said().await.starts_with("Where does “Start” lead?"));
        desk.stroke("Tab").await;
        assert_eq!(desk.focused().await, "New conversion");
        desk.stroke("Enter").await;
        assert_eq!(
            desk.drawn().await["ways"],
            json!(["Way from “Start” to “New conversion”"])
        );

        // The condition of the way.
        desk.stroke("Enter").await;
        assert_eq!(desk.focused().await, "e-type");
        desk.choose("#e-type", "segment").await;
        desk.fill("#e-key", "device").await;
        desk.fill("#e-value", "mobile").await;
        assert_eq!(
            desk.drawn().await["ways"],
            json!(["Way from “Start” to “New conversion”, if device = mobile"])
        );
        desk.stroke("Escape").await;
        // Gone, and back again.
        desk.run(&format!("document.querySelector(\"{start}\").focus();"))
            .await;
        desk.stroke("Delete").await;
        assert_eq!(desk.drawn().await["nodes"].as_array().unwrap().len(), 1);
        assert_eq!(desk.said().await, "Removed “Start” with its ways.");
        desk.stroke("Ctrl+z").await;
        assert_eq!(desk.drawn().await["nodes"].as_array().unwrap().len(), 2);
        let complete = desk.drawn().await;
        desk.save_by("Ctrl+s").await;
        let place = desk.place().await;
        desk.open(&place).await;
        desk.wait_for("#nodes .node").await;
        assert_eq!(desk.drawn().await, complete);
    })
    .await;
}

#[tokio::test]
async fn nobody_saves_over_what_somebody_else_has_saved() {
    at_the_desk(async |desk| {
        desk.enter(EMAIL, Role::Client).await;
        let id = desk.new_funnel("Two at once", "signup").await;
        // Another tab renames it meanwhile.
        let rename = format!(
            "return fetch('/v1/funnels/{id}', {{ method: 'PATCH', headers: {{ 'content-type': 'application/json' }},
               body: JSON.stringify({{ name: 'Renamed' }}) }}).then((answer) => answer.status);"
        );
        assert_eq!(desk.run(&rename).await, json!(200));
        desk.click("[data-add=wait]").await;
        desk.stroke("Ctrl+s").await;
        desk.wait_for("#conflict:not([hidden])").await;
        assert_accessible(desk, "funnel-edit-conflict").await;
        photograph_as(&desk.page, "dashboard-funnel-edit-conflict").await;
        assert_eq!(desk.text("#save-state").await, "Not saved yet");
        desk.press("Save mine over theirs").await;
        desk.wait_for("#save-state[data-state=saved]").await;
        let steps = desk.drawn().await["nodes"].as_array().unwrap().len();
        desk.open(&format!("/funnels/{id}/edit")).await;
        desk.wait_for("#nodes .node").await;
        assert_eq!(desk.drawn().await["nodes"].as_array().unwrap().len(), steps);

        // Signed out meanwhile: nothing is lost, and it says so.
        desk.click("[data-add=wait]").await;
        desk.forget_cookies().await;
        desk.stroke("Ctrl+s").await;
        desk.wait_for("#trouble:not([hidden])").await;
        assert!(desk.text("#trouble").await.contains("Sign in again"));
        assert_eq!(desk.drawn().await["nodes"].as_array().unwrap().len(), steps + 1);
        let link = desk.engine.sign_in_link(&Principal::system(), EMAIL).await;
        let join = format!(
            "return fetch({}, {{ method: 'POST', body: new URLSearchParams() }}).then((answer) => answer.ok);",
            json!(link.unwrap().path.unwrap())
        );
        assert_eq!(desk.run(&join).await, json!(true));
        desk.save_by("Ctrl+s").await;
    })
    .await;
}

#[tokio::test]
async fn a_funnel_begins_with_a_template_and_ends_by_its_name() {
    at_the_desk(async |desk| {
        desk.enter(EMAIL, Role::Client).await;
        let id = desk.new_funnel("Checkout of the shop", "shop").await;
        assert_eq!(desk.drawn().await["nodes"].as_array().unwrap().len(), 5);
        photograph_as(&desk.page, "dashboard-funnel-edit-shop").await;
        // A template can start as it is.
        desk.wait_for("#faults [data-none]:not([hidden])").await;
        desk.fill("#f-name", "Checkout").await;
        desk.press("Save the settings").await;
        desk.wait_for(".notice").await;
        desk.press("Activate").await;
        desk.arrive(&format!("/funnels/{id}")).await;
        assert_eq!(desk.text("h1").await, "Checkout");
        assert!(desk.text(".verdict .headline").await.contains("Nobody"));
        photograph_as(&desk.page, "dashboard-funnel-active").await;

        desk.press("Pause").await;
        desk.wait_for(".badge[data-status=paused]").await;
        desk.press("Resume").await;
        desk.wait_for(".badge[data-status=active]").await;
        desk.press("Duplicate").await;
        desk.wait_for("#editor:not([hidden])").await;
        assert_eq!(desk.text(".meta .badge").await, "draft");

        desk.open(&format!("/funnels/{id}")).await;
        desk.click("details.danger > summary").await;
        desk.fill("#f-confirm", "Check").await;
        desk.press("Archive the funnel").await;
        desk.wait_for("#f-confirm-error").await;
        desk.fill("#f-confirm", "Checkout").await;
        desk.press("Archive the funnel").await;
        desk.wait_for(".badge[data-status=archived]").await;
        let left = desk
            .page
            .find(Locator::Css("#lifecycle form[action$=archive]"))
            .await;
        assert!(left.is_err(), "it cannot be archived twice");
    })
    .await;
}

#[tokio::test]
async fn what_came_of_a_funnel_is_told_and_drawn() {
    at_the_desk(async |desk| {
        let who = desk.enter(EMAIL, Role::Client).await;
        let draft = samplit_tests::draft(&[2]);
        let experiment = desk.engine.create_experiment(&who, draft).await.unwrap();
        let start = samplit_engine::Transition::Start;
        let winner = Default::default();
        let running = desk
            .engine
            .transition(&who, experiment.id, start, winner, None);
        let running = running.await.unwrap();
        let funnel = busy_funnel(desk, &who, &running).await;
        let results = desk
            .engine
            .funnel_results(&who, funnel.id, Some(running.id))
            .await
            .unwrap();
        assert_eq!(results.entered, u64::from(CROWD));

        desk.open(&format!("/funnels/{}", funnel.id)).await;
        let headline = desk.text(".verdict .headline").await;
        let expected = format!("{} of 1200 visitors have converted", results.converted);
        assert!(headline.starts_with(&expected), "{headline}");
        assert!(desk.text(".verdict").await.contains("Most are lost at “Start page”"));
        // The table says of each step what the engine counted, and the worst one is marked.
        let table = desk.text("section[aria-labelledby=steps] table").await;
        for step in &results.steps {
            let name = &funnel.canvas.node(step.node_id).unwrap().name;
            let row = table.lines().skip_while(|line| !line.contains(name.as_str()));
            let row: Vec<&str> = row.take(3).collect();
            assert!(row.join(" ").contains(&step.reached.to_string()), "{name}: {row:?}");
        }
        let worst = desk.run("return document.querySelectorAll('td.worst').length;").await;
        assert_eq!(worst, json!(1));
        // A band per way that somebody took, drawn for wide and for narrow screens, and told in words.
        let bands = "return ['.wide', '.narrow'].map((size) => document.querySelectorAll(`.stream ${size} .flow`).length);";
        let taken = results.flows.len();
        assert_eq!(desk.run(bands).await, json!([taken, taken]));
        let alt = "return document.querySelector('.stream').getAttribute('aria-label');";
        let alt = desk.run(alt).await;
        assert!(alt.as_str().unwrap().contains("“Signed up” by"), "{alt}");
        let variants = desk.text("section[aria-labelledby=variants]").await;
        let of_b = &results.experiments[0].variants[1];
        assert!(variants.contains(&of_b.converted.to_string()), "{variants}");
        assert_accessible(desk, "funnel-results").await;
        photograph_as(&desk.page, "dashboard-funnel-results").await;

        desk.open("/funnels").await;
        let row = desk.text("tbody tr").await;
        for part in ["From the start page", "active", "1200", &results.converted.to_string()] {
            assert!(row.contains(part), "{part}: {row}");
        }
        photograph_as(&desk.page, "dashboard-funnels").await;
    })
    .await;
}
