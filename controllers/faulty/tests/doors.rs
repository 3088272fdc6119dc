//! Faults around a cluster: what everybody's end leaves behind, too little memory, too few descriptors, names that are
//! taken or cannot be. A line of a table each, as in `faults.rs`.

mod common;

use common::{
    Actor, assert_says, config, config_of, faulty, is_gone, name, nothing_left,
    scene::{Scene, serve},
    send,
    table::{COLUMNS, Table},
    until, until_stopped, workers_of,
};
use nix::sys::signal::Signal;
use phalanx::{ClusterClient, ClusterConfig, ClusterServer, Error, Observer, Rows};
use phalanx_shm::{Arena, ArenaName, ArenaSpec, ArenaState, Dtype, ShmError, inspect, reclaim};
use std::{
    fs,
    io::Write,
    os::unix::fs::{FileExt, OpenOptionsExt},
    process::Command,
};

/// Runs a test again with a shared-memory directory of its own. `None` in that run; else why it is not to be had,
/// or that it went well.
fn with_own_memory(test: &str, size: &str) -> Option<Result<(), String>> {
    if std::env::var_os("PHALANX_OWN_MEMORY").is_some() {
        return None;
    }
    let mount = format!("mount -t tmpfs -o size={size} tmpfs /dev/shm");
    let unshare = |script: &str| {
        let mut command = Command::new("unshare");
        command.args(["-m", "sh", "-c", script]).env("PHALANX_OWN_MEMORY", "1");
        command
    };
    let allowed = unshare(&mount).output();
    if let Some(why) = match allowed {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(e) => Some(e.to_string()),
    } {
        return Some(Err(format!("no /dev/shm of its own ({why})")));
    }
    let me = std::env::current_exe().unwrap();
    let script = format!("{mount} && exec '{}' --exact {test}", me.display());
    let output = unshare(&script).output().unwrap();
    // The table is on its standard error.
    let _ = std::io::stderr().write_all(&output.stderr);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    Some(Ok(()))
}

/// Everybody at once: what is left is known for what it is, and removed by whoever comes next.
#[test]
fn everybody_is_killed_at_once() {
    // Else any cluster that starts meanwhile, anywhere, would be who comes next.
    match with_own_memory("everybody_is_killed_at_once", "64m") {
        Some(Ok(())) => return,
        Some(Err(why)) => {
            return Table::with(&[&format!("everybody at once: skipped, {why}")]).print("Skipped");
        }
        None => {}
    }
    let mut table = Table::with(COLUMNS);
    for next in ["the next start of that name", "any next start", "reclaim"] {
        let config = config_of(4, 2);
        let file = ArenaName::new(&config.name).unwrap();
        let mut server = Actor::serving(&config);
        let mut others = [Actor::new(), Actor::new(), Actor::new()];
        others[0].ok(&format!("connect {}", config.name));
        others[0].order("solve-for-ever");
        others[1].ok(&format!("observe {}", config.name));
        others[2].ok(&format!("operate {}", config.name));
        let observer = Observer::attach(&config.name).unwrap();
        until("some rounds", || (observer.round() > 20).then_some(()));
        drop(observer);
        let workers = workers_of(&config.name);
        // Stopped first, so that nobody outlives anybody long enough to clear up.
        let all = || workers.iter().copied().chain(others.iter().map(Actor::pid)).chain([server.pid()]);
        all().for_each(|pid| send(pid, Signal::SIGSTOP));
        all().for_each(until_stopped);
        all().for_each(|pid| send(pid, Signal::SIGKILL));
        server.kill();
        others.iter_mut().for_each(Actor::kill);
        until("the workers' end", || workers.iter().all(|&pid| is_gone(pid)).then_some(()));
        assert!(matches!(inspect(&file), Some(ArenaState::Dead(toc)) if toc.owner.pid == server.pid()));
        let error = ClusterClient::connect(&config.name).unwrap_err();
        assert_says(&error.to_string(), &["is dead", &server.pid().to_string(), "phalanx clean"]);
        let name = config.name.clone();
        match next {
            "reclaim" => assert!(reclaim(&file, false).unwrap()),
            "any next start" => {
                let scene = Scene::of(config_of(1, 1), "plain");
                assert_eq!(scene.server.as_ref().unwrap().reclaimed(), std::slice::from_ref(&name));
                scene.end();
            }
            _ => {
                let mut scene = Scene::of(config, "plain");
                assert_eq!(scene.server.as_ref().unwrap().reclaimed(), std::slice::from_ref(&name));
                assert_eq!(scene.round(), "SSSS");
                scene.end();
            }
        }
        let seen = format!("the arena is left, told as dead with its pid; {next} removes it");
        table.row(&[
            "server, 2 workers, client, observer, operator, SIGKILL",
            "rounds go on",
            &seen,
            nothing_left(&name),
        ]);
    }
    table.print("Everybody is killed at once");
}

