//! Namespaces and veth pairs that come and go beside the traffic, each with one exchange over it.

use anyhow::Result;

use super::traffic::PORT;
use crate::{
    bench::{Lab, quiet},
    runner,
};

/// A namespace that is linked to the lab's, for as long as this lives.
struct Guest {
    name: String,
}

/// One turn: a namespace appears, makes a request over a link of its own, and goes. Every third
/// link is renamed before it goes, and every third goes together with its namespace.
pub(super) fn turn(lab: &Lab, n: u32) -> Result<()> {
    let guest = Guest { name: format!("{}-{}", lab.name(), n % 2) };
    let (here, there) = (lab.name(), guest.name.as_str());
    ip(&["netns", "add", there])?;
    let link = format!("soak{n}");
    ip(&["-n", here, "link", "add", &link, "type", "veth", "peer", "name", "up0", "netns", there])?;
    ip(&["-n", here, "addr", "add", "10.79.0.1/24", "dev", &link])?;
    ip(&["-n", here, "link", "set", &link, "up"])?;
    ip(&["-n", there, "addr", "add", "10.79.0.2/24", "dev", "up0"])?;
    ip(&["-n", there, "link", "set", "up0", "up"])?;
    let url = format!("http://10.79.0.1:{PORT}/veth");
    let mut curl = runner::command("nsenter");
    curl.arg(format!("--net=/run/netns/{there}"));
    quiet(curl.args(["curl", "-q", "-s", "-o", "/dev/null", "--noproxy", "*", "-m", "10", &url]))?;
    match n % 3 {
        0 => ip(&["-n", here, "link", "del", &link]),
        1 => {
            ip(&["-n", here, "link", "set", &link, "down"])?;
            ip(&["-n", here, "link", "set", &link, "name", "renamed0"])?;
            ip(&["-n", here, "link", "del", "renamed0"])
        }
        _ => Ok(()),
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let _ = ip(&["netns", "del", &self.name]);
    }
}

fn ip(args: &[&str]) -> Result<()> {
    quiet(runner::command("ip").args(args))
}
