//! Owns the list of what building and testing observer needs, why, and the names that each
//! distribution packages it under. Whether a thing is there is asked of the caller.

use super::{Options, distribution::Family};
use crate::ebpf::{Compiler, Found};

/// A program that the tests start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tool {
    pub(crate) program: &'static str,
    pub(crate) why: &'static str,
    debian: &'static str,
    dnf: &'static str,
    pacman: &'static str,
    apk: &'static str,
    zypper: &'static str,
}

impl Tool {
    /// The package's name, where one package manager is known.
    pub(crate) fn package(&self, family: Family) -> &'static str {
        match family {
            Family::Debian | Family::Apt => self.debian,
            Family::Dnf => self.dnf,
            Family::Pacman => self.pacman,
            Family::Apk => self.apk,
            Family::Zypper => self.zypper,
            Family::Unknown => self.program,
        }
    }
}

/// What is not installed and is needed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Missing {
    /// No compiler for eBPF: on Debian its packages are installed.
    pub(crate) compiler: bool,
    /// Debian's compiler is there, or is about to be, and rustup does not know it.
    pub(crate) link: bool,
    pub(crate) linker: bool,
    /// A C compiler, with which Rust links programs of the host and bpf-linker compiles a shim.
    pub(crate) cc: bool,
    /// clippy of Debian's compiler, for the lints.
    pub(crate) clippy: bool,
    pub(crate) tools: Vec<Tool>,
}

impl Missing {
    /// Compares what is there with what `compiler` needs, and the tests and lints if they are wanted.
    pub(crate) fn find(
        found: &Found,
        compiler: Option<&Compiler>,
        wanted: &Options,
        has_program: impl Fn(&str) -> bool,
    ) -> Self {
        let debian = compiler == Some(&Compiler::Debian);
        // What is measured is what is tested, beside others.
        let for_tests = TOOLS.iter().filter(|_| wanted.tests || wanted.bench);
        let for_bench = PEERS.iter().filter(|_| wanted.bench);
        let for_vm = MACHINE.iter().filter(|_| wanted.vm);
        let for_cross = FOREIGN.iter().filter(|_| wanted.cross);
        let all = for_tests.chain(for_bench).chain(for_vm).chain(for_cross);
        let tools = all.filter(|tool| !has_program(tool.program));
        Self {
            compiler: compiler.is_none() || (debian && !found.debian_compiler),
            link: debian && !found.debian_linked,
            linker: !found.linker,
            cc: !has_program("cc"),
            clippy: debian && wanted.lint && !found.debian_clippy,
            tools: tools.copied().collect(),
        }
    }

    pub(crate) fn is_nothing(&self) -> bool {
        *self == Self::default()
    }

    /// Names for a message.
    pub(crate) fn names(&self) -> Vec<&'static str> {
        let parts = [
            (self.compiler, "a compiler for eBPF"),
            (self.link, "the rustup toolchain bpf-debian"),
            (self.linker, "bpf-linker"),
            (self.cc, "cc"),
            (self.clippy, "clippy for eBPF"),
        ];
        let names = parts.into_iter().filter(|(missing, _)| *missing).map(|(_, name)| name);
        names.chain(self.tools.iter().map(|tool| tool.program)).collect()
    }
}

