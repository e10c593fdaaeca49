//! What an experiment has learned, as a client sees it: evidence, segments, forecasts.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the answer")]

use samplit_http::HttpConfig;
use serde_json::{Value as Json, json};

use crate::support::{Server, draft, server};

/// Two elements, drawn each for itself or as one of four combinations.
fn page(mode: &str) -> Json {
    let mut second = draft()["elements"][0].clone();
    second["name"] = json!("title");
    json!({
        "name": "Page",
        "allocation": {"mode": mode},
        "elements": [draft()["elements"][0], second],
    })
}

/// A running experiment of `draft` with 40 visitors, half of them on phones, every fourth converted.
async fn visited(server: &Server, draft: &Json) -> String {
    let path = format!("/v1/experiments/{}", server.create(draft).await);
    server.post(&format!("{path}/start"), &json!({})).await;
    let visitor = |n: usize| format!("visitor-{n}");
    let assigns = (0..40).map(|n| {
        let device = if n % 2 == 0 { "phone" } else { "desk" };
        json!({"visitor_id": visitor(n), "context": {"device": device}})
    });
    let converts = (0..10).map(|n| json!({"visitor_id": visitor(4 * n)}));
    for (verb, requests) in [
        ("assign", assigns.collect::<Vec<_>>()),
        ("convert", converts.collect()),
    ] {
        let batch = json!({"requests": requests});
        let answer = server.post(&format!("{path}/{verb}/batch"), &batch).await;
        let results = answer.json()["results"].clone();
        let mut statuses = results
            .as_array()
            .unwrap()
            .iter()
            .map(|result| &result["status"]);
        assert!(statuses.all(|status| *status == 200), "{results}");
    }
    path
}

async fn get(server: &Server, path: String) -> Json {
    let answer = server.get(&path).await;
    assert_eq!(answer.summary(), "200", "{path}");
    answer.json()
}

/// The names of an object's members.
fn names(json: &Json) -> Vec<&str> {
    json.as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect()
}

