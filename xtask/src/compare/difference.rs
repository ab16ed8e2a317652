//! What two lists of exchanges differ in, by name.

use std::fmt;

use super::{Connection, Exchange, Exchanges};

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Difference {
    OnlyOurs(Exchange),
    OnlyTheirs(Exchange),
    /// The same request with another answer.
    Status {
        ours: Exchange,
        theirs: Option<u16>,
    },
    /// The same method and status; the one that is left on either side.
    Target {
        ours: Exchange,
        theirs: String,
    },
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OnlyOurs(exchange) => write!(f, "only ours      {exchange}"),
            Self::OnlyTheirs(exchange) => write!(f, "only tshark's  {exchange}"),
            Self::Status { ours, theirs: Some(status) } => {
                write!(f, "status         {ours}, tshark's is {status}")
            }
            Self::Status { ours, theirs: None } => {
                write!(f, "status         {ours}, tshark has none")
            }
            Self::Target { ours, theirs } => {
                write!(f, "target         {ours}, tshark's is {theirs}")
            }
        }
    }
}

/// Every difference, by connection. Equal exchanges cancel out, whatever their order: the two tools
/// order overlapping ones differently.
pub(super) fn between(ours: &Exchanges, theirs: &Exchanges) -> Vec<(Connection, Difference)> {
    let mut connections: Vec<&Connection> = ours.keys().chain(theirs.keys()).collect();
    connections.sort_unstable();
    connections.dedup();
    let list = |exchanges: &Exchanges, connection| exchanges.get(connection).cloned();
    connections
        .into_iter()
        .flat_map(|connection| {
            let ours = list(ours, connection).unwrap_or_default();
            let theirs = list(theirs, connection).unwrap_or_default();
            of_connection(ours, theirs).into_iter().map(|d| (connection.clone(), d))
        })
        .collect()
}

fn of_connection(mut ours: Vec<Exchange>, mut theirs: Vec<Exchange>) -> Vec<Difference> {
    let mut differences = Vec::new();
    ours.sort_unstable();
    theirs.sort_unstable();
    take_pairs(&mut ours, &mut theirs, |a, b| a == b, |_, _| ());
    take_pairs(
        &mut ours,
        &mut theirs,
        |a, b| a.request.is_some() && a.request == b.request,
        |ours, theirs| differences.push(Difference::Status { ours, theirs: theirs.status }),
    );
    let method = |e: &Exchange| e.request.as_ref().map(|(method, _)| method.clone());
    if let ([a], [b]) = (&ours[..], &theirs[..])
        && let Some((_, target)) = &b.request
        && method(a) == method(b)
        && a.status == b.status
    {
        differences.push(Difference::Target { ours: a.clone(), theirs: target.clone() });
        return differences;
    }
    differences.extend(ours.into_iter().map(Difference::OnlyOurs));
    differences.extend(theirs.into_iter().map(Difference::OnlyTheirs));
    differences
}

/// Takes out of both sorted lists what belongs together.
fn take_pairs(
    ours: &mut Vec<Exchange>,
    theirs: &mut Vec<Exchange>,
    same: impl Fn(&Exchange, &Exchange) -> bool,
    mut pair: impl FnMut(Exchange, Exchange),
) {
    let (mut left, mut right) = (Vec::new(), Vec::new());
    let mut b = std::mem::take(theirs).into_iter().peekable();
    for a in std::mem::take(ours) {
        // The lists are sorted by request first, so what is smaller has no counterpart to come.
        while let Some(smaller) = b.next_if(|b| !same(&a, b) && *b < a) {
            right.push(smaller);
        }
        match b.next_if(|b| same(&a, b)) {
            Some(b) => pair(a, b),
            None => left.push(a),
        }
    }
    right.extend(b);
    (*ours, *theirs) = (left, right);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(texts: &[(&str, u16)]) -> Vec<Exchange> {
        let one = |&(target, status): &(&str, u16)| Exchange {
            request: (!target.is_empty()).then(|| ("GET".to_owned(), target.to_owned())),
            status: (status != 0).then_some(status),
        };
        texts.iter().map(one).collect()
    }

    #[track_caller]
    fn check(ours: &[(&str, u16)], theirs: &[(&str, u16)], expected: &[&str]) {
        let shown: Vec<String> =
            of_connection(list(ours), list(theirs)).iter().map(ToString::to_string).collect();
        assert_eq!(shown, expected);
    }

    #[test]
    fn equal_exchanges_cancel_out_in_any_order() {
        check(
            &[("/b", 200), ("/a", 200), ("/a", 200)],
            &[("/a", 200), ("/a", 200), ("/b", 200)],
            &[],
        );
    }

    #[test]
    fn each_difference_has_its_name() {
        check(&[("/a", 200)], &[("/a", 404)], &["status         GET /a → 200, tshark's is 404"]);
        check(&[("/a", 200)], &[("/a", 0)], &["status         GET /a → 200, tshark has none"]);
        check(&[("/a", 200)], &[("/b", 200)], &["target         GET /a → 200, tshark's is /b"]);
        check(
            &[("/a", 200), ("/a", 200)],
            &[("/a", 200), ("", 500)],
            &["only ours      GET /a → 200", "only tshark's  (no request) → 500"],
        );
    }

    #[test]
    fn connections_are_compared_one_by_one() {
        let of = |port: &str, exchanges| {
            let connection = Connection { client: port.to_owned(), server: "s".to_owned() };
            Exchanges::from([(connection, exchanges)])
        };
        let differences = between(&of("1", list(&[("/", 200)])), &of("2", list(&[("/", 200)])));
        assert_eq!(differences.len(), 2, "{differences:?}");
    }
}