/// In the order in which set-up names them.
const TOOLS: &[Tool] = &[
    same("curl", "an HTTP client that live tests watch", "curl"),
    Tool {
        program: "nginx",
        why: "the HTTP server that live tests watch",
        debian: "nginx-light",
        ..same("nginx", "", "nginx")
    },
    same("wrk", "the load generator whose own count ours must equal", "wrk"),
    Tool {
        program: "redis-server",
        why: "traffic that is no HTTP and must stay unseen",
        debian: "redis-server",
        ..same("redis-server", "", "redis")
    },
    Tool {
        program: "faketime",
        debian: "faketime",
        ..same("faketime", "a clock that can be set for one process", "libfaketime")
    },
    same("debootstrap", "makes the root file system that the tests boot", "debootstrap"),
    Tool {
        program: "systemd-nspawn",
        why: "boots a systemd to test the service in",
        debian: "systemd-container",
        pacman: "systemd",
        ..same("systemd-nspawn", "", "systemd-container")
    },
    Tool {
        program: "prometheus",
        why: "scrapes the metrics in tests",
        debian: "prometheus",
        ..same("prometheus", "", "prometheus")
    },
    Tool {
        program: "nc",
        why: "sends bytes as they are written: pipelining, broken requests",
        debian: "netcat-openbsd",
        dnf: "netcat",
        pacman: "openbsd-netcat",
        apk: "netcat-openbsd",
        zypper: "netcat-openbsd",
    },
    same("tcpdump", "records what live capture saw, to read it again offline", "tcpdump"),
    Tool {
        program: "tshark",
        why: "a second opinion on captures",
        dnf: "wireshark-cli",
        pacman: "wireshark-cli",
        zypper: "wireshark",
        ..same("tshark", "", "tshark")
    },
    Tool {
        program: "ip",
        why: "makes the network namespaces that live tests run in",
        dnf: "iproute",
        ..same("ip", "", "iproute2")
    },
    same("ethtool", "turns segmentation offload on and off", "ethtool"),
    Tool {
        program: "bpftool",
        why: "shows what is attached, as a stranger sees it",
        pacman: "bpf",
        ..same("bpftool", "", "bpftool")
    },
    same("openssl", "TLS traffic, directly and through a proxy", "openssl"),
    Tool {
        program: "tinyproxy",
        why: "a CONNECT proxy, whose tunnels live tests watch",
        debian: "tinyproxy-bin",
        ..same("tinyproxy", "", "tinyproxy")
    },
    Tool {
        program: "go",
        why: "builds servers whose handlers and tunnels live tests watch from outside",
        debian: "golang-go",
        dnf: "golang",
        zypper: "go",
        ..same("", "", "go")
    },
    Tool {
        program: "python3:websockets",
        why: "both ends of a WebSocket that live tests watch",
        pacman: "python-websockets",
        apk: "py3-websockets",
        ..same("", "", "python3-websockets")
    },
    Tool {
        program: "python3",
        why: "small servers that misbehave, and the corpus's scorer",
        pacman: "python",
        ..same("python3", "", "python3")
    },
    same("jq", "asks the questions of a recipe", "jq"),
];

/// What observer is measured beside, and with; in the order in which set-up names them.
const PEERS: &[Tool] = &[
    Tool {
        program: "tcpflow",
        why: "a peer: streams put together, no pairs",
        debian: "tcpflow-nox",
        ..same("tcpflow", "", "tcpflow")
    },
    same("ngrep", "a peer: segments as text", "ngrep"),
    same("httpry", "a peer: a line for each request and response", "httpry"),
    same("iperf3", "traffic that is no HTTP, as much as there can be", "iperf3"),
    Tool { debian: "linux-perf", ..same("perf", "samples for flame graphs", "perf") },
];

/// What old kernels are booted with.
const MACHINE: &[Tool] = &[
    Tool {
        program: "qemu-system-x86_64",
        why: "emulates the machine that old kernels boot on",
        debian: "qemu-system-x86",
        ..same("", "", "qemu-system-x86")
    },
    Tool {
        program: "busybox",
        why: "everything else in that machine",
        debian: "busybox-static",
        ..same("", "", "busybox")
    },
    same("cpio", "packs what that machine boots with", "cpio"),
    Tool {
        program: "strip",
        why: "makes programs small enough for that machine",
        ..same("", "", "binutils")
    },
    Tool {
        program: "tc",
        why: "shows that machine's filters",
        dnf: "iproute-tc",
        ..same("", "", "iproute2")
    },
];