fn sum(of: &Json, name: &str) -> u64 {
    let items = of.as_array().unwrap().iter();
    items.map(|item| item[name].as_u64().unwrap()).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn results_say_all_that_is_known() {
    let (server, _database) = server(HttpConfig::default()).await;
    let mut fixed = draft();
    fixed["allocation_strategy"] = json!("fixed");
    fixed["goals"] = json!([{"name": "sale", "kind": "value"}]);
    for (index, weight) in [0.3, 0.7].into_iter().enumerate() {
        fixed["elements"][0]["variants"][index]["weight"] = json!(weight);
    }
    let path = visited(&server, &fixed).await;
    let results = get(&server, format!("{path}/results")).await;
    let element = &results["elements"][0];
    assert_eq!(
        names(element),
        ["arms", "effects", "name", "sample_ratio", "stopping"]
    );
    assert_eq!(element["effects"], json!([]));

    let (control, other) = (&element["arms"][0], &element["arms"][1]);
    for name in ["p_beats_control", "lift", "expected_gain_per_1000"] {
        assert!(control[name].is_null() && !other[name].is_null(), "{name}");
    }
    assert!(control["posterior_sd"].as_f64().unwrap() > 0.0);
    assert_eq!(names(&other["lift"]), ["interval", "median"]);
    assert_eq!(
        names(&other["value"]),
        [
            "credible_interval",
            "deviation",
            "effective_conversions",
            "expected_loss",
            "mean",
            "p_best",
            "per_conversion",
            "versus_control"
        ]
    );
    assert_eq!(
        names(&other["evidence"]),
        ["adaptive", "always_valid", "versus_control", "wilson"]
    );
    assert!(control["evidence"]["versus_control"].is_null());
    assert_eq!(
        names(&other["evidence"]["versus_control"]),
        [
            "adaptive",
            "always_valid",
            "excludes_zero",
            "newcombe",
            "p_value"
        ]
    );

    let ratio = &element["sample_ratio"];
    let observed: u64 = ratio["observed"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Json::as_u64)
        .sum();
    assert_eq!((observed, &ratio["leaked"]), (40, &json!(0)));
    assert_eq!(ratio["expected"], json!([12.0, 28.0]));
    assert_ne!(ratio["verdict"], "too_early");

    let stopping = &element["stopping"];
    let parts = ["conditions", "days", "leader", "may_stop", "missing"];
    assert_eq!(names(stopping), parts);
    let position = stopping["leader"]["position"].as_u64().unwrap();
    let leader = &element["arms"][usize::try_from(position).unwrap()];
    assert_eq!(leader["name"], stopping["leader"]["name"]);
    assert!(leader["p_best"].as_f64().unwrap() >= 0.5);
    assert_eq!(stopping["may_stop"], false);
    assert!(!stopping["missing"].as_array().unwrap().is_empty());
    let conditions = stopping["conditions"].as_array().unwrap();
    let codes: Vec<_> = conditions.iter().map(|one| &one["code"]).collect();
    assert_eq!(codes, ["visitors_per_arm", "days", "expected_loss"]);
    let visitors = &conditions[0];
    let arms = element["arms"].as_array().unwrap().iter();
    let fewest = arms.filter_map(|arm| arm["assignments"].as_f64());
    let fewest = fewest.min_by(f64::total_cmp);
    assert_eq!(
        (visitors["now"].as_f64(), &visitors["goal"]),
        (fewest, &json!(1000.0))
    );
    assert_eq!(visitors["is_met"], false);
    let progress = visitors["progress"].as_f64();
    assert_eq!(progress, fewest.map(|fewest| fewest / 1000.0));
    let all_met = conditions.iter().all(|one| one["is_met"] == true);
    assert_eq!(stopping["may_stop"], all_met);
}

#[tokio::test(flavor = "multi_thread")]
async fn results_and_timeline_agree_on_the_past() {
    let (server, _database) = server(HttpConfig::default()).await;
    let mut quick = draft();
    quick["allocation"] = json!({"warm_up": 1});
    let path = visited(&server, &quick).await;
    // An odd number of conversions differs between two arms, so the next visitor finds new weights.
    for (verb, visitor) in [("convert", "visitor-1"), ("assign", "late")] {
        let (path, body) = (format!("{path}/{verb}"), json!({"visitor_id": visitor}));
        assert_eq!(server.post(&path, &body).await.summary(), "200");
    }

    let plain = get(&server, format!("{path}/timeline")).await;
    let timeline = get(&server, format!("{path}/timeline?evidence=true")).await;
    let points = timeline["data"].as_array().unwrap();
    assert!(points.len() > 1, "{timeline}");
    let mut before = 0;
    for (point, plain) in points.iter().zip(plain["data"].as_array().unwrap()) {
        assert_eq!(point["weights_ppb"], plain["weights_ppb"]);
        assert!(plain.get("arms").is_none());
        let seq = &point["snapshot_seq"];
        let then = get(&server, format!("{path}/results?as_of={seq}")).await;
        assert_eq!(
            (&then["snapshot_seq"], &then["visitors"]),
            (seq, &json!(before))
        );
        before += sum(&point["arms"][0], "assignments");
        assert_eq!(sum(&point["arms"][0], "cumulative_assignments"), before);
    }
    assert_eq!(before, 41);
    let last = &points[points.len() - 1]["arms"][0];
    assert_eq!(sum(last, "cumulative_conversions"), 11);
    assert_eq!(names(&last[0]["always_valid"]), ["estimate", "interval"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn visitors_can_be_told_apart_afterwards() {
    let (server, _database) = server(HttpConfig::default()).await;
    let path = visited(&server, &page("independent")).await;

    let segments = get(&server, format!("{path}/segments?key=device")).await;
    assert_eq!(segments["key"], "device");
    assert!(segments["warning"].as_str().unwrap().ends_with('.'));
    // Twenty visitors of a segment are too few to compare anything.
    assert_eq!(segments["comparisons"], 0);
    let data = segments["data"].as_array().unwrap();
    let mut values: Vec<_> = data
        .iter()
        .map(|one| one["value"].as_str().unwrap())
        .collect();
    values.sort_unstable();
    assert_eq!(values, ["desk", "phone"]);
    for segment in data {
        assert_eq!(segment["is_rest"], false);
        // Every visitor is in both draws; all who converted came by phone.
        let converted = if segment["value"] == "phone" { 10 } else { 0 };
        for element in segment["elements"].as_array().unwrap() {
            assert_eq!(
                (sum(element, "assignments"), sum(element, "conversions")),
                (20, converted)
            );
        }
    }
    let absent = get(&server, format!("{path}/segments?key=country")).await;
    assert_eq!(absent["data"][0]["value"], json!(null));

    let combinations = get(&server, format!("{path}/combinations")).await["data"].clone();
    assert_eq!(sum(&combinations, "assignments"), 40);
    assert_eq!(sum(&combinations, "conversions"), 10);
    let name = combinations[0]["name"].as_str().unwrap();
    assert!(name.contains(" + "), "{name}");

    // As one draw among combinations, effects are told instead.
    let path = visited(&server, &page("factorial")).await;
    let results = get(&server, format!("{path}/results")).await;
    let effects = results["elements"][0]["effects"].as_array().unwrap();
    let variants = effects
        .iter()
        .map(|effect| effect["variants"].as_array().unwrap().len());
    assert_eq!(variants.collect::<Vec<_>>(), [1, 1, 2]);
    assert_eq!(
        names(&effects[0]),
        ["effect", "interval", "name", "stands_out", "variants"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn other_splits_are_judged_on_what_was_logged() {
    let (server, _database) = server(HttpConfig::default()).await;
    let path = visited(&server, &draft()).await;
    let what_if = async |query: &str| get(&server, format!("{path}/what-if?{query}")).await;

    // Warm-up weights are even, so an even split is what was done.
    let even = what_if("policy=even").await;
    assert_eq!(even["shares"], json!([0.5, 0.5]));
    assert_eq!(
        (&even["logged_rate"], &even["ips"]["estimate"]),
        (&json!(0.25), &json!(0.25))
    );
    assert_eq!(even["effective_sample_size"], 40.0);
    assert_eq!(what_if("shares=0.5,0.5&element=0").await, even);
    let thompson = what_if("policy=thompson&floor=0.1").await;
    let least = thompson["shares"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Json::as_f64);
    assert!(least.fold(1.0, f64::min) >= 0.1, "{thompson}");
    assert_eq!(names(&thompson["doubly_robust"]), ["estimate", "interval"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forecast_repeats_itself_and_takes_an_experiment_as_its_example() {
    let (server, _database) = server(HttpConfig::default()).await;
    let forecast = async |body: Json| {
        let answer = server.post("/v1/forecast", &body).await;
        assert_eq!(answer.summary(), "200", "{}", answer.text());
        answer.json()
    };
    let short = json!({"rates": [0.05, 0.5], "visitors_per_day": 500, "days": 10});
    let told = forecast(short.clone()).await;
    assert_eq!(
        names(&told),
        [
            "classical_days",
            "classical_visitors_per_arm",
            "days",
            "gained",
            "regret",
            "right_choice",
            "runs",
            "shares",
            "stopped"
        ]
    );
    assert!(told["right_choice"].as_f64().unwrap() > 0.99, "{told}");
    let mut spelt_out = short;
    for (name, value) in [
        ("allocation_strategy", json!("adaptive")),
        (
            "allocation",
            json!({"policy": "thompson", "floor": 0.01, "warm_up": 100}),
        ),
        ("stop_at_p_best", json!(0.95)),
        ("min_visitors_per_arm", json!(1000)),
        ("min_days", json!(7)),
        ("seed", json!(1)),
    ] {
        spelt_out[name] = value;
    }
    assert_eq!(forecast(spelt_out).await, told);

    let mut fixed = draft();
    fixed["allocation_strategy"] = json!("fixed");
    let path = visited(&server, &fixed).await;
    let id = path.rsplit('/').next().unwrap();
    let results = get(&server, format!("{path}/results")).await;
    let arms = results["elements"][0]["arms"].as_array().unwrap();
    let rates: Vec<_> = arms.iter().map(|arm| &arm["posterior_mean"]).collect();
    let like = json!({"like_experiment": id, "visitors_per_day": 100, "days": 8});
    let same = json!({
        "rates": rates, "allocation_strategy": "fixed", "visitors_per_day": 100, "days": 8
    });
    // Reading a number from JSON may cost its last digit, and that a draw of the simulation.
    let (like, same) = (forecast(like).await, forecast(same).await);
    for pointer in ["/regret/mean", "/shares/0"] {
        let of = |told: &Json| told.pointer(pointer).unwrap().as_f64().unwrap();
        let ratio = of(&like) / of(&same);
        assert!((ratio - 1.0).abs() < 0.001, "{pointer}: {like} {same}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_split_is_not_judged_on_hardly_anybody() {
    let (server, _database) = server(HttpConfig::default()).await;
    let path = server.started().await;
    let ask = async |shares: &str| {
        let answer = server.get(&format!("{path}/what-if?shares={shares}")).await;
        answer.summary()
    };
    let assign = async |visitor: &str| {
        let body = json!({"visitor_id": visitor});
        let answer = server.post(&format!("{path}/assign"), &body).await;
        answer.json()["variants"][0]["variant"] == "grey"
    };
    let first = assign("visitor-0").await;
    assert_eq!(ask("0.5,0.5").await, "409 no_visitors");
    // A second one of the same arm: of the other arm nothing is known.
    let mut number = 0;
    loop {
        number += 1;
        let is_same = assign(&format!("visitor-{number}")).await == first;
        let (own, other) = if first {
            ("1,0", "0,1")
        } else {
            ("0,1", "1,0")
        };
        assert_eq!(ask(own).await, "200");
        assert_eq!(ask("0.5,0.5").await, "200");
        if !is_same {
            assert_eq!(ask(other).await, "200");
            break;
        }
        assert_eq!(ask(other).await, "409 no_visitors");
    }
}
