//! `[metrics]`: where Prometheus may scrape, and how requests are told apart.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::Deserialize;

use super::route::Template;

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Metrics {
    #[serde(deserialize_with = "listen")]
    pub listen: Option<Listen>,
    #[serde(deserialize_with = "routes")]
    pub routes: Vec<Template>,
    /// Series of requests; past them everything is counted under `_OTHER`.
    pub max_series: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// On a loopback address.
    Port(SocketAddr),
    Unix(PathBuf),
}

impl Default for Metrics {
    fn default() -> Self {
        Self { listen: None, routes: Vec::new(), max_series: 2000 }
    }
}

fn listen<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Listen>, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse(&text).map_err(serde::de::Error::custom)
}

fn parse(text: &str) -> Result<Option<Listen>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    if let Some(path) = text.strip_prefix("unix:").filter(|path| path.starts_with('/')) {
        return Ok(Some(Listen::Unix(path.into())));
    }
    let address: SocketAddr = text.parse().map_err(|_| {
        format!(
            "`listen = {text:?}` is no place to listen: write \"127.0.0.1:9464\", \"[::1]:9464\" or \
             \"unix:/run/observer/metrics.sock\""
        )
    })?;
    if !address.ip().is_loopback() {
        return Err(format!(
            "`listen = {text:?}` is reachable from other hosts, without TLS and without a password: \
             use a loopback address and put a proxy in front"
        ));
    }
    Ok(Some(Listen::Port(address)))
}

fn routes<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<Template>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    texts.iter().map(|text| text.parse().map_err(serde::de::Error::custom)).collect()
}
