//! Templates of routes, as `[metrics] routes` writes them.

/// One template of the configuration: `/users/{id}/orders`, `/static/*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    text: String,
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(String),
    /// `{name}`: one segment, whatever it is.
    Any,
    /// `*` at the end: all that is left.
    Rest,
}

impl std::str::FromStr for Template {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |why| format!("`{text}` is no route: {why}; write /users/{{id}} or /static/*");
        let Some(rest) = text.strip_prefix('/') else { return Err(wrong("it begins with `/`")) };
        if text.len() > MAX_BYTES {
            return Err(wrong("it is too long"));
        }
        let mut parts = Vec::new();
        for part in rest.split('/') {
            if parts.last() == Some(&Part::Rest) {
                return Err(wrong("`*` stands at the end"));
            }
            parts.push(match part {
                "*" => Part::Rest,
                _ if part.starts_with('{') && part.ends_with('}') && part.len() > 2 => Part::Any,
                _ if part.contains(['{', '}', '*']) => {
                    return Err(wrong("`{name}` and `*` are whole segments"));
                }
                _ => Part::Literal(part.to_owned()),
            });
        }
        Ok(Self { text: text.to_owned(), parts })
    }
}

impl Template {
    /// As it was written: the name of the route.
    pub fn text(&self) -> &str {
        &self.text
    }

    pub fn matches(&self, path: &str) -> bool {
        let Some(rest) = path.strip_prefix('/') else { return false };
        let mut segments = rest.split('/');
        for part in &self.parts {
            let segment = match part {
                Part::Rest => return true,
                Part::Literal(_) | Part::Any => segments.next(),
            };
            match (part, segment) {
                (Part::Literal(want), Some(segment)) if want == segment => {}
                (Part::Any, Some(segment)) if !segment.is_empty() => {}
                _ => return false,
            }
        }
        segments.next().is_none()
    }
}

/// Of a template.
const MAX_BYTES: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn matches(template: &str, path: &str, want: bool) {
        assert_eq!(template.parse::<Template>().unwrap().matches(path), want, "{template} {path}");
    }

    #[test]
    fn a_template_matches_whole_paths() {
        matches("/users/{id}", "/users/jo", true);
        matches("/users/{id}", "/users/", false);
        matches("/users/{id}", "/users/jo/x", false);
        matches("/users/{id}/orders", "/users/1/orders", true);
        matches("/static/*", "/static/a/b.js", true);
        matches("/static/*", "/statics", false);
        matches("/", "/", true);
        matches("/*", "/anything/at/all", true);
    }

    #[test]
    fn what_is_no_template_says_why() {
        for text in ["users", "/a/*/b", "/a{id}", "/{}", ""] {
            let wrong = text.parse::<Template>().unwrap_err();
            assert!(wrong.contains("is no route: "), "{wrong}");
        }
    }
}
