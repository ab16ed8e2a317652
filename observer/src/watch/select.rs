//! Which exchanges are wanted.

use ipnet::IpNet;

use super::Exchange;

/// Empty lists admit everything. An exchange is wanted when each list that is not empty admits it.
#[derive(Default)]
pub(super) struct Select {
    /// One of the two TCP ports is in the list.
    pub(super) ports: Vec<u16>,
    /// One of the two addresses is in one of the networks.
    pub(super) networks: Vec<IpNet>,
    pub(super) domains: Vec<String>,
    /// Paths, and what lies below them.
    pub(super) paths: Vec<String>,
    pub(super) filters: Vec<Filter>,
}

/// What the user wants beyond the lists.
pub(super) struct Filter(pub(super) Box<dyn Fn(&Exchange) -> bool + Send>);

impl Select {
    pub(super) fn admits(&self, exchange: &Exchange) -> bool {
        let ends = [exchange.client, exchange.server];
        let holds = |net: &IpNet| ends.iter().any(|end| net.contains(&end.ip()));
        let is_domain = |wanted: &String| {
            exchange.domain.as_ref().is_some_and(|domain| domain.eq_ignore_ascii_case(wanted))
        };
        let is_path =
            |wanted: &String| exchange.path.as_ref().is_some_and(|path| is_below(path, wanted));
        (self.ports.is_empty() || ends.iter().any(|end| self.ports.contains(&end.port())))
            && (self.networks.is_empty() || self.networks.iter().any(holds))
            && (self.domains.is_empty() || self.domains.iter().any(is_domain))
            && (self.paths.is_empty() || self.paths.iter().any(is_path))
            && self.filters.iter().all(|Filter(admits)| admits(exchange))
    }
}

/// `/api` holds `/api` and `/api/x`, not `/apix`; `/api/` holds `/api/x` alone.
fn is_below(path: &str, wanted: &str) -> bool {
    let rest = path.strip_prefix(wanted);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || wanted.ends_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_holds_itself_and_what_is_below() {
        for (path, wanted, holds) in [
            ("/api", "/api", true),
            ("/api/x", "/api", true),
            ("/apix", "/api", false),
            ("/ap", "/api", false),
            ("/api/x", "/api/", true),
            ("/api", "/api/", false),
            ("/anything", "/", true),
        ] {
            assert_eq!(is_below(path, wanted), holds, "{path} below {wanted}");
        }
    }
}