/// What the engine's tests run with on machines of another kind.
const FOREIGN: &[Tool] = &[
    Tool {
        program: "qemu-aarch64-static",
        why: "runs programs for 64-bit Arm and s390x",
        ..same("", "", "qemu-user-static")
    },
    Tool {
        program: "s390x-linux-gnu-gcc",
        why: "links for s390x, whose bytes are the other way round",
        ..same("", "", "crossbuild-essential-s390x")
    },
];

/// A tool whose package has the same name everywhere.
const fn same(program: &'static str, why: &'static str, package: &'static str) -> Tool {
    Tool {
        program,
        why,
        debian: package,
        dnf: package,
        pacman: package,
        apk: package,
        zypper: package,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complete() -> Found {
        Found {
            rustup: true,
            debian_compiler: true,
            debian_linked: true,
            linker: true,
            ..Found::default()
        }
    }

    #[test]
    fn nothing_is_missing_on_a_complete_machine() {
        let missing = Missing::find(&complete(), Some(&Compiler::Debian), &TESTS, |_| true);
        assert!(missing.is_nothing());
        assert!(missing.names().is_empty());
    }

    #[test]
    fn an_empty_debian_misses_compiler_link_and_linker() {
        let found = Found { rustup: true, ..Found::default() };
        let missing = Missing::find(&found, Some(&Compiler::Debian), &BUILD, |_| true);
        assert_eq!(missing, Missing { compiler: true, link: true, linker: true, ..nothing() });
    }

    #[test]
    fn nightly_needs_no_package_of_debians_compiler() {
        let found = Found { nightly_with_source: true, linker: true, ..Found::default() };
        assert!(Missing::find(&found, Some(&Compiler::Nightly), &BUILD, |_| true).is_nothing());
    }

    #[test]
    fn no_compiler_at_all_is_missing() {
        let missing = Missing::find(&complete(), None, &BUILD, |_| true);
        assert_eq!(missing, Missing { compiler: true, ..nothing() });
    }

    #[test]
    fn tools_are_asked_for_only_with_the_tests() {
        let without = |program: &str| program != "nginx";
        let debian = Some(&Compiler::Debian);
        assert!(Missing::find(&complete(), debian, &BUILD, without).is_nothing());
        let missing = Missing::find(&complete(), debian, &TESTS, without);
        assert_eq!(missing.names(), ["nginx"]);
        assert_eq!(missing.tools[0].package(Family::Debian), "nginx-light");
        assert_eq!(missing.tools[0].package(Family::Dnf), "nginx");
    }

    #[test]
    fn peers_are_asked_for_only_to_measure_beside_them() {
        let without = |program: &str| program != "tcpflow" && program != "wrk";
        let debian = Some(&Compiler::Debian);
        let names = |wanted| Missing::find(&complete(), debian, wanted, without).names();
        assert_eq!(names(&TESTS), ["wrk"]);
        assert_eq!(names(&Options { bench: true, ..BUILD }), ["wrk", "tcpflow"]);
    }

    #[test]
    fn clippy_for_ebpf_is_asked_for_only_with_the_lints_and_debians_compiler() {
        let debian = Some(&Compiler::Debian);
        assert!(Missing::find(&complete(), debian, &TESTS, |_| true).is_nothing());
        assert_eq!(
            Missing::find(&complete(), debian, &LINT, |_| true).names(),
            ["clippy for eBPF"]
        );
        let nightly = Some(&Compiler::Nightly);
        assert!(Missing::find(&complete(), nightly, &LINT, |_| true).is_nothing());
    }

    #[test]
    fn every_tool_says_why() {
        for tool in TOOLS.iter().chain(PEERS).chain(MACHINE).chain(FOREIGN) {
            assert!(!tool.why.is_empty(), "{}", tool.program);
            assert!(!tool.debian.is_empty(), "{}", tool.program);
        }
    }

    const BUILD: Options = Options {
        tests: false,
        lint: false,
        bench: false,
        vm: false,
        cross: false,
        dry_run: false,
    };
    const TESTS: Options = Options { tests: true, ..BUILD };
    const LINT: Options = Options { lint: true, ..BUILD };

    fn nothing() -> Missing {
        Missing::default()
    }
}
