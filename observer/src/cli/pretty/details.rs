//! Header fields and bodies, on lines beneath the exchange, marked as curl -v marks them: `>` what
//! the client sent, `<` what the server sent.

use serde_json::Value;

use super::text::{harmless, size};
use super::{Look, number_at, push, text_at};

/// What `--headers` and `--body` ask for; nothing without them.
pub(super) fn exchange(event: &Value, look: &Look, out: &mut Vec<u8>) {
    for (mark, side) in [('>', "request"), ('<', "response")] {
        if look.headers {
            if side == "response" {
                interim(event, out);
            }
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

/// Status codes of the interim responses, which came before the final one.
fn interim(event: &Value, out: &mut Vec<u8>) {
    let interim = event.pointer("/obs/http/interim").and_then(Value::as_array);
    for response in interim.into_iter().flatten() {
        if let Some(status) = number_at(response, "/status_code") {
            push(out, format_args!("    < {status} (interim)\n"));
        }
    }
}

/// The captured prefix of a body, line by line, and how much more there was.
fn body(event: &Value, side: &str, mark: char, out: &mut Vec<u8>) {
    let Some(text) = text_at(event, &format!("/obs/http/{side}/body/text")) else { return };
    for line in text.lines() {
        push(out, format_args!("    {mark} | {}\n", harmless(line)));
    }
    let truncated = event.pointer(&format!("/obs/http/{side}/body/truncated"));
    if truncated == Some(&Value::Bool(true)) {
        let whole = number_at(event, &format!("/http/{side}/body/size")).unwrap_or(0);
        push(out, format_args!("    {mark} | … of {}\n", size(whole)));
    }
}
