//! Owns what is inside the machine: a root folder with busybox, the programs and their libraries,
//! three modules, and an init that runs everything and powers off.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use super::{Payload, kernels::Kernel};
use crate::{
    runner::{self, Runner},
    workspace,
};

/// Packs the root folder and returns the archive. `tests` are filters for the kernel tests, none
/// for all.
pub(super) fn pack(
    runner: Runner,
    kernel: &Kernel,
    payload: &Payload,
    tests: &[&str],
) -> Result<PathBuf> {
    let folder = workspace::target().join("vm");
    let root = folder.join(format!("root-{}", kernel.version));
    if root.exists() {
        fs::remove_dir_all(&root)?;
    }
    for part in ["bin", "dev", "proc", "sys", "tmp", "run", "modules", "www/cgi-bin"] {
        fs::create_dir_all(root.join(part))?;
    }
    let busybox = runner::find_program("busybox").context("no busybox: cargo xtask setup")?;
    fs::copy(busybox, root.join("bin/busybox"))?;
    for applet in APPLETS {
        symlink("busybox", root.join("bin").join(applet))?;
    }
    for (name, file) in [
        ("observer", Some(payload.observer.clone())),
        ("kernel", Some(payload.kernel_tests.clone())),
        ("ip", runner::find_program("ip")),
        ("tc", runner::find_program("tc")),
    ] {
        let file = file.with_context(|| format!("no {name}: cargo xtask setup --tests"))?;
        let file = fs::canonicalize(file)?;
        // Debugging symbols are nine tenths of it, and all of it has to fit into memory.
        let mut strip = runner::command("strip");
        runner.run(strip.arg("-o").arg(root.join("bin").join(name)).arg(&file))?;
        add_libraries(&root, &file)?;
    }
    for name in MODULES {
        if let Some(file) = find(&kernel.modules, &format!("{name}.ko")) {
            let target = file.file_name().context("a file has a name")?;
            fs::copy(&file, root.join("modules").join(target))?;
        }
    }
    let way = if kernel.is_supported() { INIT } else { REFUSED };
    script(&root.join("init"), &[START, way, END].concat().replace("@TESTS@", &tests.join(" ")))?;
    script(&root.join("www/cgi-bin/post"), POST)?;
    let archive = folder.join(format!("initrd-{}.cpio", kernel.version));
    let mut cpio = runner::command("sh");
    let line = format!("find . | cpio --quiet -o -H newc > {}", archive.display());
    runner.run(cpio.current_dir(&root).args(["-c", &line]))?;
    fs::remove_dir_all(&root)?;
    Ok(archive)
}

/// The shared libraries of a program, at the paths where its loader looks.
fn add_libraries(root: &Path, program: &Path) -> Result<()> {
    let listed = runner::ask(runner::command("ldd").arg(program)).unwrap_or_default();
    for library in libraries(&listed) {
        let target = root.join(library.trim_start_matches('/'));
        if let Some(folder) = target.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::copy(library, target)?;
    }
    Ok(())
}

/// The absolute paths in what ldd prints: `NAME => PATH (ADDRESS)`, or `PATH (ADDRESS)`.
fn libraries(listed: &str) -> Vec<&str> {
    let path = |line: &'_ str| line.split_whitespace().position(|word| word.starts_with('/'));
    listed.lines().filter_map(|line| line.split_whitespace().nth(path(line)?)).collect()
}

/// A file below the folder whose name starts so (a module may be compressed: `.ko.xz`).
fn find(folder: &Path, start: &str) -> Option<PathBuf> {
    let entries = fs::read_dir(folder).ok()?.flatten();
    for path in entries.map(|entry| entry.path()) {
        let found = match path.is_dir() {
            true => find(&path, start),
            false => {
                let name = path.file_name()?.to_string_lossy().into_owned();
                name.starts_with(start).then_some(path)
            }
        };
        if found.is_some() {
            return found;
        }
    }
    None
}

fn script(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
    Ok(())
}

