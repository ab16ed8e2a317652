//! Header fields and bodies, on lines beneath the exchange, marked as curl -v marks them: `>` what
//! the client sent, `<` what the server sent.

use serde_json::Value;

use super::text::harmless;
use super::{Look, push, text_at};

/// What `--headers` and `--body` ask for; nothing without them.
pub(super) fn exchange(event: &Value, look: &Look, out: &mut Vec<u8>) {
    for (mark, side) in [('>', "request"), ('<', "response")] {
        if look.headers {
            fields(event, &format!("/http/{side}/header"), mark, out);
            fields(event, &format!("/obs/http/{side}/trailer"), mark, out);
        }
        if look.body {
            body(event, side, mark, out);
        }
    }
}

fn fields(event: &Value, pointer: &str, mark: char, out: &mut Vec<u8>) {
    let Some(fields) = event.pointer(pointer).and_then(Value::as_object) else { return };
    for (name, values) in fields {
        let values = values.as_array().into_iter().flatten().filter_map(Value::as_str);
        for value in values {
            push(out, format_args!("    {mark} {}: {}\n", harmless(name), harmless(value)));
        }
    }
}

/// The captured prefix of a body, line by line; a body that is no text was reported in base64.
fn body(event: &Value, side: &str, mark: char, out: &mut Vec<u8>) {
    if let Some(text) = text_at(event, &format!("/http/{side}/body/content")) {
        for line in text.lines() {
            push(out, format_args!("    {mark} | {}\n", harmless(line)));
        }
    }
}
