//! Files: rotated, compressed, moved away by somebody else.

use std::fs;
use std::io::Read as _;
use std::time::Duration;

use crate::rig::{LONG, Rig, now, numbers, until};

/// What is in the files of `folder` that begin with `name`, oldest first.
fn contents(folder: &tempfile::TempDir, name: &str) -> Vec<(String, String)> {
    let entries = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<_> = entries
        .filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with(name))
        .collect();
    // The present file has no suffix and is the newest.
    found.sort_by_key(|path| (path.ends_with(name), path.clone()));
    let read = |path: std::path::PathBuf| {
        let mut text = String::new();
        let mut file = fs::File::open(&path).unwrap();
        if path.extension().is_some_and(|extension| extension == "gz") {
            flate2::read::GzDecoder::new(file).read_to_string(&mut text).unwrap();
        } else {
            file.read_to_string(&mut text).unwrap();
        }
        (path.file_name().unwrap().to_str().unwrap().to_owned(), text)
    };
    found.into_iter().map(read).collect()
}

#[test]
fn a_file_is_rotated_at_its_size_between_lines_and_nothing_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::start(
        &folder,
        "[[sinks]]\ntype = 'file'\npath = 'DIR/e.ndjson'\nrotate_bytes = 40000\ncompress = true\n",
    );
    for n in 1..=40 {
        rig.push(n, 300);
        rig.until("e.ndjson", "the events", |stats| stats.waiting == 0);
    }
    let n_pushed = (1..=40).sum::<u64>();
    until("all to be compressed", || {
        let files = fs::read_dir(folder.path()).unwrap();
        let names: Vec<_> = files.map(|f| f.unwrap().file_name().into_string().unwrap()).collect();
        let open = names.iter().filter(|n| n.starts_with("e.ndjson") && !n.ends_with(".gz"));
        (open.count() == 1).then_some(())
    });
    let files = contents(&folder, "e.ndjson");
    assert!(files.len() > 4, "{}", files.len());
    assert!(files.iter().all(|(_, text)| text.len() <= 40_000));
    let all: Vec<u64> = files.iter().flat_map(|(_, text)| numbers(text)).collect();
    assert_eq!(all, (0..n_pushed).collect::<Vec<_>>());
    let (stats, said) = rig.end(LONG);
    assert_eq!((stats[0].events, stats[0].lost), (n_pushed, 0));
    let n_bytes: usize = files.iter().map(|(_, text)| text.len()).sum();
    assert_eq!(stats[0].bytes, n_bytes as u64);
    assert!(said.is_empty(), "{said:?}");
}

#[test]
fn a_file_is_rotated_by_time_and_only_so_many_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let text = "[[sinks]]\ntype = 'file'\npath = 'DIR/e'\nrotate_every = '1s'\nkeep = 1\n";
    let mut rig = Rig::start(&folder, text);
    let mut seen = std::collections::BTreeSet::new();
    until("three rotations", || {
        rig.push(1, 300);
        let files = fs::read_dir(folder.path()).unwrap();
        seen.extend(files.map(|file| file.unwrap().file_name().into_string().unwrap()));
        (seen.iter().filter(|name| name.starts_with("e.")).count() >= 3).then_some(())
    });
    until("the oldest to go", || (contents(&folder, "e.").len() == 1).then_some(()));
    let (stats, _) = rig.end(LONG);
    assert_eq!(stats[0].lost, 0);
}

#[test]
fn a_file_that_was_moved_away_is_made_again_when_that_is_asked() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::start(&folder, "[output]\nfile = 'DIR/e'\n");
    rig.push(3, 300);
    rig.until("/e", "the events", |stats| stats.waiting == 0);
    fs::rename(folder.path().join("e"), folder.path().join("e.1")).unwrap();
    rig.push(2, 300);
    rig.until("/e", "the events", |stats| stats.waiting == 0);
    assert!(rig.apply(&folder, "[output]\nfile = 'DIR/e'\n").is_empty());
    until("a new file", || folder.path().join("e").exists().then_some(()));
    rig.push(4, 300);
    rig.end(LONG);
    let files = contents(&folder, "e");
    assert_eq!(numbers(&files[0].1), [0, 1, 2, 3, 4]);
    assert_eq!(numbers(&files[1].1), [5, 6, 7, 8]);
}

