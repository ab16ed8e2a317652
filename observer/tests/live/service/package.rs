//! What the packages do to a machine, and that they undo it.

use std::collections::BTreeSet;

use super::{CONFIG, exchanges, fetch, machine};
use crate::harness::machine::Machine;
use crate::harness::wait::{LONG, until};

/// What a package could leave behind.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Remains {
    /// Every path, but where dpkg, systemd and the C library keep their own books.
    paths: BTreeSet<String>,
    /// passwd(5) and group(5).
    accounts: String,
    units: String,
    attached: usize,
}

impl Remains {
    pub(super) fn of(machine: &Machine) -> Self {
        let paths = machine.run(
            "find / -xdev \\( -path /var/lib/dpkg/info/observer.\\* -print \\) -o \
             \\( -path /proc -o -path /var/lib/dpkg -o -path /var/log/journal -o -path /tmp \
             -o -path /packages -o -path /var/lib/systemd \\) -prune -o -print",
        );
        // Backups that shadow's programs and dpkg make of their files, a lock, a cache, a log.
        let is_book = |path: &&str| {
            let books = ["-", ".pwd.lock", "/var/cache/ldconfig/aux-cache", "/var/log/dpkg.log"];
            !books.iter().any(|book| path.ends_with(book))
        };
        Self {
            paths: paths.lines().filter(is_book).map(str::to_owned).collect(),
            accounts: machine.run("sort /etc/passwd /etc/group"),
            units: machine.run(
                "systemctl daemon-reload; ls /run/systemd/system /run/observer 2>&1; \
                 systemctl list-units --all --no-legend 'observer*'; \
                 systemctl list-unit-files --no-legend 'observer*'; true",
            ),
            attached: machine.attached(),
        }
    }

    #[track_caller]
    fn assert_equals(&self, before: &Self) {
        let more: Vec<_> = self.paths.difference(&before.paths).collect();
        let less: Vec<_> = before.paths.difference(&self.paths).collect();
        assert!(more.is_empty() && less.is_empty(), "left {more:?}, took away {less:?}");
        assert_eq!(self, before);
    }
}

pub(super) fn it_is_installed_and_not_started(machine: &Machine) {
    machine.run("dpkg -i /packages/observer_*.deb");
    let state = machine.try_run("systemctl is-enabled observer; systemctl is-active observer").1;
    assert_eq!(state.lines().collect::<Vec<_>>(), ["disabled", "inactive"]);
    // What a user looks for: the manual, and completion in each shell.
    for file in [
        "/usr/share/man/man1/observer.1.gz",
        "/usr/share/man/man1/observer-tail.1.gz",
        "/usr/share/bash-completion/completions/observer",
        "/usr/share/zsh/vendor-completions/_observer",
        "/usr/share/fish/vendor_completions.d/observer.fish",
        "/usr/share/doc/observer/copyright",
    ] {
        machine.run(&format!("test -s {file}"));
    }
    // The configuration as it is shipped will do.
    machine.run("observer run --check-config --config /etc/observer/observer.toml");
}

pub(super) fn an_upgrade_keeps_the_configuration_and_goes_on(machine: &Machine) {
    machine.run("systemctl start observer");
    let pid = machine.daemon();
    let own = machine.run("cat /etc/observer/observer.toml");
    // The next version ships another configuration.
    machine.run(
        "cd /tmp && dpkg-deb -R /packages/observer_*.deb next && \
         sed -i 's/^Version: .*/Version: 9:9/' next/DEBIAN/control && \
         echo '# new in this version' >> next/etc/observer/observer.toml && \
         dpkg-deb -Znone -b next next.deb && dpkg --force-confold -i next.deb && rm -r next*",
    );
    assert_eq!(machine.run("dpkg-query -W -f '${Version}' observer"), "9:9");
    assert_eq!(machine.run("cat /etc/observer/observer.toml"), own);
    let told = machine.run("cat /etc/observer/observer.toml.dpkg-dist");
    assert!(told.contains("# new in this version"), "{told}");
    until("the new version to run", LONG, || {
        machine.find_daemon().is_some_and(|now| now != pid).then_some(())
    });
    fetch(machine, "/after-upgrade");
    // The old version's events are still there.
    assert_eq!(exchanges(machine, "/first"), 1);
    machine.run("systemctl is-enabled observer");
}

pub(super) fn a_purge_leaves_nothing(machine: &Machine, before: &Remains) {
    assert!(machine.attached() > 0, "nothing is attached while it runs");
    // Not the package's: what this test has put beside the unit.
    machine.run("rm -r /run/systemd/system/observer.service.d; dpkg --remove observer");
    assert_eq!(machine.attached(), 0);
    // Removed, and not forgotten: a configuration and events stay until somebody says purge.
    machine.run("test -e /etc/observer/observer.toml && test -e /var/log/observer/events.ndjson");
    machine.run("dpkg --purge observer");
    Remains::of(machine).assert_equals(before);
}

#[test]
fn the_rpm_is_installed_upgraded_and_removed_in_a_booted_systemd() {
    let Some(machine) = machine("rpm") else { return };
    let mut before = Remains::of(&machine);
    // Debian's database has no packages that it could depend on.
    machine.run("rpm -i --nodeps /packages/observer-*.rpm");
    machine.run("getent passwd observer && observer --version");
    let config = format!("# mine\n{CONFIG}");
    machine.write("/etc/observer/observer.toml", &config);
    machine.run("systemctl enable --now observer");
    machine.serve(8080);
    fetch(&machine, "/rpm");

    let pid = machine.daemon();
    machine.run("rpm -U --nodeps --replacepkgs /packages/observer-*.rpm");
    until("the upgraded one to run", LONG, || {
        machine.find_daemon().is_some_and(|now| now != pid).then_some(())
    });
    assert!(machine.run("cat /etc/observer/observer.toml").contains("# mine"));
    fetch(&machine, "/after-upgrade");
    assert!(machine.attached() > 0, "nothing is attached while it runs");

    machine.run("rpm -e observer");
    assert_eq!(machine.attached(), 0);
    // Packages of this kind keep accounts, what was written, and a changed configuration under
    // another name.
    machine.run("test -e /etc/observer/observer.toml.rpmsave");
    machine.run(
        "rm -r /etc/observer /var/lib/observer /var/log/observer; userdel observer; \
         getent group observer && groupdel observer; true",
    );
    let mut after = Remains::of(&machine);
    // Folders that are the shells' on a distribution of this kind, and the database, which on a
    // Debian is the user's.
    let others = ["/root/.rpmdb", "/usr/share/fish", "/usr/share/zsh"];
    after.paths.retain(|path| !others.iter().any(|other| path.starts_with(other)));
    before.paths.retain(|path| !others.iter().any(|other| path.starts_with(other)));
    after.assert_equals(&before);
    machine.power_off();
}
