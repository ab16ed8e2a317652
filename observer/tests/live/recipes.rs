//! Recipes in `docs/recipes` that watch something live, played as they stand there.

use crate::harness::can_run;
use crate::harness::go::Sample;
use crate::harness::namespace::Namespace;
use crate::harness::observer::Observer;
use crate::harness::process::Process;
use crate::harness::wait::{LONG, until};
use crate::recipe::{blocks, shape};

const HANDLERS: &str = include_str!("../../../docs/recipes/watching-handlers-from-outside.md");

#[test]
fn handlers_are_watched_from_outside_as_the_recipe_shows() {
    if !can_run("recipes::handlers", &["go", "curl", "nc"]) {
        return;
    }
    let namespace = Namespace::new();
    let sample = Sample::start(&namespace, 8080);
    let server = sample.process.pid().to_string();
    let [watch, clients] = &blocks(HANDLERS, "console")[..] else { panic!("two blocks") };
    // The command of the recipe, without a daemon that somebody may run on this machine.
    let watch = watch.trim().strip_prefix("$ sudo observer ").unwrap();
    let arguments: Vec<_> = watch.split(' ').chain(["--no-daemon", "--color", "never"]).collect();
    let observer = Observer::start(&namespace, &arguments);

    for command in clients.lines().map(|line| line.strip_prefix("$ ").unwrap()) {
        let mut shell = namespace.command("sh");
        shell.args(["-c", command]).env("server", &server);
        let mut shell = Process::start(&mut shell);
        assert!(shell.wait().success(), "{command}: {:?}", shell.stderr.get());
    }
    let [shown] = &blocks(HANDLERS, "observer")[..] else { panic!("one block") };
    let lines = until("every line of the recipe", LONG, || {
        let lines = observer.stdout.get();
        (lines.len() >= shown.lines().count()).then_some(lines)
    });
    // What ends at the same time may come in either order.
    let sorted = |text: &str| {
        let mut lines = shape(text);
        lines.sort();
        lines
    };
    assert_eq!(sorted(&lines.join("\n")), sorted(shown), "{lines:#?}");

    let [wrapper] = &blocks(HANDLERS, "wrapper")[..] else { panic!("one block") };
    let without_time = |line: &str| line.rsplit_once(' ').unwrap().0.to_owned();
    let wrapper: Vec<_> = wrapper.lines().map(without_time).collect();
    assert_eq!(sample.wrapper_lines(), wrapper);

    // Half a second that the handler knows nothing of.
    let late = lines.iter().find(|line| line.contains("/hello/late")).unwrap();
    let ttfb = late.rsplit("ttfb").next().unwrap().trim();
    // A busy machine may take a second and more.
    let in_ms = |text: &str, unit, factor: f64| {
        text.strip_suffix(unit).and_then(|number| number.parse::<f64>().ok()).map(|n| n * factor)
    };
    let ttfb = in_ms(ttfb, "ms", 1.0).or_else(|| in_ms(ttfb, "s", 1000.0));
    let ttfb = ttfb.unwrap_or_else(|| panic!("{late}"));
    let inside = sample.process.stdout.get().last().unwrap().rsplit(' ').next().unwrap().to_owned();
    let inside: f64 = inside.parse().unwrap();
    assert!(ttfb > 400.0 && inside / 1000.0 < ttfb / 2.0, "{late}, {inside} µs in the handler");
}
