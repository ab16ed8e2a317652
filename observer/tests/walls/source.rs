//! Owns reading a Rust source well enough for the walls: the code without comments, strings and
//! unit tests, and every path that it names, with `use a::{b, c::d}` spread out. It is no parser;
//! it errs towards seeing too much.

/// One source file.
pub(crate) struct Source {
    /// From the workspace's root: `observer/src/tcp/seq.rs`.
    pub(crate) path: String,
    pub(crate) first_line: String,
    /// Lines of the file, not counting its unit tests.
    pub(crate) n_lines: usize,
    /// Each path named in the code, in segments: `["std", "fs", "read"]`.
    pub(crate) paths: Vec<Vec<String>>,
    /// Each name called as a method: `x.name(`.
    pub(crate) methods: Vec<String>,
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let text = if is_test_file(path) { "" } else { without_tests(text) };
        let tokens = tokens(&without_comments(text));
        Self {
            path: path.to_owned(),
            first_line: text.lines().next().unwrap_or_default().to_owned(),
            n_lines: text.lines().count(),
            paths: paths(&tokens),
            methods: methods(&tokens),
        }
    }
}

pub(crate) fn is_test_file(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.contains("/tests/")
}

/// The house puts unit tests at the end of a file, in a module behind `#[cfg(test)]`.
fn without_tests(text: &str) -> &str {
    let mut at = 0;
    while let Some(found) = text[at..].find("#[cfg(test)]") {
        let start = at + found;
        let rest = text[start + "#[cfg(test)]".len()..].trim_start();
        if rest.starts_with("mod ") && starts_line(text, start) {
            return &text[..start];
        }
        at = start + 1;
    }
    text
}

fn starts_line(text: &str, at: usize) -> bool {
    at == 0 || text[..at].ends_with('\n')
}

/// Comments and the contents of string literals become blanks.
fn without_comments(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let at = |i: usize| chars.get(i).copied().unwrap_or('\0');
    let mut code = String::with_capacity(text.len());
    let mut i = 0;
    while i < chars.len() {
        let end = match (at(i), at(i + 1)) {
            ('/', '/') => end_of(&chars, i, |j| at(j) == '\n'),
            ('/', '*') => end_of(&chars, i + 2, |j| at(j - 2) == '*' && at(j - 1) == '/'),
            ('r', '"' | '#') if !is_word(at(i.wrapping_sub(1))) => raw_string_end(&chars, i),
            ('"', _) => string_end(&chars, i),
            // A quote in a character literal; any other character literal is harmless here.
            ('\'', '"') if at(i + 2) == '\'' => i + 3,
            ('\'', '\\') => end_of(&chars, i + 3, |j| at(j - 1) == '\''),
            _ => i,
        };
        if end > i {
            code.push(' ');
            i = end;
        } else {
            code.push(at(i));
            i += 1;
        }
    }
    code
}

fn end_of(chars: &[char], from: usize, done: impl Fn(usize) -> bool) -> usize {
    (from..chars.len()).find(|&j| done(j)).unwrap_or(chars.len())
}

fn string_end(chars: &[char], start: usize) -> usize {
    let mut i = start + 1;
    while i < chars.len() && chars[i] != '"' {
        i += if chars[i] == '\\' { 2 } else { 1 };
    }
    (i + 1).min(chars.len())
}

/// `r"…"`, `r#"…"#`; a raw identifier such as `r#type` is returned as it is.
fn raw_string_end(chars: &[char], start: usize) -> usize {
    let n_hashes = chars[start + 1..].iter().take_while(|c| **c == '#').count();
    let open = start + 1 + n_hashes;
    if chars.get(open) != Some(&'"') {
        return start;
    }
    let closes = |j: usize| {
        chars[j] == '"'
            && chars[j + 1..].iter().take(n_hashes).filter(|c| **c == '#').count() == n_hashes
    };
    (open + 1..chars.len()).find(|&j| closes(j)).map_or(chars.len(), |j| j + 1 + n_hashes)
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

#[derive(Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    /// `::`
    Then,
    Other(char),
}

