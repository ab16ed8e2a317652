//! Owns one promise: installing a package for the tests leaves no service running, and none that
//! starts at the next boot.
//!
//! Debian's packages of nginx and Redis start their service when they are configured. The tests
//! start servers of their own, in namespaces of their own, and a second nginx on port 80 of a
//! developer's machine is nobody's wish. A policy-rc.d would be the classic way; it is a file of
//! the administrator's that concerns every package, so it is left alone. Instead:
//!
//! - under systemd each unit is masked until the next boot at most (`mask --runtime`) while its
//!   package is installed, then unmasked and disabled;
//! - under another init apt-get runs with `RUNLEVEL=1`, where invoke-rc.d starts no service;
//! - without any init (a container, a chroot) invoke-rc.d blocks the start by itself. There an init
//!   script's `stop` must not be called either: it may reach processes outside.
//!
//! Only units of packages that were not installed before are touched, so a service that the user
//! runs is never stopped.

use std::path::Path;

use anyhow::Result;

use crate::runner::{self, Runner};

/// The services that packages among [`super::needs`] bring along: package, then unit or script.
const SERVICES: &[(&str, &str)] = &[
    ("nginx-light", "nginx"),
    ("redis-server", "redis-server"),
    ("prometheus", "prometheus"),
    // Recommended by the one before; not installed by us, but a mirror's settings may differ.
    ("prometheus", "prometheus-node-exporter"),
];

/// What is done around an installation.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Guard {
    services: Vec<&'static str>,
    systemd: bool,
}

impl Guard {
    /// Covers the services of these packages, none of which is installed yet.
    pub(super) fn new(packages: &[&str]) -> Self {
        let folders = ["/etc/systemd/system", "/lib/systemd/system", "/usr/lib/systemd/system"];
        let unknown = |name: &&str| {
            let unit = format!("{name}.service");
            !folders.iter().any(|folder| Path::new(folder).join(&unit).exists())
        };
        Self {
            services: services_of(packages).into_iter().filter(unknown).collect(),
            systemd: Path::new("/run/systemd/system").is_dir(),
        }
    }

    pub(super) fn before(&self, runner: Runner) -> Result<()> {
        self.systemctl(runner, &["mask", "--runtime"])
    }

    /// Also after a failed installation, which may have configured some of the packages.
    pub(super) fn after(&self, runner: Runner) -> Result<()> {
        self.systemctl(runner, &["unmask", "--runtime"])?;
        self.systemctl(runner, &["--quiet", "disable"])
    }

    fn systemctl(&self, runner: Runner, verb: &[&str]) -> Result<()> {
        if !self.systemd || self.services.is_empty() {
            return Ok(());
        }
        let units = self.services.iter().map(|service| format!("{service}.service"));
        runner.run(runner::as_root("systemctl", &[]).args(verb).args(units))
    }
}

fn services_of(packages: &[&str]) -> Vec<&'static str> {
    let brought = SERVICES.iter().filter(|(package, _)| packages.contains(package));
    brought.map(|(_, service)| *service).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_packages_with_a_service_are_guarded() {
        assert_eq!(services_of(&["curl", "wrk"]), [""; 0]);
        assert_eq!(services_of(&["nginx-light", "curl"]), ["nginx"]);
        assert_eq!(services_of(&["redis-server", "nginx-light"]), ["nginx", "redis-server"]);
        assert_eq!(services_of(&["prometheus"]), ["prometheus", "prometheus-node-exporter"]);
    }
}
