//! Owns the choice of the compiler for eBPF: what is installed, and which of it is used.
//!
//! Two compilers will do. The usual one is rustup's nightly with the `rust-src` component, which
//! builds `core` for the eBPF target itself. Debian packages the other: the `rustc-web` compiler and
//! a ready `core`, linked into rustup under the name `bpf-debian`. Both need bpf-linker, whose LLVM
//! must not be older than the compiler's.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use crate::runner;

/// observer's build script reads the name of the rustup toolchain for eBPF from here.
pub(crate) const TOOLCHAIN_VARIABLE: &str = "OBSERVER_BPF_TOOLCHAIN";
/// The rustup name that Debian's compiler is linked under.
pub(crate) const DEBIAN_TOOLCHAIN: &str = "bpf-debian";
/// The LLVM that set-up builds bpf-linker against on Debian.
pub(crate) const DEBIAN_LLVM: u32 = 22;

/// What is installed that bears on the choice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// The user named a toolchain in the environment.
    pub(crate) told: Option<String>,
    /// rustup itself.
    pub(crate) rustup: bool,
    /// rustup's nightly has the sources of `core`.
    pub(crate) nightly_with_source: bool,
    /// The major LLVM version of rustup's nightly; asked only when bpf-linker is missing.
    pub(crate) nightly_llvm: Option<u32>,
    /// Debian's compiler with its `core` for eBPF.
    pub(crate) debian_compiler: bool,
    /// rustup knows Debian's compiler as [`DEBIAN_TOOLCHAIN`].
    pub(crate) debian_linked: bool,
    /// clippy of Debian's compiler.
    pub(crate) debian_clippy: bool,
    pub(crate) linker: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Compiler {
    /// The toolchain that the user named.
    Told(String),
    /// rustup's nightly with `rust-src`.
    Nightly,
    /// Debian's, there already or to be installed.
    Debian,
}

impl Compiler {
    /// The name by which rustup knows it.
    pub(crate) fn toolchain(&self) -> &str {
        match self {
            Self::Told(name) => name,
            Self::Nightly => "nightly",
            Self::Debian => DEBIAN_TOOLCHAIN,
        }
    }

    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Told(name) => format!("toolchain `{name}`, named by {TOOLCHAIN_VARIABLE}"),
            Self::Nightly => "rustup's nightly with rust-src".to_owned(),
            Self::Debian => format!("Debian's rustc-web, as rustup toolchain `{DEBIAN_TOOLCHAIN}`"),
        }
    }
}

impl Found {
    /// Looks at files rather than asking rustup, which takes a tenth of a second a question.
    pub(crate) fn look() -> Self {
        let toolchains = rustup_home().join("toolchains");
        let source = "lib/rustlib/src/rust/library/core/src/lib.rs";
        let nightly_with_source =
            nightly_folder(&toolchains).is_some_and(|nightly| nightly.join(source).is_file());
        let linker = runner::find_program("bpf-linker").is_some();
        let nightly_llvm = (nightly_with_source && !linker)
            .then(|| runner::ask(runner::command("rustc").args(["+nightly", "-vV"])))
            .flatten()
            .and_then(|version| parse_llvm(&version));
        Self {
            told: env::var(TOOLCHAIN_VARIABLE).ok().filter(|name| !name.is_empty()),
            rustup: runner::find_program("rustup").is_some(),
            nightly_with_source,
            nightly_llvm,
            debian_compiler: Path::new("/usr/bin/rustc").exists()
                && Path::new("/usr/bin/cargo").exists()
                && Path::new("/usr/lib/rustlib/bpfel-unknown-none/lib").is_dir(),
            debian_clippy: Path::new("/usr/bin/cargo-clippy").exists(),
            debian_linked: toolchains.join(DEBIAN_TOOLCHAIN).join("bin/rustc").exists(),
            linker,
        }
    }
}

/// Which compiler is used, or will be once set-up is through. `None`: there is none, and this
/// machine has no package of one.
pub(crate) fn pick(found: &Found, on_debian: bool) -> Option<Compiler> {
    if let Some(name) = &found.told {
        return Some(Compiler::Told(name.clone()));
    }
    // A nightly newer than the linker that Debian's LLVM can give would fail at link time with
    // `Unknown attribute kind`; then Debian's own pair, which fits together, is the better choice.
    let linkable =
        found.linker || !on_debian || found.nightly_llvm.is_some_and(|llvm| llvm <= DEBIAN_LLVM);
    if found.nightly_with_source && linkable {
        return Some(Compiler::Nightly);
    }
    if on_debian || (found.debian_compiler && found.debian_linked) {
        return Some(Compiler::Debian);
    }
    found.nightly_with_source.then_some(Compiler::Nightly)
}