/// A /dev/shm that is too small is an error with numbers, not a SIGBUS.
#[test]
fn shared_memory_is_full() {
    match with_own_memory("shared_memory_is_full", "1m") {
        Some(Ok(())) => return,
        Some(Err(why)) => return Table::with(&[&format!("/dev/shm full: skipped, {why}")]).print("Skipped"),
        None => {}
    }
    let mut table = Table::with(COLUMNS);
    for (when, rows, fill) in [("too small", 512, 0), ("filled by others", 4, 1 << 20)] {
        let other = "/dev/shm/somebody-else";
        if fill > 0 {
            let _ = fs::write(other, vec![1u8; fill]);
        }
        let config = config_of(rows, 2);
        let error = ClusterServer::start(config.clone(), faulty()).unwrap_err();
        let Error::Shm(ShmError::NoSpace { need, have, .. }) = &error else { panic!("{error}") };
        assert!(need > have);
        assert_says(
            &error.to_string(),
            &["need ", "have ", "in /dev/shm", "--shm-size=", "mount -o remount,size="],
        );
        let left = nothing_left(&config.name);
        let _ = fs::remove_file(other);
        table.row(&["/dev/shm", when, &error.to_string(), left]);
    }
    let mut small = Scene::of(config(1), "plain");
    assert_eq!(small.round(), "S");
    small.end();
    table.print("Shared memory is full");
}

/// Whatever the limit, a start or an attachment works or says what it lacks.
#[test]
fn descriptors_run_out() {
    let mut table = Table::with(COLUMNS);
    for (who, worked_from) in [("server", 32), ("client", 8), ("observer", 8), ("operator", 8)] {
        let config = config_of(4, 2);
        let mut other = (who != "server").then(|| Actor::serving(&config));
        let mut actor = Actor::new();
        let (mut failures, mut enough) = (0, None);
        for limit in 0..40 {
            actor.ok(&format!("descriptors {limit}"));
            let order = match who {
                "server" => serve(&config),
                "client" => format!("connect {}", config.name),
                "observer" => format!("observe {}", config.name),
                _ => format!("operate {}", config.name),
            };
            match actor.ask(&order) {
                Ok(_) => {
                    enough = Some(limit);
                    actor.ok(if who == "server" { "stop" } else { "leave" });
                    break;
                }
                Err(said) => {
                    failures += 1;
                    assert_says(&said, &["ulimit -n"]);
                    if who == "server" {
                        nothing_left(&config.name);
                    }
                }
            }
        }
        let enough = enough.unwrap_or_else(|| panic!("{who}: never enough"));
        assert!(failures > 0 && enough <= worked_from, "{who}: {failures} {enough}");
        // Nobody holds a place that it could not take.
        actor.ok("descriptors 40");
        if let Some(server) = &mut other {
            actor.ok(&format!("connect {}", config.name));
            actor.ok("solve");
            actor.ok(&format!("operate {}", config.name));
            actor.ok("leave");
            server.ok("stop");
        }
        let seen = format!("{failures} limits refused with `ulimit -n`, {enough} descriptors are enough");
        table.row(&[who, "too few descriptors", &seen, nothing_left(&config.name)]);
    }
    table.print("Descriptors run out");
}

