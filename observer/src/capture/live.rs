//! TEMPORARY stand-in of branch `s`; branch `k` owns this module.
use crate::event::stats::Ledger;
use crate::segment::Segment;
use std::time::Duration;
#[derive(Debug)]
pub enum Interfaces {
    Any,
    Named(Vec<String>),
}
#[derive(Debug)]
pub enum Backend {
    Auto,
    Tc,
    Socket,
}
#[derive(Debug)]
pub struct Options {
    pub interfaces: Interfaces,
    pub backend: Backend,
    pub ports: Vec<u16>,
    pub hosts: Vec<ipnet::IpNet>,
    pub ring_bytes: u32,
}
#[derive(Debug, thiserror::Error)]
#[error("this branch has no live capture")]
pub struct Error;
#[derive(Debug)]
pub struct Capture;
impl Capture {
    pub fn start(_: &Options) -> Result<Self, Error> {
        if std::env::var_os("OBSERVER_TEMP_NO_CAPTURE").is_some() { Ok(Self) } else { Err(Error) }
    }
    pub fn warnings(&self) -> &[String] {
        &[]
    }
    pub fn poll(&mut self, timeout: Duration, _: impl FnMut(&Segment<'_>)) -> Result<usize, Error> {
        std::thread::sleep(timeout);
        Ok(0)
    }
    pub fn ledger(&self) -> Result<Ledger, Error> {
        Ok(Ledger::default())
    }
}