/// What to put into [`TOOLCHAIN_VARIABLE`] for cargo: nothing when the build script decides the
/// same by itself, because a changed variable makes cargo compile observer anew.
pub(crate) fn toolchain_to_hand_over(found: &Found) -> Option<String> {
    if let Some(name) = &found.told {
        return Some(name.clone());
    }
    let alone = if found.nightly_with_source { Compiler::Nightly } else { Compiler::Debian };
    let on_debian = found.debian_compiler;
    pick(found, on_debian)
        .filter(|compiler| *compiler != alone)
        .map(|compiler| compiler.toolchain().to_owned())
}

fn rustup_home() -> PathBuf {
    env::var_os("RUSTUP_HOME").map_or_else(|| runner::home_dir().join(".rustup"), PathBuf::from)
}

/// The folder of the toolchain `nightly`; a dated one, `nightly-2026-01-02-…`, is another.
fn nightly_folder(toolchains: &Path) -> Option<PathBuf> {
    let entries = fs::read_dir(toolchains).ok()?;
    entries.flatten().map(|entry| entry.path()).find(|path| {
        let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
        is_plain_nightly(&name)
    })
}

fn is_plain_nightly(name: &str) -> bool {
    name == "nightly"
        || name
            .strip_prefix("nightly-")
            .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_alphabetic()))
}

fn parse_llvm(version: &str) -> Option<u32> {
    let version = version.lines().find_map(|line| line.strip_prefix("LLVM version: "))?;
    version.split('.').next()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(found: Found, on_debian: bool, expected: Option<Compiler>) {
        assert_eq!(pick(&found, on_debian), expected);
    }

    fn nothing() -> Found {
        Found { rustup: true, ..Found::default() }
    }

    fn nightly() -> Found {
        Found { nightly_with_source: true, ..nothing() }
    }

    #[test]
    fn a_named_toolchain_wins() {
        let found = Found { told: Some("mine".into()), linker: true, ..nightly() };
        check(found, true, Some(Compiler::Told("mine".into())));
    }

    #[test]
    fn nightly_with_its_linker_comes_before_debian() {
        check(Found { linker: true, debian_compiler: true, ..nightly() }, true, {
            Some(Compiler::Nightly)
        });
    }

    #[test]
    fn nightly_without_a_linker_is_taken_on_debian_only_if_its_llvm_is_not_too_new() {
        let with_llvm = |llvm| Found { nightly_llvm: Some(llvm), ..nightly() };
        check(with_llvm(DEBIAN_LLVM), true, Some(Compiler::Nightly));
        check(with_llvm(DEBIAN_LLVM + 1), true, Some(Compiler::Debian));
        check(with_llvm(DEBIAN_LLVM + 1), false, Some(Compiler::Nightly));
    }

    #[test]
    fn an_empty_debian_gets_debians_compiler() {
        check(nothing(), true, Some(Compiler::Debian));
    }

    #[test]
    fn another_distribution_without_a_compiler_has_none() {
        check(nothing(), false, None);
        check(Found { debian_compiler: true, ..nothing() }, false, None);
    }

    #[test]
    fn the_build_script_is_told_only_what_it_would_not_decide_itself() {
        assert_eq!(toolchain_to_hand_over(&Found { debian_compiler: true, ..nothing() }), None);
        assert_eq!(toolchain_to_hand_over(&Found { linker: true, ..nightly() }), None);
        let too_new = Found { nightly_llvm: Some(99), debian_compiler: true, ..nightly() };
        assert_eq!(toolchain_to_hand_over(&too_new).as_deref(), Some(DEBIAN_TOOLCHAIN));
        let told = Found { told: Some("mine".into()), ..nothing() };
        assert_eq!(toolchain_to_hand_over(&told).as_deref(), Some("mine"));
    }

    #[test]
    fn a_dated_nightly_is_not_nightly() {
        assert!(is_plain_nightly("nightly-x86_64-unknown-linux-gnu"));
        assert!(!is_plain_nightly("nightly-2026-01-02-x86_64-unknown-linux-gnu"));
        assert!(!is_plain_nightly("stable-x86_64-unknown-linux-gnu"));
    }

    #[test]
    fn llvm_is_read_from_rustc() {
        assert_eq!(parse_llvm("host: x\nLLVM version: 22.1.8\n"), Some(22));
        assert_eq!(parse_llvm("host: x\n"), None);
    }
}
