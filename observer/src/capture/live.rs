//! TEMPORARY stand-in of branch `s`; branch `k` owns this module.
use crate::segment::Segment;
use std::net::IpAddr;
use std::time::Duration;
#[derive(Debug, Clone)]
pub enum Interfaces {
    Any,
    Named(Vec<String>),
}
#[derive(Debug, Clone, Copy)]
pub enum Backend {
    Auto,
    Tc,
    Socket,
}
#[derive(Debug, Clone, Copy)]
pub struct HostFilter {
    pub address: IpAddr,
    pub prefix: u8,
}
#[derive(Debug)]
pub struct Options {
    pub interfaces: Interfaces,
    pub backend: Backend,
    pub ports: Vec<u16>,
    pub hosts: Vec<HostFilter>,
    pub ring_bytes: u32,
    pub max_flows: u32,
}
impl Default for Options {
    fn default() -> Self {
        Self {
            interfaces: Interfaces::Any,
            backend: Backend::Auto,
            ports: vec![],
            hosts: vec![],
            ring_bytes: 0,
            max_flows: 0,
        }
    }
}
#[derive(Debug, thiserror::Error)]
#[error("this branch has no live capture")]
pub struct CaptureError;
#[derive(Debug, Default)]
pub struct Filtered {
    pub not_ip: u64,
    pub not_tcp: u64,
    pub fragment: u64,
    pub malformed: u64,
    pub unknown_link: u64,
    pub loopback: u64,
    pub port: u64,
    pub host: u64,
    pub no_payload: u64,
    pub not_http: u64,
    pub turned_off: u64,
    pub duplicate: u64,
}
#[derive(Debug, Default)]
pub struct Lost {
    pub ring_full: u64,
    pub flow_table: u64,
    pub unreadable: u64,
}
#[derive(Debug, Default)]
pub struct Ledger {
    pub seen: u64,
    pub emitted: u64,
    pub skipped: u64,
    pub filtered: Filtered,
    pub lost: Lost,
    pub records: u64,
    pub bytes: u64,
    pub flows: u64,
    pub owner_moves: u64,
    pub wakeups: u64,
    pub undecodable: u64,
}
#[derive(Debug)]
pub struct Interface {
    pub ifindex: u32,
    pub name: String,
}
#[derive(Debug)]
pub struct Capture;
impl Capture {
    pub fn start(_: &Options) -> Result<Self, CaptureError> {
        if std::env::var_os("OBSERVER_TEMP_NO_CAPTURE").is_some() {
            Ok(Self)
        } else {
            Err(CaptureError)
        }
    }
    pub fn take_warnings(&mut self) -> Vec<String> {
        Vec::new()
    }
    pub fn backend(&self) -> Backend {
        Backend::Tc
    }
    pub fn interfaces(&self) -> impl Iterator<Item = &Interface> {
        [].iter()
    }
    pub fn poll(
        &mut self,
        timeout: Duration,
        _: impl FnMut(&Segment<'_>),
    ) -> Result<usize, CaptureError> {
        std::thread::sleep(timeout);
        Ok(0)
    }
    pub fn ledger(&self) -> Result<Ledger, CaptureError> {
        Ok(Ledger::default())
    }
}
