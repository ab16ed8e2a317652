//! Owns the advice for machines that set-up does not change by itself: each missing thing by name,
//! and the command that gets it.

use std::fmt::Write as _;

use super::{
    distribution::{Distribution, Family},
    needs::Missing,
};

/// The usual way to a compiler for eBPF, wherever rustup can fetch.
pub(crate) const NIGHTLY: &str = "rustup toolchain install nightly --component rust-src";

/// bpf-linker's own advice: a build from source wants one exact LLVM.
const LINKER: &str = "cargo install cargo-binstall && cargo binstall bpf-linker";

/// A text of several lines: the first says what is wrong, then a line for each missing thing.
pub(crate) fn advice(missing: &Missing, distribution: &Distribution) -> String {
    let mut text = format!(
        "set-up installs by itself on Debian 12 and later; on {} please install:",
        distribution.name
    );
    let mut say = |what: &str, why: &str, command: &str| {
        // Writing to a String cannot fail.
        let _ = write!(text, "\n  {what} ({why}):\n      {command}");
    };
    if missing.compiler {
        say("a compiler for eBPF", "compiles the kernel side", NIGHTLY);
    }
    if missing.linker {
        say("bpf-linker", "links the kernel side", LINKER);
    }
    if missing.link {
        let command = "rustup toolchain link bpf-debian /usr";
        say("the name bpf-debian", "how rustup calls the compiler in /usr", command);
    }
    let family = distribution.family;
    if missing.cc {
        let package = if family == Family::Apk { "build-base" } else { "gcc" };
        say("cc", "links programs of the host", &install(family, package));
    }
    if missing.clippy {
        // Only Debian's compiler is ever asked for its own clippy.
        say("clippy for eBPF", "lints the kernel side", &install(family, "rust-web-clippy"));
    }
    for tool in &missing.tools {
        say(tool.program, tool.why, &install(family, tool.package(family)));
    }
    text
}

fn install(family: Family, package: &str) -> String {
    let manager = match family {
        Family::Debian | Family::Apt => "apt-get install",
        Family::Dnf => "dnf install",
        Family::Pacman => "pacman -S",
        Family::Apk => "apk add",
        Family::Zypper => "zypper install",
        Family::Unknown => return format!("your package manager's package of {package}"),
    };
    format!("sudo {manager} {package}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ebpf::Found, setup::Options};

    const TESTS: Options =
        Options { tests: true, lint: false, bench: false, vm: false, cross: false, dry_run: false };

    fn on(family: Family, missing: &Missing) -> String {
        advice(missing, &Distribution { family, name: "Examplix 1".to_owned() })
    }

    #[test]
    fn each_missing_thing_has_the_command_that_gets_it() {
        let missing = Missing::find(&Found::default(), None, &TESTS, |program| {
            !["cc", "wrk", "ip"].contains(&program)
        });
        let text = on(Family::Dnf, &missing);
        assert!(text.contains("on Examplix 1 please install"), "{text}");
        for command in
            [NIGHTLY, LINKER, "dnf install gcc", "dnf install wrk", "dnf install iproute"]
        {
            assert!(text.contains(command), "no `{command}` in {text}");
        }
        assert!(on(Family::Pacman, &missing).contains("sudo pacman -S iproute2"));
        assert!(on(Family::Apk, &missing).contains("sudo apk add build-base"));
        assert!(on(Family::Zypper, &missing).contains("sudo zypper install wrk"));
        assert!(on(Family::Unknown, &missing).contains("your package manager's package of wrk"));
    }

    #[test]
    fn what_is_there_is_not_named() {
        let found = Found { nightly_with_source: true, ..Found::default() };
        let compiler = crate::ebpf::Compiler::Nightly;
        let text = on(Family::Pacman, &Missing::find(&found, Some(&compiler), &TESTS, |_| true));
        assert!(text.contains("bpf-linker"), "{text}");
        assert!(!text.contains("rust-src") && !text.contains("pacman"), "{text}");
    }
}
