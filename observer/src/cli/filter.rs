//! `-p`, `--host` and `-i`, applied to events: for files, and for what a daemon sends, where the
//! kernel could not be told.

use std::net::IpAddr;

use crate::capture::interfaces;
use ipnet::IpNet;
use serde_json::Value;

/// Empty lists admit everything. An event passes when each list that is not empty admits it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filter {
    /// Only events of this name, where one is set.
    pub(crate) event: Option<&'static str>,
    /// No events of this name, where one is set.
    pub(crate) except: Option<&'static str>,
    /// One of the two TCP ports is in the list.
    pub(crate) ports: Vec<u16>,
    /// One of the two addresses is in one of the networks.
    pub(crate) hosts: Vec<IpNet>,
    /// The interface that saw it.
    pub(crate) interfaces: Vec<String>,
}

impl Filter {
    /// Whether there is nothing to look for.
    pub(crate) fn admits_all(&self) -> bool {
        self.event.is_none()
            && self.except.is_none()
            && self.ports.is_empty()
            && self.hosts.is_empty()
            && self.interfaces.is_empty()
    }

    /// Whether `event` is wanted. Statistics are about no flow and always are.
    pub(crate) fn admits(&self, event: &Value) -> bool {
        let name = event.pointer("/event/name").and_then(Value::as_str);
        let is_unwanted = self.except.is_some() && name == self.except;
        if is_unwanted || (self.event.is_some() && name != self.event) {
            return false;
        }
        if name == Some("observer.stats") {
            return true;
        }
        self.admits_ports(event) && self.admits_hosts(event) && self.admits_interface(event)
    }

    fn admits_ports(&self, event: &Value) -> bool {
        self.ports.is_empty()
            || ENDS.iter().any(|end| {
                let port = event.pointer(&format!("/{end}/port")).and_then(Value::as_u64);
                self.ports.iter().any(|wanted| Some(u64::from(*wanted)) == port)
            })
    }

    fn admits_hosts(&self, event: &Value) -> bool {
        self.hosts.is_empty()
            || ENDS.iter().any(|end| {
                let address = event.pointer(&format!("/{end}/address")).and_then(Value::as_str);
                let address = address.and_then(|text| text.parse::<IpAddr>().ok());
                address.is_some_and(|address| self.hosts.iter().any(|net| net.contains(&address)))
            })
    }

    fn admits_interface(&self, event: &Value) -> bool {
        let name = event.pointer("/obs/capture/interface").and_then(Value::as_str);
        self.interfaces.is_empty()
            || name.is_some_and(|name| interfaces::includes(&self.interfaces, name))
    }
}

/// Where the roles are not known, the ends are told by direction alone.
const ENDS: [&str; 4] = ["client", "server", "source", "destination"];

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(filter: &Filter, want: bool) {
        let event = serde_json::json!({
            "event": {"name": "http.exchange"},
            "client": {"address": "10.1.2.3", "port": 51234},
            "server": {"address": "::1", "port": 8080},
            "obs": {"capture": {"interface": "eth0"}},
        });
        assert_eq!(filter.admits(&event), want, "{filter:?}");
    }

    fn hosts(text: &str) -> Filter {
        Filter { hosts: vec![text.parse().unwrap()], ..Filter::default() }
    }

    #[test]
    fn an_empty_filter_admits_everything() {
        check(&Filter::default(), true);
    }

    #[test]
    fn ports_and_hosts_match_either_end() {
        check(&Filter { ports: vec![8080], ..Filter::default() }, true);
        check(&Filter { ports: vec![1, 51234], ..Filter::default() }, true);
        check(&Filter { ports: vec![80], ..Filter::default() }, false);
        check(&hosts("10.1.0.0/16"), true);
        check(&hosts("::1/128"), true);
        check(&hosts("10.2.0.0/16"), false);
        check(&Filter { ports: vec![80], ..hosts("::1/128") }, false);
    }

    #[test]
    fn the_interface_is_the_one_that_saw_it() {
        check(&Filter { interfaces: vec!["lo".into(), "eth0".into()], ..Filter::default() }, true);
        check(&Filter { interfaces: vec!["lo".into()], ..Filter::default() }, false);
    }

    #[test]
    fn one_kind_of_event_leaves_out_all_others() {
        check(&Filter { event: Some("http.exchange"), ..Filter::default() }, true);
        let dth = Filter { event: Some("tcp.dth"), ..Filter::default() };
        check(&dth, false);
        assert!(!dth.admits(&serde_json::json!({"event": {"name": "observer.stats"}})));
        assert!(!dth.admits_all());
        check(&Filter { except: Some("tls.flow"), ..Filter::default() }, true);
        check(&Filter { except: Some("http.exchange"), ..Filter::default() }, false);
    }

    #[test]
    fn statistics_always_pass() {
        let stats = serde_json::json!({"event": {"name": "observer.stats"}});
        assert!(Filter { ports: vec![80], ..hosts("::1/128") }.admits(&stats));
    }
}
