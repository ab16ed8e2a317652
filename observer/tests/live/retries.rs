//! The example of a proxy that retries, played in a namespace: every attempt is seen, and the
//! example fails when one is missing.

#[expect(dead_code, reason = "its `main` is for people")]
#[path = "../../examples/proxy_retries.rs"]
mod example;

use example::Story;

use crate::harness::can_run;
use crate::harness::namespace::Namespace;
use crate::recipe::{blocks, shape};

const RECIPE: &str = include_str!("../../../docs/recipes/every-attempt-behind-a-proxy.md");

#[test]
fn every_attempt_of_a_retrying_proxy_is_seen_where_its_log_has_one_line() {
    if !can_run("retries::all", &["nginx"]) {
        return;
    }
    let namespace = Namespace::new();
    let story = namespace.inside(|| Story::play("error timeout http_503")).unwrap();
    story.check().unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(story.access_log, "PUT /orders/7 200\n");
    assert_eq!(story.exchanges.len(), 4, "{story}");

    let [shown] = &blocks(RECIPE, "output")[..] else { panic!("one block") };
    assert_eq!(shape(&story.to_string()), shape(shown), "the recipe shows something else");

    // What the check is worth: without any one of them it fails and names it.
    for n in 0..story.exchanges.len() {
        let mut exchanges = story.exchanges.clone();
        let summary = exchanges.remove(n).summary();
        let error = Story { exchanges, access_log: String::new(), ..story }.check().unwrap_err();
        assert!(error.to_string().starts_with(&format!("missing: {summary}")), "{error}");
    }
}

#[test]
fn a_proxy_that_does_not_retry_fails_the_example() {
    if !can_run("retries::none", &["nginx"]) {
        return;
    }
    let namespace = Namespace::new();
    let story = namespace.inside(|| Story::play("off")).unwrap();
    assert_eq!(story.access_log, "PUT /orders/7 503\n");
    let error = story.check().unwrap_err().to_string();
    assert!(error.starts_with("missing: PUT /orders/7 200 at "), "{error}");
}