fn tokens(code: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut chars = code.chars().peekable();
    while let Some(c) = chars.next() {
        if is_word(c) {
            let mut word = String::from(c);
            while let Some(next) = chars.next_if(|next| is_word(*next)) {
                word.push(next);
            }
            tokens.push(Token::Word(word));
        } else if c == ':' && chars.next_if_eq(&':').is_some() {
            tokens.push(Token::Then);
        } else if !c.is_whitespace() {
            tokens.push(Token::Other(c));
        }
    }
    tokens
}

/// Every path, with the braces of a use tree spread out. `x` alone is a path of one segment.
fn paths(tokens: &[Token]) -> Vec<Vec<String>> {
    let mut paths = Vec::new();
    let mut i = 0;
    while i < tokens.len() {
        match &tokens[i] {
            Token::Word(_) => i = tree(tokens, i, &[], &mut paths),
            Token::Then | Token::Other(_) => i += 1,
        }
    }
    paths
}

/// Reads one path from `i`, after `prefix`, and what its braces hold; returns where it ends.
fn tree(tokens: &[Token], mut i: usize, prefix: &[String], paths: &mut Vec<Vec<String>>) -> usize {
    let mut path = prefix.to_vec();
    while let Some(Token::Word(word)) = tokens.get(i) {
        path.push(word.clone());
        i += 1;
        if tokens.get(i) != Some(&Token::Then) {
            break;
        }
        i += 1;
        match tokens.get(i) {
            Some(Token::Other('*')) => {
                path.push("*".to_owned());
                i += 1;
                break;
            }
            Some(Token::Other('{')) => return branches(tokens, i + 1, &path, paths),
            _ => {}
        }
    }
    paths.push(path);
    i
}

fn branches(
    tokens: &[Token],
    mut i: usize,
    prefix: &[String],
    paths: &mut Vec<Vec<String>>,
) -> usize {
    while let Some(token) = tokens.get(i) {
        match token {
            Token::Word(_) => i = tree(tokens, i, prefix, paths),
            Token::Other('}') => return i + 1,
            Token::Then | Token::Other(_) => i += 1,
        }
    }
    i
}

fn methods(tokens: &[Token]) -> Vec<String> {
    let calls = tokens.windows(3).filter_map(|window| match window {
        [Token::Other('.'), Token::Word(name), Token::Other('(')] => Some(name.clone()),
        _ => None,
    });
    calls.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let source = Source::new("observer/src/x.rs", text);
        let paths: Vec<String> = source.paths.iter().map(|path| path.join("::")).collect();
        assert_eq!(paths, expected);
    }

    #[test]
    fn use_trees_are_spread_out() {
        check(
            "use a::{b, c::{d, e as f}, g::*};",
            &["use", "a::b", "a::c::d", "a::c::e", "a::c::as", "a::c::f", "a::g::*"],
        );
    }

    #[test]
    fn paths_in_code_are_seen_and_those_in_comments_and_strings_are_not() {
        check("a::b(x) // c::d\n/* e::f */ \"g::\\\"h\" r#\"i::\"j\"#", &["a::b", "x"]);
        check("'\"' a::b '\\'' c", &["a::b", "c"]);
    }

    #[test]
    fn unit_tests_do_not_count() {
        let source =
            Source::new("observer/src/x.rs", "//! X.\na;\n#[cfg(test)]\nmod tests {\n b;\n}\n");
        assert_eq!(source.n_lines, 2);
        assert_eq!(source.paths, [["a"]]);
        assert_eq!(Source::new("observer/src/x/tests.rs", "a;").n_lines, 0);
    }

    #[test]
    fn methods_are_seen() {
        let source = Source::new("observer/src/x.rs", "a.b(c.d).e(1); f(2);");
        assert_eq!(source.methods, ["b", "e"]);
    }
}