/// Names that cannot be, and names that are somebody else's.
#[test]
fn doors_that_stay_shut() {
    let mut table = Table::with(COLUMNS);
    let mut shut = |who: &str, config: &ClusterConfig, says: &[&str], left: fn(&str) -> &'static str| {
        let name = &config.name;
        let start = ClusterServer::start(config.clone(), faulty()).unwrap_err().to_string();
        let connect = ClusterClient::connect(name).unwrap_err().to_string();
        let observe = Observer::attach(name).unwrap_err().to_string();
        for said in [&start, &connect, &observe] {
            assert_says(said, says);
        }
        let seen = start.chars().take(110).collect::<String>();
        table.row(&[who, "start, connect, observe", &seen, left(name)]);
    };
    let named = |name: &str| ClusterConfig { name: name.into(), ..config(1) };
    for bad in ["a/b", "", &"x".repeat(300), "../../etc/passwd", ".hidden", "a b"] {
        shut(&format!("name \"{bad:.20}\""), &named(bad), &["bad name", "A-Z"], |_| "nothing");
    }

    let file = |config: &ClusterConfig| ArenaName::new(&config.name).unwrap().path();
    let put = |config: &ClusterConfig, bytes: &[u8]| {
        let made = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file(config));
        made.unwrap().write_all(bytes).unwrap();
    };
    let removed = |name: &str| {
        let _ = fs::remove_file(ArenaName::new(name).unwrap().path());
        nothing_left(name)
    };
    let alien = config(1);
    put(&alien, b"something of somebody");
    match std::os::unix::fs::chown(file(&alien), Some(12345), None) {
        Ok(()) => shut("another user's arena", &alien, &["belongs to uid 12345", "ask its owner"], removed),
        Err(e) => {
            removed(&alien.name);
            Table::with(&[&format!("another user's arena: skipped, chown: {e}")]).print("Skipped");
        }
    }
    let open = config(1);
    put(&open, b"something of ours");
    fs::set_permissions(file(&open), std::os::unix::fs::PermissionsExt::from_mode(0o666)).unwrap();
    shut("an arena others may write", &open, &["mode 666"], removed);

    let version = config(1);
    let arena =
        Arena::create(&version.name, &ArenaSpec::new().tensor("x", Dtype::U64, &[8])).unwrap().publish();
    // Bytes 8 to 12 of the header.
    let patched = fs::OpenOptions::new().write(true).open(file(&version)).unwrap();
    patched.write_all_at(&99u32.to_ne_bytes(), 8).unwrap();
    shut(
        "another version",
        &version,
        &["layout version 99", "same Phalanx on both sides"],
        |_| "it, untouched",
    );
    drop(arena);
    nothing_left(&version.name);

    let noise: Vec<u8> = (0..40_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    for (what, bytes) in [("garbage", noise.as_slice()), ("a truncated header", &noise[..100])] {
        let garbage = config(1);
        put(&garbage, bytes);
        shut(what, &garbage, &["is not a valid arena", "phalanx clean --force"], |_| "it, untouched");
        assert!(!reclaim(&ArenaName::new(&garbage.name).unwrap(), false).unwrap());
        assert!(reclaim(&ArenaName::new(&garbage.name).unwrap(), true).unwrap(), "only by force");
        nothing_left(&garbage.name);
    }
    let link = config(1);
    std::os::unix::fs::symlink("/etc/passwd", file(&link)).unwrap();
    shut("a symbolic link", &link, &["is a symbolic link", "remove it"], removed);

    let config = config_of(2, 1);
    let mut server = Actor::serving(&config);
    let pid = server.pid().to_string();
    let error = ClusterServer::start(config.clone(), faulty()).unwrap_err().to_string();
    assert_says(&error, &["is taken", &pid, "phalanx kill"]);
    table.row(&["a second server", "same name", "Taken: pid and remedy", "the first, untouched"]);
    let mut client = Actor::new();
    client.ok(&format!("connect {}", config.name));
    let error = ClusterClient::connect(&config.name).unwrap_err().to_string();
    assert_says(&error, &["already has a client", &client.pid().to_string(), "one writer"]);
    client.ok("solve");
    client.ok("leave");
    assert!(ClusterClient::connect(&config.name).unwrap().solve(Rows::All).unwrap().all_solved());
    server.ok("stop");
    table.row(&[
        "a second client",
        "same cluster",
        "ClientTaken: pid and remedy",
        nothing_left(&config.name),
    ]);
    let error = ClusterClient::connect(&name()).unwrap_err().to_string();
    assert_says(&error, &["no cluster"]);
    table.print("Doors that stay shut");
}
