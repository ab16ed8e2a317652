//! Recipes in `docs/recipes`: their fenced blocks, and what of an output is the same each time.

/// The fenced blocks of a language, in their order.
pub(crate) fn blocks(markdown: &str, language: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut open: Option<(bool, String)> = None;
    for line in markdown.lines() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(found), None) => open = Some((found == language, String::new())),
            (Some(_), Some(_)) => {
                let (is_wanted, text) = open.take().unwrap_or_default();
                blocks.extend(is_wanted.then_some(text));
            }
            (None, Some((_, text))) => *text += &format!("{line}\n"),
            (None, None) => {}
        }
    }
    blocks
}

/// The words of each line, with `*` for what differs from run to run: times of day, durations and
/// the ports of clients.
pub(crate) fn shape(text: &str) -> Vec<String> {
    text.lines()
        .map(|line| line.split_whitespace().map(word).collect::<Vec<_>>().join(" "))
        .collect()
}

fn word(word: &str) -> &str {
    let bare = word.trim_end_matches([',', ';']);
    let number = bare.trim_end_matches(|c: char| c.is_alphabetic());
    let unit = &bare[number.len()..];
    let is_number = number.parse::<f64>().is_ok();
    let is_duration = is_number && ["ns", "µs", "ms", "s"].contains(&unit);
    let is_time = bare.split(':').count() == 3 && bare.starts_with(|c: char| c.is_ascii_digit());
    let port = bare.rsplit_once("127.0.0.1:").and_then(|(_, port)| port.parse::<u16>().ok());
    // Those that the kernel gives out, from which no server of these recipes is named.
    let is_ephemeral = port.is_some_and(|port| port >= 32_768);
    if is_duration || is_time || is_ephemeral { "*" } else { word }
}
