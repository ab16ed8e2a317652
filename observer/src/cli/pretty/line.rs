//! The line itself: which columns, how wide, in which colour.
//!
//! Columns are as wide as the widest value of the last lines, up to a limit, so that lines stay
//! aligned without leaving half of the terminal empty. Four layouts, by the width of the terminal:
//! all columns; without the client's port; with the client's address alone; without addresses. What
//! has no room behind the columns goes on below. Where there is no terminal, all columns and nothing
//! is shortened.

use anstyle::{AnsiColor, Style};
use jiff::civil::Date;
use jiff::{Timestamp, Zoned};
use serde_json::Value;

use super::text::{duration, harmless, shorten, size, wrap};
use super::{Look, number_at, push, text_at};

/// How wide each column is by now.
#[derive(Debug, Default)]
pub(super) struct Columns {
    endpoints: Column,
    method: Column,
    target: Column,
}

/// A column that grows at once and shrinks when its width was not needed for a screen or two.
#[derive(Debug, Default)]
struct Column {
    width: usize,
    /// The widest value of the lines that are counted in `n_lines`.
    needed: usize,
    n_lines: u32,
}

impl Column {
    /// Makes room for `text`, within bounds, and says how wide the column is.
    fn fit(&mut self, text: &str, min: usize, max: usize) -> usize {
        let needed = text.chars().count().clamp(min, max.max(min));
        self.needed = self.needed.max(needed);
        self.n_lines += 1;
        if self.n_lines >= MEMORY {
            *self = Self { width: self.needed, needed: 0, n_lines: 0 };
        }
        self.width = self.width.max(needed);
        self.width
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Layout {
    Wide,
    Medium,
    Narrow,
    Tiny,
}

impl Layout {
    /// Whether the time is told to the second.
    fn is_short(self) -> bool {
        matches!(self, Self::Narrow | Self::Tiny)
    }
}

/// One line for an exchange.
pub(super) fn exchange(event: &Value, look: &Look, columns: &mut Columns, out: &mut Vec<u8>) {
    let layout = layout(look);
    let paint = |style: Style| Paint { style, on: look.colour };
    let status = number_at(event, "/http/response/status_code");
    let note = note(event, status);

    push(out, format_args!("{}  ", paint(DIM).wrap(&time(event, look, layout))));

    if layout != Layout::Tiny {
        let text = endpoints(event, layout);
        let width = columns.endpoints.fit(&text, MIN_ENDPOINTS, MAX_ENDPOINTS);
        push(out, format_args!("{text:<width$}  "));
    }

    let method = method(event);
    let width = columns.method.fit(&method, 4, 8);
    push(out, format_args!("{method:<width$} "));

    let numbers = numbers(event, layout);
    let target = target(event);
    let room = look.width.map(|all| {
        let used = used_width(layout, columns) + numbers.chars().count();
        all.saturating_sub(used).max(MIN_TARGET)
    });
    let target = room.map_or_else(|| target.clone(), |room| shorten(&target, room));
    let width = columns.target.fit(&target, MIN_TARGET, room.unwrap_or(MAX_TARGET));
    // The column may have grown before the endpoints took some of its room.
    let width = room.map_or(width, |room| width.min(room));
    push(out, format_args!("{target:<width$}  "));

    let shown = status.map_or_else(|| "---".to_owned(), |status| format!("{status:>3}"));
    let style = status.map_or(FAILED, by_class);
    push(out, format_args!("{}  {numbers}", paint(style).wrap(&shown)));
    if let Some((note, style)) = note {
        let used = used_width(layout, columns) + width.max(target.chars().count());
        let used = used + numbers.chars().count() + 2;
        append(&note, paint(style), used, layout, look, out);
    }
    out.push(b'\n');
}

/// Puts `text` behind what stands on the line, or below where it has no room.
fn append(text: &str, paint: Paint, used: usize, layout: Layout, look: &Look, out: &mut Vec<u8>) {
    let fits = look.width.is_none_or(|all| used + text.chars().count() <= all);
    if fits {
        push(out, format_args!("  {}", paint.wrap(text)));
        return;
    }
    let indent = time_width(layout) + 2;
    let room = look.width.unwrap_or(usize::MAX).saturating_sub(indent).max(MIN_TARGET);
    for line in wrap(text, room) {
        push(out, format_args!("\n{:indent$}{}", "", paint.wrap(&line)));
    }
}

/// One line for an event that is no exchange: its endpoints and what there is to say.
pub(super) fn aside(event: &Value, said: &str, is_urgent: bool, look: &Look, out: &mut Vec<u8>) {
    let layout = layout(look);
    let paint = |style: Style| Paint { style, on: look.colour };
    let style = if is_urgent { FAILED } else { DIM };
    push(out, format_args!("{}  ", paint(DIM).wrap(&time(event, look, layout))));
    let ends = match layout {
        Layout::Tiny => String::new(),
        _ => endpoints(event, layout),
    };
    push(out, format_args!("{ends}"));
    let used = time_width(layout) + 2 + ends.chars().count() + 2;
    append(said, paint(style), used, layout, look, out);
    out.push(b'\n');
}

/// One line that must not be overlooked.
pub(super) fn notice(event: &Value, note: &str, look: &Look, out: &mut Vec<u8>) {
    let paint = |style: Style| Paint { style, on: look.colour };
    let time = time(event, look, layout(look));
    push(out, format_args!("{}  {}\n", paint(DIM).wrap(&time), paint(FAILED).wrap(note)));
}

/// The date above the lines of another day.
pub(super) fn day(day: Date, look: &Look, out: &mut Vec<u8>) {
    let text = day.strftime("%A, %Y-%m-%d").to_string();
    push(out, format_args!("{}\n", Paint { style: DIM, on: look.colour }.wrap(&text)));
}

fn layout(look: &Look) -> Layout {
    match look.width {
        Some(..78) => Layout::Tiny,
        Some(78..116) => Layout::Narrow,
        Some(116..136) => Layout::Medium,
        Some(136..) | None => Layout::Wide,
    }
}

/// Columns taken by everything but the target and the numbers.
fn used_width(layout: Layout, columns: &Columns) -> usize {
    let endpoints = if layout == Layout::Tiny { 0 } else { columns.endpoints.width + 2 };
    time_width(layout) + 2 + endpoints + columns.method.width + 1 + 2 + 3 + 2
}

fn time_width(layout: Layout) -> usize {
    if layout.is_short() { 8 } else { 12 }
}

/// Local time of the first byte of the request.
pub(super) fn local(event: &Value, look: &Look) -> Option<Zoned> {
    let stamp = text_at(event, "/timestamp")?.parse::<Timestamp>().ok()?;
    Some(stamp.to_zoned(look.zone.clone()))
}

fn time(event: &Value, look: &Look, layout: Layout) -> String {
    let format = if layout.is_short() { "%H:%M:%S" } else { "%H:%M:%S.%3f" };
    match local(event, look) {
        Some(time) => time.strftime(format).to_string(),
        None => "-".repeat(time_width(layout)),
    }
}

fn endpoints(event: &Value, layout: Layout) -> String {
    let known = event.get("client").is_some();
    let roles = if known { ["client", "server"] } else { ["source", "destination"] };
    let end = |role: &str, with_port: bool| {
        let address = text_at(event, &format!("/{role}/address")).unwrap_or("?");
        let port = number_at(event, &format!("/{role}/port")).filter(|_| with_port);
        match (port, address.contains(':')) {
            (Some(port), true) => harmless(&format!("[{address}]:{port}")),
            (Some(port), false) => harmless(&format!("{address}:{port}")),
            (None, _) => harmless(address),
        }
    };
    let [from, to] = roles;
    if layout.is_short() {
        return shorten(&end(from, false), MIN_ENDPOINTS);
    }
    let place = netns(event).map_or_else(String::new, |place| format!(" @{place}"));
    format!("{} → {}{place}", end(from, layout == Layout::Wide || !known), end(to, true))
}

/// The network namespace, where it is not observer's own: many have the same addresses.
fn netns(event: &Value) -> Option<String> {
    let at = |key: &str| format!("/obs/capture/netns/{key}");
    let inode = number_at(event, &at("inode"))?;
    Some(text_at(event, &at("name")).map_or_else(|| inode.to_string(), harmless))
}

fn method(event: &Value) -> String {
    let known = text_at(event, "/http/request/method").filter(|name| *name != "_OTHER");
    let method = known.or_else(|| text_at(event, "/http/request/method_original"));
    shorten(&harmless(method.unwrap_or("-")), 16)
}

/// Host, path and query: what a person would type into a browser, without the scheme.
pub(super) fn target(event: &Value) -> String {
    let domain = text_at(event, "/url/domain");
    let path = text_at(event, "/url/path");
    let query = text_at(event, "/url/query").map(|query| format!("?{query}")).unwrap_or_default();
    let target = match (domain, path) {
        (None, None) => text_at(event, "/url/original").unwrap_or("-").to_owned(),
        (domain, path) => {
            format!("{}{}{query}", authority(event, domain), path.unwrap_or_default())
        }
    };
    harmless(&target)
}

/// The host, and its port where the request named one that is not the scheme's own.
fn authority(event: &Value, domain: Option<&str>) -> String {
    let Some(domain) = domain else { return String::new() };
    match number_at(event, "/url/port").filter(|port| *port != 80) {
        Some(port) => format!("{domain}:{port}"),
        None => domain.to_owned(),
    }
}

/// Sizes and times: `↑ 0B ↓ 612B  1.21ms  ttfb 930µs`. Arrows as seen from the client.
fn numbers(event: &Value, layout: Layout) -> String {
    let bytes = |pointer| number_at(event, pointer).map_or_else(|| "-".to_owned(), size);
    let time = |pointer| number_at(event, pointer).map_or_else(|| "-".to_owned(), duration);
    let up = bytes("/http/request/body/size");
    let down = bytes("/http/response/body/size");
    let total = time("/obs/timing/total_ns");
    let ttfb = time("/obs/timing/ttfb_ns");
    match layout {
        Layout::Wide => format!("↑{up:>6} ↓{down:>6}  {total:>6}  ttfb {ttfb:>6}"),
        Layout::Medium => format!("↑{up:>6} ↓{down:>6}  {total:>6} /{ttfb:>6}"),
        Layout::Narrow | Layout::Tiny => format!("↓{down:>6}  {total:>6}"),
    }
}

/// What was not as it should be, in a few words; the worst decides the colour.
fn note(event: &Value, status: Option<u64>) -> Option<(String, Style)> {
    let mut parts = Vec::new();
    let mut style = DOUBTFUL;
    let status = status.map(|status| status.to_string());
    // A 5xx status is its own `error.type`; it stands in its column already.
    let failure = text_at(event, "/error/type").filter(|kind| Some(*kind) != status.as_deref());
    if let Some(kind) = failure {
        parts.push(kind.replace('_', " "));
        style = FAILED;
    }
    match text_at(event, "/obs/state") {
        Some("complete") | None => {}
        Some(_) if failure.is_some() => {}
        Some(state) => parts.push(state.to_owned()),
    }
    // That a request stands alone is said by why.
    let pairing = text_at(event, "/obs/pairing").filter(|pairing| *pairing != "exact");
    if let Some(pairing) = pairing.filter(|p| failure.is_none() || *p != "orphan_request") {
        parts.push(pairing.replace('_', " "));
    }
    if let Some(integrity) = event.pointer("/obs/integrity").and_then(Value::as_object) {
        parts.extend(integrity.iter().filter_map(|(key, value)| integrity_note(key, value)));
    }
    let anomalies = event.pointer("/obs/anomalies").and_then(Value::as_array);
    let anomalies = anomalies.into_iter().flatten().filter_map(Value::as_str);
    parts.extend(anomalies.map(|name| match name {
        "tls_request" => "the client speaks TLS".to_owned(),
        _ => name.replace('_', " "),
    }));
    for (key, who) in [("request", "client"), ("response", "server")] {
        if event.pointer(&format!("/obs/tcp/dth/{key}")) == Some(&Value::Bool(true)) {
            parts.push(format!("☠ {who} announced its death"));
        }
    }
    if event.pointer("/obs/tunnel/inside").is_some() {
        parts.push("inside a tunnel".to_owned());
    }
    if let Some(takeover) = text_at(event, "/obs/takeover") {
        parts.push(format!("{takeover}: no longer HTTP"));
    }
    (!parts.is_empty()).then(|| (harmless(&parts.join(", ")), style))
}

/// What was lost or doubtful about the capture of this exchange.
fn integrity_note(key: &str, value: &Value) -> Option<String> {
    match (key, value) {
        (_, Value::Bool(false) | Value::Null) => None,
        // Every connection older than observer is picked up in its middle; where that did harm,
        // pairing and gaps tell.
        ("midstream", _) => None,
        ("request_gap_bytes", value) => Some(format!("request gap {}", size(value.as_u64()?))),
        ("response_gap_bytes", value) => Some(format!("response gap {}", size(value.as_u64()?))),
        ("ring_loss", value) => Some(format!("{} records lost", value.as_u64()?)),
        (key, Value::Number(n)) => Some(format!("{n} {}", key.replace('_', " "))),
        (key, _) => Some(key.replace('_', " ")),
    }
}

fn by_class(status: u64) -> Style {
    match status {
        200..=299 => AnsiColor::Green.on_default(),
        100..=399 => AnsiColor::Cyan.on_default(),
        400..=499 => AnsiColor::Yellow.on_default(),
        _ => FAILED,
    }
}

#[derive(Clone, Copy)]
struct Paint {
    style: Style,
    on: bool,
}

impl Paint {
    fn wrap(&self, text: &str) -> String {
        let style = if self.on { self.style } else { Style::new() };
        format!("{style}{text}{style:#}")
    }
}

/// Lines after which a column forgets how wide it had to be.
const MEMORY: u32 = 100;

/// An IPv4 address.
const MIN_ENDPOINTS: usize = 15;
/// Two IPv4 endpoints with ports, and the arrow.
const MAX_ENDPOINTS: usize = 21 + 3 + 21;
const MIN_TARGET: usize = 24;
/// Without a terminal long targets stay whole, but one of them must not push all others apart.
const MAX_TARGET: usize = 48;

const DIM: Style = Style::new().dimmed();
const FAILED: Style = AnsiColor::Red.on_default().bold();
const DOUBTFUL: Style = AnsiColor::Yellow.on_default();
