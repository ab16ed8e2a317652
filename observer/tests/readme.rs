//! The commands of README and recipes, as a reader would type them, against the real command line.
//!
//! clap reads arguments in order, so `--help` behind a command's own arguments prints the help only
//! if everything before it is valid. Nothing is captured and no file is read.

use std::process::Command;

const README: &str = include_str!("../../README.md");
const RECIPES: &[&str] = &[
    include_str!("../../docs/recipes/watching-handlers-from-outside.md"),
    include_str!("../../docs/recipes/every-attempt-behind-a-proxy.md"),
    include_str!("../../docs/recipes/ndjson-and-jq.md"),
    include_str!("../../docs/recipes/why-a-flow-is-not-seen.md"),
];

/// The commands of the fenced console blocks: lines behind `$ `, without their comments.
fn console_lines(text: &str) -> Vec<&str> {
    let mut inside = false;
    let mut commands = Vec::new();
    for line in text.lines() {
        match line.strip_prefix("```") {
            Some(language) => inside = language == "console",
            None if inside => commands.extend(line.strip_prefix("$ ")),
            None => {}
        }
    }
    commands.into_iter().map(|line| line.split(" #").next().unwrap_or(line).trim()).collect()
}

/// The arguments for observer, if the command is one of ours. No quoting: the README needs none.
fn observer_arguments(command: &str) -> Option<Vec<&str>> {
    let command = command.strip_prefix("sudo ").unwrap_or(command);
    let command = command.split(" | ").next().unwrap_or(command);
    let mut words = command.split_whitespace();
    match words.next()? {
        "observer" | "target/release/observer" => Some(words.collect()),
        "cargo" => {
            let rest: Vec<&str> = words.collect();
            let (own, given) = rest.split_at(rest.iter().position(|word| *word == "--")?);
            (own == ["xtask", "run"]).then(|| given[1..].to_vec())
        }
        _ => None,
    }
}

fn is_understood(arguments: &[&str]) -> bool {
    let output = Command::new(env!("CARGO_BIN_EXE_observer"))
        .args(arguments)
        .arg("--help")
        .output()
        .expect("observer starts");
    output.status.success() && String::from_utf8_lossy(&output.stdout).contains("Usage:")
}

#[test]
fn every_observer_command_in_readme_and_recipes_is_understood() {
    let texts = [README].into_iter().chain(RECIPES.iter().copied());
    let commands: Vec<_> = texts.flat_map(console_lines).filter_map(observer_arguments).collect();
    assert!(commands.len() >= 5, "found only {commands:?}");
    for arguments in commands {
        // Without the feature `live` there is nothing but files to read.
        let offline = matches!(arguments.first(), Some(&"read" | &"schema"));
        if cfg!(feature = "live") || offline {
            assert!(is_understood(&arguments), "observer {}", arguments.join(" "));
        }
    }
}

#[test]
fn a_command_that_does_not_exist_is_noticed() {
    assert!(!is_understood(&["read", "x.pcap", "--no-such-flag"]));
    assert!(!is_understood(&["no-such-command"]));
    assert!(!is_understood(&["read", "x.pcap", "-f", "no-such-format"]));
}

#[test]
fn commands_are_found_in_console_blocks_only() {
    let text = "$ a\n```console\n$ sudo observer tail -n 3  # why\noutput\n$ b | c\n```\n$ d\n\
                ```json\n$ e\n```\n";
    assert_eq!(console_lines(text), ["sudo observer tail -n 3", "b | c"]);
    assert_eq!(observer_arguments("sudo observer tail -n 3"), Some(vec!["tail", "-n", "3"]));
    assert_eq!(observer_arguments("cargo xtask run -- read a"), Some(vec!["read", "a"]));
    assert_eq!(observer_arguments("cargo xtask run"), None);
    assert_eq!(observer_arguments("curl -v x"), None);
}