#[test]
fn sinks_come_and_go_with_the_configuration_and_others_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let one =
        |name: &str| format!("[[sinks]]\ntype = 'file'\npath = 'DIR/{name}'\nname = '{name}'\n");
    let mut rig = Rig::start(&folder, &(one("a") + &one("b")));
    rig.push(3, 300);
    let said = rig.apply(&folder, &(one("b") + &one("c")));
    assert_eq!(said, ["sink a has ended: 3 events written, 0 lost", "sink c has begun"]);
    rig.push(2, 300);
    // The same file with another rule: nothing is lost between the two, or written twice.
    let changed = one("b") + "rotate_bytes = 1000000\n";
    let said = rig.apply(&folder, &(changed.clone() + &one("c")));
    assert_eq!(said, ["sink b has ended: 5 events written, 0 lost", "sink b has begun"]);
    rig.push(4, 300);
    let gone = "[[sinks]]\ntype = 'file'\npath = 'DIR/no/such/folder'\n";
    let said = rig.apply(&folder, &(changed + &one("c") + gone));
    assert!(said[0].starts_with("cannot open ") && said.len() == 1, "{said:?}");
    let (stats, _) = rig.end(LONG);
    let counts: Vec<_> = stats.iter().map(|stats| (stats.name.as_str(), stats.events)).collect();
    assert_eq!(counts, [("c", 6), ("b", 4)]);
    let read = |name| numbers(&fs::read_to_string(folder.path().join(name)).unwrap());
    assert_eq!(read("a"), [0, 1, 2]);
    assert_eq!(read("b"), (0..9).collect::<Vec<_>>());
    assert_eq!(read("c"), (3..9).collect::<Vec<_>>());
}

#[test]
fn a_fifo_that_nobody_reads_is_refused_and_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let fifo = folder.path().join("p");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let both =
        "[[sinks]]\ntype = 'file'\npath = 'DIR/e'\n[[sinks]]\ntype = 'file'\npath = 'DIR/p'\n";
    let mut rig = Rig::start(&folder, "[[sinks]]\ntype = 'file'\npath = 'DIR/e'\n");
    let said = rig.apply(&folder, both);
    assert!(said[0].contains("start who reads it first") && said.len() == 1, "{said:?}");
    let reader = std::thread::spawn(move || fs::read_to_string(fifo).unwrap());
    // It opens the FIFO in its own time.
    until("the reader", || rig.apply(&folder, both)[0].ends_with("has begun").then_some(()));
    rig.push(300, 1000);
    rig.end(LONG);
    assert_eq!(numbers(&reader.join().unwrap()).len(), 300);
}

#[test]
fn a_sink_that_stalls_may_go_and_holds_up_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let fifo = folder.path().join("p");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let opened = fs::OpenOptions::new().read(true).write(true).open(&fifo).unwrap();
    let one = "[[sinks]]\ntype = 'file'\npath = 'DIR/e'\n";
    let mut rig =
        Rig::start(&folder, &(one.to_owned() + "[[sinks]]\ntype = 'file'\npath = 'DIR/p'\n"));
    // More than a pipe holds, and than what goes is given no time for.
    rig.push(3000, 1000);
    rig.begin(&folder, one);
    let begin = now();
    assert_eq!(rig.changed(), None);
    rig.push(1, 300);
    assert!(now() - begin < Duration::from_secs(1), "the other sink had to wait");
    let said = until("the change", || rig.changed());
    assert!(said[0].contains("has ended") && !said[0].ends_with(" 0 lost"), "{said:?}");
    rig.push(1, 300);
    rig.end(LONG);
    drop(opened);
    assert_eq!(numbers(&fs::read_to_string(folder.path().join("e")).unwrap()).len(), 3002);
}
