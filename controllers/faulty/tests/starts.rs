//! Starts that take long, print much, or are not wanted any more.

mod common;

use common::{PROGRAM, assert_says, config, config_of, end, faulty, is_gone, nothing_left, until};
use phalanx::{ClusterServer, Controller, Error, Progress, Rows, StartPhase};
use std::{fs, ops::ControlFlow, os::unix::fs::PermissionsExt, path::Path};

/// A controller that is a shell script.
fn script(folder: &Path, text: &str) -> Controller {
    let path = folder.join("controller");
    fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    Controller::program(path).unwrap()
}

#[test]
fn a_start_is_interrupted_while_the_controllers_are_built() {
    let config = config_of(4, 2).param("fault", "slow_build").param("row", 3).param("seconds", 600.0);
    let name = config.name.clone();
    let mut told: Vec<Progress> = Vec::new();
    let error = ClusterServer::start_with(config, faulty(), |progress| {
        told.push(progress.clone());
        let waiting = told.iter().filter(|t| t.phase == StartPhase::Building && t.ready == 1).count();
        // It is called also when nothing changes.
        if waiting == 5 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })
    .unwrap_err();
    assert!(matches!(error, Error::StartInterrupted), "{error}");
    let (first, last) = (&told[0], &told[told.len() - 1]);
    assert_eq!((first.phase, &first.built, &first.rows), (StartPhase::Describing, &vec![0, 0], &vec![2, 2]));
    assert_eq!((last.phase, &last.built, last.ready), (StartPhase::Building, &vec![2, 1], 1));
    nothing_left(&name);
}

#[test]
fn a_start_is_interrupted_while_the_controller_describes_itself() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pids");
    // As if it had started a compiler.
    let text = format!("sleep 600 &\necho $$ $! > {0}.new; mv {0}.new {0}; wait", file.display());
    let (config, controller) = (config(2), script(folder.path(), &text));
    let name = config.name.clone();
    let mut calls = 0;
    let error = ClusterServer::start_with(config, controller, |progress| {
        assert_eq!(progress.phase, StartPhase::Describing);
        calls += usize::from(file.exists());
        if calls == 5 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })
    .unwrap_err();
    assert!(matches!(error, Error::StartInterrupted), "{error}");
    for pid in fs::read_to_string(&file).unwrap().split_whitespace() {
        let pid = pid.parse().unwrap();
        until("the end of the controller and its child", || is_gone(pid).then_some(()));
    }
    nothing_left(&name);
}

#[test]
fn a_controller_may_print_much_while_it_describes_itself() {
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "head -c 3000000 /dev/zero | tr '\\0' x >&2; head -c 3000000 /dev/zero | tr '\\0' y\n\
         {PROGRAM} \"$@\"; code=$?; echo bye; exit $code"
    );
    let mut config = config(2);
    config.env.insert("OF_THE_CLUSTER".into(), "1".into());
    let server = ClusterServer::start(config, script(folder.path(), &text)).unwrap();
    let mut client = server.client().unwrap();
    assert!(client.solve(Rows::All).unwrap().all_solved());
    end(client, server);
}

#[test]
fn a_controller_that_does_not_say_what_it_is_is_quoted() {
    let folder = tempfile::tempdir().unwrap();
    for (text, says) in [
        ("echo one >&2; echo no such module >&2; exit 3", &["one\nno such module"][..]),
        ("echo compiling >&2; sleep 600", &["start_timeout", "compiling"]),
        ("echo hello", &["no Phalanx controller", "worker_main"]),
        ("echo '{\"refs\": 3}'", &["no Phalanx controller", "worker_main"]),
    ] {
        let mut config = config(2);
        config.start_timeout = 1.0;
        let name = config.name.clone();
        let error = ClusterServer::start(config, script(folder.path(), text)).unwrap_err().to_string();
        assert_says(&error, says);
        nothing_left(&name);
    }
}

#[test]
fn what_a_hung_worker_started_is_killed_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pid");
    let text = format!(
        "[ -n \"$PHALANX_DESCRIBE\" ] || {{ sleep 600 & echo $! > {0}.new; mv {0}.new {0}; }}\nexec {PROGRAM}",
        file.display()
    );
    let config = config(1).param("fault", "slow_build").param("seconds", 600.0);
    let name = config.name.clone();
    let error = ClusterServer::start_with(config, script(folder.path(), &text), |_| {
        if file.exists() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert!(matches!(error, Err(Error::StartInterrupted)));
    let pid = fs::read_to_string(&file).unwrap().trim().parse().unwrap();
    until("the end of what the worker started", || is_gone(pid).then_some(()));
    nothing_left(&name);
}
