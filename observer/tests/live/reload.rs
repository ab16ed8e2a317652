//! SIGHUP: what changed is applied or named, the capture goes on, and a file that is wrong changes
//! nothing.

use std::fs;

use crate::harness::can_run;
use crate::harness::client::{Route, curl};
use crate::harness::namespace::Namespace;
use crate::harness::observer::Observer;
use crate::harness::server::Nginx;
use crate::harness::wait::{LONG, until};

#[test]
fn a_reload_applies_what_it_can_and_names_the_rest_without_letting_go() {
    if !can_run("reload::applies", &["nginx", "curl"]) {
        return;
    }
    let near = Namespace::new();
    let nginx = Nginx::start(&near, 18234);
    let route = Route { client: &near, host: "127.0.0.1", port: nginx.port };
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let configure = |text: &str| fs::write(path("o.toml"), text).unwrap();
    let file = |name: &str| {
        format!("[[sinks]]\ntype = 'file'\nname = '{name}'\npath = '{}'\n", path(name))
    };
    let seen = |name: &str, target: &str| {
        until(target, LONG, || fs::read_to_string(path(name)).ok()?.contains(target).then_some(()));
    };

    configure(&file("a"));
    let mut observer =
        Observer::start(&near, &["run", "--no-socket", "-p", "18234", "--config", &path("o.toml")]);
    curl(&route, &["-H", "X-Shown: no"], &["/path/one"]);
    seen("a", "/path/one");

    // Wrong: nothing changes.
    configure("[captur]\n");
    observer.signal(libc::SIGHUP);
    let said = observer.wait_for_message("not reloaded, going on as before: ");
    assert!(said.contains("did you mean `capture`?"), "{said}");

    // A sink beside the first, which was moved away; header fields; and what cannot be applied.
    fs::rename(path("a"), path("a.1")).unwrap();
    let more = "[http]\nheaders = true\n[engine]\nmax_flows = 17\n";
    configure(&(file("a") + &file("b") + more));
    observer.signal(libc::SIGHUP);
    let said = observer.wait_for_message("observer: reloaded: ");
    assert_eq!(said, "observer: reloaded: [http] headers is true; sink b has begun");
    let said = observer.wait_for_message("needs a restart");
    assert!(said.ends_with("needs a restart to apply: [engine] max_flows"), "{said}");
    curl(&route, &["-H", "X-Shown: yes"], &["/path/two"]);
    for name in ["a", "b"] {
        seen(name, "\"x-shown\":[\"yes\"]");
    }
    let first = fs::read_to_string(path("a.1")).unwrap();
    assert!(first.contains("/path/one") && !first.contains("/path/two"), "{first}");

    let end = observer.end(libc::SIGTERM);
    let segments = end.stderr.last().unwrap();
    assert!(segments.ends_with("+ 0 lost"), "{segments}");
}
