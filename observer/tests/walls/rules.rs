//! Owns the rules themselves: data, and the few lines that hold a source against them.

use std::fmt::Write as _;

use crate::source::{Source, is_test_file};

/// One broken rule.
#[derive(Debug)]
pub(crate) struct Offence {
    pub(crate) path: String,
    pub(crate) what: String,
    pub(crate) rule: &'static str,
}

/// `files` must not name any of `paths`.
struct Wall {
    /// Path prefixes of the files that the rule is for.
    files: &'static [&'static str],
    /// Files among them that are excused, by design.
    except: &'static [&'static str],
    forbidden: &'static [Forbidden],
    rule: &'static str,
}

enum Forbidden {
    /// A module of ours, wherever it stands in a path: `crate::http`, `super::http::head`.
    Module(&'static str),
    /// A path that begins so. What is imported as a whole (`std::fs`, `std::*`) counts.
    Path(&'static [&'static str]),
    /// A method of this name.
    Method(&'static str),
}

use Forbidden::{Method, Module, Path};

const ENGINE: &[&str] = &[
    "observer/src/segment.rs",
    "observer/src/message",
    "observer/src/decode",
    "observer/src/tcp",
    "observer/src/http",
    "observer/src/tunnel",
    "observer/src/exchange",
    "observer/src/pipeline",
];

const WALLS: &[Wall] = &[
    Wall {
        files: &["observer/src/tcp"],
        except: &[],
        forbidden: &[Module("http"), Module("httparse"), Module("exchange"), Module("pipeline")],
        rule: "tcp puts bytes in order and knows no HTTP",
    },
    Wall {
        files: &["observer/src/http"],
        except: &[],
        forbidden: &[Module("tcp"), Module("exchange"), Module("pipeline"), Module("decode")],
        rule: "http finds message boundaries and knows neither TCP nor pairing",
    },
    Wall {
        files: &["observer/src/tunnel"],
        except: &[],
        forbidden: &[
            Module("tcp"),
            Module("http"),
            Module("exchange"),
            Module("pipeline"),
            Module("decode"),
        ],
        rule: "tunnel looks at content and knows neither TCP nor HTTP messages",
    },
    Wall {
        files: &["observer/src/segment.rs", "observer/src/message"],
        except: &[],
        forbidden: &[
            Module("decode"),
            Module("tcp"),
            Module("http"),
            Module("exchange"),
            Module("pipeline"),
            Module("event"),
        ],
        rule: "segment and message are vocabulary and know none of their users",
    },
    Wall {
        files: &["observer/src/decode"],
        except: &[],
        forbidden: &[Module("http"), Module("tcp"), Module("exchange"), Module("pipeline")],
        rule: "decode turns a record into a segment and knows nothing behind it",
    },
    Wall {
        files: ENGINE,
        except: &["observer/src/tcp/seq.rs"],
        forbidden: &[
            Method("wrapping_add"),
            Method("wrapping_sub"),
            Method("wrapping_neg"),
            Method("overflowing_add"),
            Method("overflowing_sub"),
        ],
        rule: "only tcp/seq.rs does arithmetic modulo 2^32",
    },
    Wall {
        files: ENGINE,
        except: &[],
        forbidden: &[Module("serde"), Module("serde_json")],
        rule: "only event serialises",
    },
    Wall {
        files: ENGINE,
        except: &[],
        forbidden: &[
            Path(&["std", "fs"]),
            Path(&["std", "io"]),
            Path(&["std", "env"]),
            Path(&["std", "process"]),
            Path(&["std", "thread"]),
            Path(&["std", "os"]),
            Path(&["std", "net", "TcpStream"]),
            Path(&["std", "net", "TcpListener"]),
            Path(&["std", "net", "UdpSocket"]),
            Path(&["std", "net", "ToSocketAddrs"]),
            Path(&["std", "time", "Instant"]),
            Path(&["std", "time", "SystemTime"]),
            Module("libc"),
            Module("tokio"),
            Module("aya"),
        ],
        rule: "the engine has no I/O and no clock",
    },
    Wall {
        files: ENGINE,
        except: &[],
        forbidden: &[
            Module("capture"),
            Module("enrich"),
            Module("sink"),
            Module("daemon"),
            Module("config"),
            Module("cli"),
        ],
        rule: "the engine does not know the edges",
    },
    Wall {
        files: &["observer/src/event"],
        except: &[],
        forbidden: &[Module("capture"), Module("sink"), Module("daemon"), Module("pipeline")],
        rule: "an event knows neither where it came from nor where it goes",
    },
    Wall {
        files: &["observer/src/capture"],
        except: &[],
        forbidden: &[Module("http"), Module("exchange"), Module("sink"), Module("cli")],
        rule: "capture brings segments and knows no HTTP",
    },
    Wall {
        files: &["observer/src/sink"],
        except: &[],
        forbidden: &[Module("capture"), Module("cli")],
        rule: "a sink takes events and does not know how they were captured",
    },
    Wall {
        files: &["observer/src/drive", "observer/src/watch"],
        except: &[],
        forbidden: &[Module("sink"), Module("daemon"), Module("cli"), Module("serde_json")],
        rule: "drive and watch end at events and know no sink",
    },
    Wall {
        files: &["observer/src/"],
        except: &["observer/src/cli"],
        forbidden: &[Module("clap")],
        rule: "clap lives in cli and nowhere else",
    },
    Wall {
        files: &["observer-common/src/"],
        except: &[],
        forbidden: &[Module("std"), Module("alloc")],
        rule: "observer-common is the ABI with the kernel: no_std",
    },
];

/// Holds one source against every wall.
pub(crate) fn check_walls(source: &Source) -> Vec<Offence> {
    let mut offences = Vec::new();
    for wall in WALLS {
        let is_for = |prefixes: &[&str]| prefixes.iter().any(|p| source.path.starts_with(p));
        if !is_for(wall.files) || is_for(wall.except) {
            continue;
        }
        for what in wall.forbidden.iter().filter_map(|forbidden| forbidden.found_in(source)) {
            offences.push(Offence { path: source.path.clone(), what, rule: wall.rule });
        }
    }
    offences
}

impl Forbidden {
    fn found_in(&self, source: &Source) -> Option<String> {
        match self {
            // A lone word is a variable or a field, unless it is a whole module that was imported,
            // and then it stands behind `crate` or `super`.
            Module(name) => source
                .paths
                .iter()
                .find(|path| path.len() > 1 && path.iter().any(|segment| segment == name))
                .map(|path| path.join("::")),
            Path(forbidden) => source
                .paths
                .iter()
                .find(|path| reaches(path, forbidden))
                .map(|path| path.join("::")),
            Method(name) => source.methods.iter().find(|method| method == name).cloned(),
        }
    }
}

/// The path names the forbidden thing or something below it, or imports something above it whole.
fn reaches(path: &[String], forbidden: &[&str]) -> bool {
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    match path.as_slice() {
        [above @ .., "*"] => forbidden.starts_with(above) || above.starts_with(forbidden),
        [_] => false,
        // `use std::time;` alone would let `time::Instant` through; `std::net` likewise.
        _ => path.starts_with(forbidden) || (path.len() > 1 && forbidden.starts_with(&path)),
    }
}

/// Files that are allowed to be longer.
pub(crate) struct Exceptions(Vec<(String, usize)>);

impl Exceptions {
    /// Lines of `path limit reason`; a line without a reason is a mistake.
    pub(crate) fn parse(text: &str) -> Self {
        let lines = text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
        let entries = lines.map(|line| {
            let mut words = line.splitn(3, ' ');
            let path = words.next().unwrap_or_default().to_owned();
            let limit = words.next().and_then(|word| word.parse().ok());
            let reason = words.next().unwrap_or_default();
            assert!(!reason.trim().is_empty(), "an exception needs a reason: {line}");
            (path, limit.unwrap_or_else(|| panic!("an exception needs a limit: {line}")))
        });
        Self(entries.collect())
    }
}

/// The longest that a file may be by its place, tests not counted.
fn limit(path: &str) -> usize {
    match path {
        "observer/src/main.rs" => 60,
        _ if path.starts_with("observer-ebpf/") => 150,
        _ => 400,
    }
}

/// Holds the length and the first line of each file against the rules.
pub(crate) fn check_sizes(sources: &[Source], exceptions: &Exceptions) -> Vec<Offence> {
    let mut offences = Vec::new();
    let mut offend = |path: &str, what: String, rule| {
        offences.push(Offence { path: path.to_owned(), what, rule });
    };
    for source in sources.iter().filter(|source| !is_test_file(&source.path)) {
        let path = source.path.as_str();
        let allowed = limit(path);
        let excused = exceptions.0.iter().find(|(name, _)| name == path).map(|(_, lines)| *lines);
        let n_lines = source.n_lines;
        if n_lines > excused.unwrap_or(allowed) {
            offend(path, format!("{n_lines} lines"), "a long file is asked to be split");
        }
        if excused.is_some() && n_lines <= allowed {
            offend(path, format!("{n_lines} lines"), "an exception that is not needed goes");
        }
        if !source.first_line.starts_with("//!") {
            offend(path, source.first_line.clone(), "a file's first line says what it owns");
        }
    }
    for (path, _) in &exceptions.0 {
        if !sources.iter().any(|source| source.path == *path) {
            offend(path, "no such file".to_owned(), "an exception that is not needed goes");
        }
    }
    offences
}

pub(crate) fn report(offences: &[Offence]) -> String {
    let mut text = format!("{} broken house rules:", offences.len());
    for Offence { path, what, rule } in offences {
        // Writing to a String cannot fail.
        let _ = write!(text, "\n  {path}: {what}: {rule}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The literal text, at this path, breaks exactly the rule that contains these words.
    #[track_caller]
    fn breaks(path: &str, text: &str, rule: &str) {
        let offences = check_walls(&Source::new(path, text));
        assert!(
            offences.len() == 1 && offences[0].rule.contains(rule),
            "{path}: {text}: {}",
            report(&offences)
        );
    }

    #[track_caller]
    fn passes(path: &str, text: &str) {
        let offences = check_walls(&Source::new(path, text));
        assert!(offences.is_empty(), "{path}: {text}: {}", report(&offences));
    }

    #[test]
    fn tcp_and_http_do_not_name_each_other() {
        breaks("observer/src/tcp/flow.rs", "use crate::{segment::S, http::Head};", "knows no HTTP");
        breaks("observer/src/tcp/mod.rs", "fn f() { super::http::g() }", "knows no HTTP");
        breaks("observer/src/tcp/mod.rs", "fn f() { httparse::g() }", "knows no HTTP");
        breaks("observer/src/http/body.rs", "use crate::tcp::seq::SeqNumber;", "neither TCP");
        breaks("observer/src/http/mod.rs", "use super::tcp;", "neither TCP");
        passes("observer/src/pipeline.rs", "use crate::{http::Half, tcp::FlowTable};");
        passes("observer/src/tcp/mod.rs", "//! Not crate::http.\nlet http = 1;");
    }

    #[test]
    fn a_tunnel_knows_neither_its_flow_nor_its_exchange() {
        breaks("observer/src/tunnel/mod.rs", "use crate::tcp::Side;", "tunnel looks at content");
        breaks("observer/src/tunnel/inner/x.rs", "crate::http::first_bytes(b)", "tunnel looks at");
        passes("observer/src/tunnel/mod.rs", "use crate::message::Head;");
    }

    #[test]
    fn vocabulary_knows_no_user() {
        breaks("observer/src/segment.rs", "use crate::tcp::FlowTable;", "vocabulary");
        breaks("observer/src/message.rs", "use crate::http::HalfParser;", "vocabulary");
        passes("observer/src/message.rs", "use crate::segment::Offset;");
    }

    #[test]
    fn decode_knows_nothing_behind_it() {
        breaks("observer/src/decode.rs", "use crate::http::detect;", "nothing behind it");
        passes("observer/src/decode.rs", "use crate::segment::Segment;");
    }

    #[test]
    fn sequence_arithmetic_stays_in_seq() {
        let text = "fn f(a: u32) -> u32 { a.wrapping_sub(1) }";
        breaks("observer/src/tcp/half.rs", text, "modulo 2^32");
        breaks("observer/src/exchange.rs", "x.wrapping_add(y)", "modulo 2^32");
        passes("observer/src/tcp/seq.rs", text);
    }

    #[test]
    fn only_event_serialises() {
        breaks("observer/src/http/head.rs", "use serde::Serialize;", "only event serialises");
        breaks("observer/src/tcp/mod.rs", "#[derive(serde::Serialize)] struct S;", "only event");
        breaks("observer/src/pipeline.rs", "serde_json::to_string(&x)", "only event serialises");
        passes("observer/src/event/mod.rs", "use serde::Serialize;");
        passes("observer/src/config.rs", "use serde::Deserialize;");
    }

    #[test]
    fn the_engine_has_no_io_and_no_clock() {
        for text in [
            "use std::fs;",
            "use std::{collections::HashMap, fs::File};",
            "fn f() { std::net::TcpStream::connect(a) }",
            "use std::net::{IpAddr, UdpSocket};",
            "use tokio::sync::mpsc;",
            "use aya::maps::RingBuf;",
        ] {
            breaks("observer/src/pipeline.rs", text, "no I/O and no clock");
        }
        for text in ["use std::time::Instant;", "use std::time;", "use std::time::*;"] {
            let offences = check_walls(&Source::new("observer/src/tcp/mod.rs", text));
            assert!(!offences.is_empty(), "{text}");
        }
        passes("observer/src/segment.rs", "use std::{net::IpAddr, time::Duration};");
        passes("observer/src/daemon.rs", "use std::{fs, time::Instant}; use tokio::sync;");
    }

    #[test]
    fn the_engine_does_not_know_the_edges() {
        breaks("observer/src/exchange.rs", "use crate::capture::Source;", "the edges");
        breaks("observer/src/tcp/mod.rs", "use crate::config::Config;", "the edges");
    }

    #[test]
    fn edges_know_only_their_side() {
        breaks("observer/src/event/mod.rs", "use crate::pipeline::Stats;", "where it goes");
        breaks("observer/src/capture/ring.rs", "use crate::http::Head;", "knows no HTTP");
        breaks("observer/src/sink/file.rs", "use crate::capture::Live;", "how they were captured");
        breaks("observer/src/watch/mod.rs", "use crate::sink::Batch;", "know no sink");
    }

    #[test]
    fn clap_lives_in_cli() {
        breaks("observer/src/sink/mod.rs", "use clap::Parser;", "clap lives in cli");
        breaks("observer/src/main.rs", "clap::Command::new(n);", "clap lives in cli");
        passes("observer/src/cli/tail.rs", "use clap::Args;");
    }

    #[test]
    fn the_abi_is_no_std() {
        breaks("observer-common/src/lib.rs", "use std::fmt::Debug;", "no_std");
        passes("observer-common/src/lib.rs", "use core::fmt::Debug;");
    }

    /// A file of so many lines at this path; its offences.
    fn sized(path: &str, n_lines: usize, exceptions: &str) -> Vec<Offence> {
        let text = format!("//! Owns.\n{}", "x();\n".repeat(n_lines - 1));
        check_sizes(&[Source::new(path, &text)], &Exceptions::parse(exceptions))
    }

    #[test]
    fn long_files_are_offences_by_their_place() {
        for (path, limit) in [
            ("observer/src/http/head.rs", 400),
            ("observer/src/main.rs", 60),
            ("observer-ebpf/src/emit.rs", 150),
        ] {
            assert!(sized(path, limit, "").is_empty(), "{path}");
            assert_eq!(sized(path, limit + 1, "").len(), 1, "{path}");
        }
        assert!(sized("observer/src/http/tests.rs", 9000, "").is_empty());
    }

    #[test]
    fn an_exception_holds_up_to_its_own_limit_and_no_longer_than_needed() {
        let exception = "observer/src/a.rs 500 one table";
        assert!(sized("observer/src/a.rs", 500, exception).is_empty());
        assert_eq!(sized("observer/src/a.rs", 501, exception).len(), 1);
        assert_eq!(sized("observer/src/a.rs", 300, exception).len(), 1);
        assert_eq!(sized("observer/src/b.rs", 300, exception).len(), 1);
    }

    #[test]
    fn a_file_that_does_not_say_what_it_owns_is_an_offence() {
        let source = Source::new("observer/src/a.rs", "use core::fmt;\n");
        assert_eq!(check_sizes(&[source], &Exceptions::parse("")).len(), 1);
    }
}
