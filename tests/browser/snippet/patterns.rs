//! The snippet means the same pages by a pattern as the server.

use serde_json::{Value as Json, json};

use super::site::{on_a_site, open};

const PATTERNS: &str = include_str!("../../../crates/samplit-http/assets/snippet/patterns.js");
const VECTORS: &str =
    include_str!("../../../crates/samplit-domain/tests/vectors/page_patterns.json");

#[tokio::test]
async fn the_vectors_of_the_server_hold() {
    on_a_site(async |page, site| {
        site.page("/", "", "");
        open(page, site, "/", "true").await;
        let script = format!(
            "{PATTERNS}; return arguments[0].filter(([pattern, url, is]) => matchesPage(pattern, url) !== is)"
        );
        let vectors: Json = serde_json::from_str(VECTORS).unwrap();
        assert!(vectors.as_array().is_some_and(|vectors| vectors.len() > 50));
        assert_eq!(page.execute(&script, vec![vectors]).await.unwrap(), json!([]));
    })
    .await;
}
