//! `docs/recipes/ndjson-and-jq.md`, command by command: each prints what stands below it. Recipes
//! that need a live capture are played in `tests/live/recipes.rs`.

#[path = "common/pcap.rs"]
mod pcap;
#[path = "common/recipe.rs"]
mod recipe;

use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use recipe::{blocks, shape};

const JQ: &str = include_str!("../../docs/recipes/ndjson-and-jq.md");

#[test]
fn what_jq_prints_is_what_the_recipe_shows() {
    if Command::new("jq").arg("--version").output().is_err() {
        let required = std::env::var("OBSERVER_REQUIRE_LIVE").is_ok_and(|value| value == "1");
        assert!(!required, "needs jq, and OBSERVER_REQUIRE_LIVE=1");
        // Not `println!`: libtest captures that, and a skip must be seen.
        let mut out = std::io::stdout().lock();
        let _ = writeln!(out, "SKIP recipes: needs jq: run `cargo xtask setup --tests`");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("capture.pcap"), capture()).unwrap();
    let mut n_commands = 0;
    for block in blocks(JQ, "console") {
        let (command, shown) = block.split_once('\n').unwrap();
        let command = command.strip_prefix("$ ").unwrap();
        assert!(!shown.is_empty(), "shows nothing: {command}\n{}", run(command, folder.path()));
        assert_eq!(run(command, folder.path()), shown, "{command}");
        n_commands += 1;
    }
    assert_eq!(n_commands, 5);
}

/// Runs a line of shell in which `observer` is the one under test.
fn run(command: &str, folder: &Path) -> String {
    let binary = Path::new(env!("CARGO_BIN_EXE_observer"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = binary.parent().map(Path::to_owned).into_iter();
    let path = std::env::join_paths(folders.chain(std::env::split_paths(&path))).unwrap();
    let mut shell = Command::new("sh");
    let output = shell.args(["-c", command]).current_dir(folder).env("PATH", path).output();
    let output = output.unwrap();
    assert!(output.stderr.is_empty(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A visit to a shop that ends without an answer.
fn capture() -> Vec<u8> {
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: shop.example\r\n\r\n");
    let answer = |status: &str, body: &str| {
        format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
    };
    let post = "POST /orders HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 8\r\n\r\n{\"id\":7}";
    let turns = [
        get("/"),
        answer("200 OK", "welcome"),
        get("/goods"),
        answer("200 OK", &"goods ".repeat(100)),
        post.to_owned(),
        answer("503 Service Unavailable", "later"),
        post.to_owned(),
        answer("201 Created", ""),
        get("/orders/7"),
    ];
    pcap::pcap(&turns.each_ref().map(String::as_str))
}

#[test]
fn the_shape_of_an_output_leaves_out_what_differs() {
    let text = "07:07:56.901  127.0.0.1:44734 → 127.0.0.1:8080  GET  x/  200 ↓ 6B  225µs, 1.5ms;";
    assert_eq!(shape(text), ["* * → 127.0.0.1:8080 GET x/ 200 ↓ 6B * *"]);
}