const APPLETS: &[&str] = &[
    "sh", "mount", "insmod", "poweroff", "mkdir", "cat", "grep", "sleep", "httpd", "wget", "kill",
    "seq", "nc", "uname",
];
const MODULES: [&str; 3] = ["sch_ingress", "cls_bpf", "veth"];

/// What httpd runs for a POST.
const POST: &str = "#!/bin/sh\ncat > /dev/null\nprintf 'Status: 201 Created\\r\\n\\r\\ndone'\n";

/// What comes first.
const START: &str = r#"#!/bin/sh
mount -t proc p /proc; mount -t sysfs s /sys; mount -t devtmpfs d /dev
mkdir -p /sys/fs/bpf /run/netns; mount -t bpf b /sys/fs/bpf; mount -t tmpfs t /run
export PATH=/bin RUST_BACKTRACE=0
for module in /modules/*; do insmod "$module" || echo "vm: fault: no $module"; done
/bin/ip link set lo up
echo; echo "vm: kernel $(uname -r)"
"#;

/// The way of everything: the tests; then the binary on each backend with a POST over loopback and
/// one over veth, from another namespace; then a connection that announces its death.
/// Lines that start with `vm:` are for [`super::console`]. `ip` has its path, because busybox's
/// shell prefers its own.
const INIT: &str = r#"
observer doctor --socket /nonexistent 2>&1 || echo 'vm: fault: doctor finds something bad'
kernel --test-threads 1 @TESTS@ 2>&1 | cat

/bin/ip netns add far
/bin/ip link add vm0 type veth peer name vm1 netns far
/bin/ip addr add 10.77.0.1/24 dev vm0; /bin/ip link set vm0 up
/bin/ip -n far addr add 10.77.0.2/24 dev vm1; /bin/ip -n far link set vm1 up
httpd -p 8080 -h /www

watch() { # NAME ARGS...: starts observer and waits until it watches
    name=$1; shift
    observer "$@" > /tmp/$name.out 2> /tmp/$name.err &
    observer=$!
    for i in $(seq 300); do
        grep -q 'observer: [mw]a[rt]' /tmp/$name.err && return
        sleep 0.1
    done
    echo "vm: fault: $name did not start"; cat /tmp/$name.err
}
finish() { kill "$1"; wait "$1" || echo "vm: fault: observer ended badly"; }

for backend in tc socket; do
    watch $backend run --no-socket --backend $backend
    wget -q -O - --post-data=loopback http://127.0.0.1:8080/cgi-bin/post > /dev/null
    /bin/ip netns exec far wget -q -O - --post-data=over-veth http://10.77.0.1:8080/cgi-bin/post > /dev/null
    sleep 0.5
    finish $observer
    while read -r line; do echo "vm: event $backend $line"; done < /tmp/$backend.out
    cat /tmp/$backend.err
done

watch dth run --no-socket
watcher=$observer
watch mark dth mark -i lo -p 8080
wget -q -O - --post-data=dying http://127.0.0.1:8080/cgi-bin/post > /dev/null
sleep 0.5
finish $observer; finish $watcher
while read -r line; do echo "vm: event dth $line"; done < /tmp/dth.out
cat /tmp/dth.err /tmp/mark.err
"#;

/// The way where the programs cannot be loaded: what a user is told.
const REFUSED: &str = r#"
for command in 'run --no-socket' 'tail -n 1' 'doctor --socket /nonexistent'; do
    observer $command > /tmp/said 2>&1
    echo "vm: refused $? $command"
    while read -r line; do echo "vm: said $line"; done < /tmp/said
done
"#;

const END: &str = "
echo 'vm: done'
poweroff -f
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_read_from_ldd() {
        let listed = "\tlinux-vdso.so.1 (0x00007ffd)\n\
                      \tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f)\n\
                      \t/lib64/ld-linux-x86-64.so.2 (0x00007f)\n\tlibx.so => not found\n";
        assert_eq!(
            libraries(listed),
            ["/lib/x86_64-linux-gnu/libc.so.6", "/lib64/ld-linux-x86-64.so.2"]
        );
        assert!(libraries("\tnot a dynamic executable\n").is_empty());
    }
}
