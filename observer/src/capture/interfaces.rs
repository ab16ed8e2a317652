//! Which interfaces are meant by a list of names and patterns.

/// Whether the list means the interface of this name. An entry is a name, in which `*` stands for
/// any text and `?` for one character, or `any`; behind `!` it takes out what it matches. A list
/// that only takes out means all others, and the order does not matter.
pub fn includes(list: &[String], name: &str) -> bool {
    let denied = |entry: &String| entry.strip_prefix('!').is_some_and(|it| matches(it, name));
    let mut allowing = list.iter().filter(|entry| !entry.starts_with('!')).peekable();
    let is_open = allowing.peek().is_none();
    !list.iter().any(denied) && (is_open || allowing.any(|entry| matches(entry, name)))
}

/// Whether the list means every interface there is.
pub fn is_everything(list: &[String]) -> bool {
    let is_any = |entry: &String| entry == "any" || entry == "*";
    list.is_empty() || list.iter().any(is_any) && !list.iter().any(|entry| entry.starts_with('!'))
}

/// Whether an entry is one interface's own name: if that is not there, somebody has to know.
pub fn is_plain(entry: &str) -> bool {
    entry != "any" && !entry.contains(['*', '?', '!'])
}

fn matches(pattern: &str, name: &str) -> bool {
    pattern == "any" || glob(pattern.as_bytes(), name.as_bytes())
}

/// Names have 15 bytes at most (IFNAMSIZ), so the recursion is short.
fn glob(pattern: &[u8], name: &[u8]) -> bool {
    match (pattern.split_first(), name.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), Some((_, behind))) => glob(rest, name) || glob(pattern, behind),
        (Some((b'*', rest)), None) => glob(rest, name),
        (Some((b'?', rest)), Some((_, behind))) => glob(rest, behind),
        (Some((want, rest)), Some((have, behind))) => want == have && glob(rest, behind),
        (None, Some(_)) | (Some(_), None) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The list means exactly these of lo, eth0, veth12, docker0.
    #[track_caller]
    fn check(list: &[&str], meant: &[&str]) {
        let list: Vec<_> = list.iter().map(|entry| (*entry).to_owned()).collect();
        let all = ["lo", "eth0", "veth12", "docker0"];
        let got: Vec<_> = all.into_iter().filter(|name| includes(&list, name)).collect();
        assert_eq!(got, meant);
    }

    #[test]
    fn names_and_patterns_take_in_and_out() {
        check(&["eth0"], &["eth0"]);
        check(&["eth"], &[]);
        check(&["veth*"], &["veth12"]);
        check(&["*0"], &["eth0", "docker0"]);
        check(&["?o", "veth??"], &["lo", "veth12"]);
        check(&["any"], &["lo", "eth0", "veth12", "docker0"]);
        check(&["!docker0"], &["lo", "eth0", "veth12"]);
        check(&["!veth*", "any", "!lo"], &["eth0", "docker0"]);
        check(&["*0", "!docker*"], &["eth0"]);
    }

    #[test]
    fn everything_is_told_apart_from_nearly_everything() {
        let list = |text: &str| text.split(',').map(str::to_owned).collect::<Vec<_>>();
        assert!(is_everything(&[]) && is_everything(&list("any")) && is_everything(&list("lo,*")));
        assert!(!is_everything(&list("any,!lo")) && !is_everything(&list("lo")));
        assert!(is_plain("eth0") && !is_plain("eth*") && !is_plain("!lo") && !is_plain("any"));
    }
}
