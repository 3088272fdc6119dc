//! The `phalanx` program as its users run it: real processes, real clusters, nothing left behind.

mod common;

use common::{Following, PATIENCE, Served, command, end_of, finish, kill, name, phalanx, ps, until};
use nix::sys::signal::Signal;
use phalanx::{Group, Rows, dump::Dump};
use phalanx_shm::Identity;
use serde_json::Value;
use std::{fs, process::Stdio, time::Duration};

#[test]
fn a_served_cluster_is_seen_used_and_killed() {
    let mut served = Served::echo(4);
    let name = served.name.clone();
    let line = ps(&name).unwrap();
    for (key, value) in [("state", "ready"), ("controller", "echo"), ("robot", "quadruped")] {
        assert_eq!(line[key], value, "{line}");
    }
    assert_eq!((&line["rows"], &line["workers_ready"], &line["deaths"]), (&4.into(), &2.into(), &0.into()));
    assert_eq!(line["server_pid"], served.child.id());
    assert_eq!(line["client_pid"], Value::Null);

    let mut client = served.client();
    let q = client.state.handle::<f32>("joint_q").unwrap();
    for row in 0..4 {
        client.state.get_mut(q, row).fill(0.1 * row as f32);
    }
    client.solve(Rows::All).unwrap();
    client.solve(&[2usize]).unwrap();
    let line = ps(&name).unwrap();
    assert_eq!((&line["rounds"], &line["client_pid"]), (&2.into(), &std::process::id().into()));

    let shown =
        phalanx(&["echo", &name, "cmd.joint_q", "cost", "outcome", "--rows", "0-2", "--json"]).ok().json();
    let row = &shown["rows"][1];
    assert_eq!((&row["row"], &row["round"], &row["pending"]), (&1.into(), &1.into(), &false.into()));
    assert_eq!(row["fields"]["cmd.joint_q"].as_array().unwrap(), &vec![Value::from(0.1); 12]);
    assert_eq!((&row["fields"]["status.cost"], &row["fields"]["status.outcome"]), (&0.0.into(), &1.into()));
    assert_eq!(shown["rows"][2]["round"], 2);
    let table = phalanx(&["echo", &name, "outcome", "solves"]).ok().stdout;
    assert!(table.contains("status.outcome") && table.contains("solved"), "{table}");
    let blocks = phalanx(&["echo", &name, "cmd.contact_force", "state.joint_q", "--rows", "3"]).ok().stdout;
    assert!(blocks.contains("FL_thigh") && blocks.contains("0.3"), "{blocks}");

    let ended = phalanx(&["kill", &name]).ok();
    assert!(ended.stdout.contains(&name), "{ended:?}");
    assert_eq!(end_of(&mut served.child), Some(0));
    assert_eq!(served.event("ended")["rounds"], 2);
    assert!(ps(&name).is_none() && !served.arena().exists());
    phalanx(&["echo", &name, "cost"]).failed(3, &["no cluster", &name]);
}

#[test]
fn fields_are_shown_with_their_conventions() {
    let served = Served::echo(2);
    let shown = phalanx(&["fields", &served.name]).ok().stdout;
    for text in
        ["wxyz", "RobotClusterState", "RhcClusterTaskRefs", "root_quat", "m/s", "FR_hip", "cluster_dt 0.01 s"]
    {
        assert!(shown.contains(text), "no {text}: {shown}");
    }
    assert!(shown.lines().all(|line| line.chars().count() <= 80), "{shown}");
    let one = phalanx(&["fields", &served.name, "cmd.joint_effort", "--json"]).ok().json();
    let field = &one["structures"][0]["fields"][0];
    assert_eq!(
        (&field["name"], &field["dtype"], &field["shape"]),
        (&"joint_effort".into(), &"f32".into(), &vec![12].into())
    );
    let group = phalanx(&["fields", &served.name, "refs", "--json"]).ok().json();
    assert_eq!(group["structures"].as_array().unwrap().len(), 1);
    phalanx(&["fields", &served.name, "joint_q"]).failed(2, &["ambiguous", "state.joint_q or cmd.joint_q"]);
    phalanx(&["fields", &served.name, "cmd.nope"]).failed(2, &["cmd.nope", "cmd.joint_q"]);
}

#[test]
fn controllers_tell_what_can_be_set() {
    let listed = phalanx(&["controllers", "--json"]).ok().json();
    assert!(listed.as_array().unwrap().iter().any(|known| known["name"] == "echo"), "{listed}");
    let told = phalanx(&["controllers", "echo", "--json"]).ok().json();
    let busy = &told["description"]["params"][0];
    assert_eq!(
        (&busy["name"], &busy["unit"], &busy["default"]),
        (&"busy_us".into(), &"us".into(), &"0.0".into())
    );
    let text = phalanx(&["controllers", "echo"]).ok().stdout;
    assert!(text.contains("bias") && text.contains("[us] Time to work"), "{text}");
    phalanx(&["controllers", "echo", "--param", "busy_us=-1"]).failed(2, &["busy_us is -1 us", "0 to"]);
    for (name, shown) in [
        ("linear_mpc", "u_max"),
        ("cartpole", "position_bound"),
        ("quadrotor", "rotor_positions"),
        ("mppi", "round_calm"),
        ("quadruped_srbd", "weights.angular_velocity"),
    ] {
        let text = phalanx(&["controllers", name]).ok().stdout;
        assert!(text.contains("params, set at start") && text.contains(shown), "{name}: {text}");
    }
    let wrong = ["controllers", "quadruped_srbd", "--param", "weights.position=[1, 2, -3]"];
    phalanx(&wrong).failed(2, &["weights.position[2] is -3/m²; it must be 0 to"]);
    phalanx(&["controllers", "linear_mpc", "--param", "horizon=5"]).failed(2, &["states: name at least one"]);
    phalanx(&["controllers", "ecko"]).failed(2, &["did you mean echo"]);
}

#[test]
fn signals_end_a_server_cleanly() {
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        let mut served = Served::echo(2);
        let workers = served.workers();
        kill(served.child.id(), signal);
        // A second one, impatient, must not break off the cleaning up.
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(served.child.id() as i32), signal);
        assert_eq!(end_of(&mut served.child), Some(0), "{signal}");
        assert_eq!(served.event("ended")["signal"], signal.as_str());
        assert!(!served.arena().exists(), "{signal}");
        assert!(!workers.iter().any(Identity::is_alive), "{signal}");
    }
}

#[test]
fn a_start_can_be_interrupted() {
    let args = ["-n", "1", "--param", "fault=slow_build", "--param", "seconds=600"];
    let mut served = Served::starting("faulty", &args);
    served.event("progress");
    kill(served.child.id(), Signal::SIGINT);
    assert_eq!(end_of(&mut served.child), Some(1));
    assert!(!served.arena().exists());
}

#[test]
fn a_controller_that_never_says_what_it_is_can_be_interrupted() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let (program, started) = (folder.path().join("mute"), folder.path().join("started"));
    fs::write(
        &program,
        format!("#!/bin/sh\necho $$ > {0}.new; mv {0}.new {0}\nexec sleep 600", started.display()),
    )
    .unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let mut child =
        command(&["serve", program.to_str().unwrap(), "-n", "1", "--name", &name()]).spawn().unwrap();
    assert!(until(|| started.exists()));
    let mute = Identity::of(fs::read_to_string(&started).unwrap().trim().parse().unwrap()).unwrap();
    kill(child.id(), Signal::SIGINT);
    assert_eq!(end_of(&mut child), Some(1));
    assert!(until(|| !mute.is_alive()));
}

#[test]
fn a_worker_ends_by_sigterm_though_its_server_blocks_it() {
    let served = Served::echo(2);
    kill(served.workers()[1].pid, Signal::SIGTERM);
    let died = served.event("died");
    assert!(died["message"].as_str().unwrap().contains("SIGTERM"), "{died}");
    assert_eq!(served.event("back")["worker"], 1);
}

#[test]
fn a_killed_server_takes_its_workers_and_its_arena_with_it() {
    let mut served = Served::echo(3);
    let workers = served.workers();
    served.child.kill().unwrap();
    served.child.wait().unwrap();
    assert!(until(|| !workers.iter().any(Identity::is_alive)));
    assert!(until(|| !served.arena().exists()));
}

#[test]
fn a_stopped_server_is_ended_by_force() {
    let mut served = Served::echo(2);
    let workers = served.workers();
    kill(served.child.id(), Signal::SIGSTOP);
    // Its parent is this test, so a thread has to reap it.
    let child = std::mem::replace(&mut served.child, command(&["ps"]).stdout(Stdio::null()).spawn().unwrap());
    let reaper = std::thread::spawn(move || finish(child, &["serve"]));
    let ended = phalanx(&["kill", &served.name, "--force"]).ok();
    assert!(ended.stderr.contains("SIGKILL"), "{ended:?}");
    assert_eq!(reaper.join().unwrap().code, -9);
    assert!(until(|| !workers.iter().any(Identity::is_alive)));
    assert!(!served.arena().exists());
}

#[test]
fn workers_are_restarted() {
    let served = Served::echo(4);
    let name = &served.name;
    let before = served.workers();
    let shown = phalanx(&["restart", name, "--row", "3", "--timeout", "30", "--json"]).ok().json();
    let worker = &shown["workers"][0];
    assert_eq!((&worker["worker"], &worker["ready"]), (&1.into(), &true.into()), "{shown}");
    assert_eq!(worker["old_pid"], before[1].pid);
    assert_eq!(served.workers()[0], before[0]);
    assert_ne!(served.workers()[1], before[1]);
    assert!(!before[1].is_alive());
    let all = phalanx(&["restart", name, "--all", "--timeout", "30"]).ok().stdout;
    assert_eq!(all.matches("ready").count(), 2, "{all}");
    assert!(served.client().solve(Rows::All).unwrap().all_solved());
    phalanx(&["restart", name, "--worker", "2"]).failed(2, &["worker 2 of 2"]);
    phalanx(&["restart", name, "--row", "4"]).failed(2, &["row 4 of 4"]);
    phalanx(&["restart", name]).failed(2, &["--all"]);
}

#[test]
fn a_restart_replaces_a_worker_though_respawning_is_off() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("c.toml");
    fs::write(&file, "respawn = false\n[cpu]\nworkers = 1").unwrap();
    let served = Served::with("echo", &["-n", "2", "--config", file.to_str().unwrap()]);
    phalanx(&["restart", &served.name, "--worker", "0", "--timeout", "30"]).ok();
    assert!(served.client().solve(Rows::All).unwrap().all_solved());
    let replaced = served.workers()[0];
    kill(replaced.pid, Signal::SIGKILL);
    served.event("died");
    served.event("died");
    assert!(!replaced.is_alive());
    phalanx(&["restart", &served.name, "--worker", "0", "--timeout", "30"]).ok();
}

#[test]
fn logs_tell_what_workers_printed_and_rows_said() {
    let args =
        ["-n", "3", "--workers", "1", "--param", "fault=panic", "--param", "row=1", "--param", "round=1"];
    let served = Served::with("faulty", &args);
    served.client().solve(Rows::All).unwrap();
    let name = &served.name;
    let row = phalanx(&["logs", name, "--row", "1"]).ok().stdout;
    assert!(row.contains("singular matrix in row 1"), "{row}");
    let all = || phalanx(&["logs", name, "--json"]).ok().json();
    assert_eq!(all()["messages"][0]["row"], 1);
    // What it printed goes through a pipe first.
    assert!(until(|| all()["workers"][0]["lines"].to_string().contains("panicked")), "{}", all());
    let one = phalanx(&["logs", name, "-n", "1", "--worker", "0", "--json"]).ok().json();
    assert_eq!(one["workers"][0]["lines"].as_array().unwrap().len(), 1);
    phalanx(&["logs", name, "--worker", "1"]).failed(2, &["worker 1 of 1"]);
    phalanx(&["logs", name, "--row", "3"]).failed(2, &["row 3 of 3"]);

    let follower = Following::begin(&["logs", name, "-f"]);
    assert!(follower.first.starts_with("worker 0 | "), "{follower:?}");
    phalanx(&["kill", name]).ok();
    follower.end().failed(4, &["gone"]);
}

#[test]
fn a_message_of_several_lines_is_one_line_in_lists() {
    let args =
        ["-n", "3", "--workers", "1", "--param", "fault=lecture", "--param", "row=1", "--param", "round=1"];
    let served = Served::with("faulty", &args);
    let mut client = served.client();
    client.solve(Rows::All).unwrap();
    let said = "the controller gave up: no feasible step:\n  of 3 tried\n    all fail";
    assert_eq!(client.message(1), Some((1, said.into())));
    let name = &served.name;
    let list = phalanx(&["logs", name]).ok().stdout;
    assert!(
        list.contains("row 1, round 1: the controller gave up: no feasible step: | of 3 tried | all fail\n"),
        "{list}"
    );
    let row = phalanx(&["logs", name, "--row", "1"]).ok().stdout;
    assert!(
        row.ends_with(
            "round 1: the controller gave up: no feasible step:\n      of 3 tried\n        all fail\n"
        ),
        "{row}"
    );
    assert_eq!(phalanx(&["logs", name, "--json"]).ok().json()["messages"][0]["text"], said);
}

#[test]
fn echo_follows_until_the_cluster_ends() {
    let served = Served::echo(2);
    let counted = phalanx(&["echo", &served.name, "cost", "--count", "3", "--rate", "100", "--json"]).ok();
    assert_eq!(counted.stdout.lines().count(), 3);
    let follower = Following::begin(&["echo", &served.name, "cost", "-f", "--json"]);
    assert!(follower.first.contains("status.cost") || follower.first.contains("null"), "{follower:?}");
    phalanx(&["kill", &served.name]).ok();
    let followed = follower.end().failed(4, &["gone"]);
    let last = followed.stdout.lines().last().unwrap();
    assert_eq!(serde_json::from_str::<Value>(last).unwrap()["code"], 4);
}

#[test]
fn a_dump_is_saved_and_read_again() {
    let served = Served::echo(2);
    let name = &served.name;
    let folder = tempfile::tempdir().unwrap();
    phalanx(&["dump", name, "--row", "1", "--out", folder.path().join("x").to_str().unwrap()])
        .failed(1, &["not answered"]);
    let mut client = served.client();
    let q = client.state.handle::<f32>("joint_q").unwrap();
    let bias = client.refs.handle::<f32>("bias").unwrap();
    for round in 0..3 {
        client.state.get_mut(q, 1).fill(0.1 + round as f32);
        client.refs.get_mut(bias, 1)[0] = f32::MIN_POSITIVE;
        client.solve(Rows::All).unwrap();
    }
    let state = client.state.row(1).to_vec();

    let mut run = command(&["dump", name, "--row", "1", "--json"]);
    let told = finish(run.current_dir(&folder).spawn().unwrap(), &["dump"]).ok().json();
    assert_eq!(told["file"], format!("{name}-row1-round3.json"));
    let dump = Dump::load(folder.path().join(told["file"].as_str().unwrap())).unwrap();
    assert_eq!((dump.row, dump.cluster.as_str(), dump.rounds.len()), (1, name.as_str(), 3));
    let last = &dump.rounds[2];
    assert_eq!(last.round, 3);
    // Word for word: what is replayed is what was solved.
    assert_eq!(dump.words(last, Group::State).unwrap().unwrap(), state);
    let refs = dump.words(last, Group::Refs).unwrap().unwrap();
    assert_eq!(bytemuck_f32(&refs, dump.manifest.schema.find("bias").unwrap().1.offset), f32::MIN_POSITIVE);
    assert!(dump.words(last, Group::Prediction).unwrap().is_none());
    let again = folder.path().join("again.json");
    dump.save(&again).unwrap();
    assert_eq!(Dump::load(&again).unwrap(), dump);

    let piped = phalanx(&["dump", name, "--row", "1", "--out", "-"]).ok().json();
    assert_eq!(piped["format"], "phalanx-dump");
    phalanx(&["dump", name, "--row", "1", "--out", "/dev/full"]).failed(1, &["/dev/full", "No space"]);
    phalanx(&["dump", name, "--row", "1", "--out", "/nonexistent/x.json"]).failed(1, &["/nonexistent"]);
    phalanx(&["dump", name, "--row", "2"]).failed(2, &["row 2 of 2"]);
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 2, "no part files");
}

fn bytemuck_f32(words: &[u64], offset: usize) -> f32 {
    let bytes: Vec<u8> = words.iter().flat_map(|w| w.to_ne_bytes()).collect();
    f32::from_ne_bytes(bytes[offset..offset + 4].try_into().unwrap())
}

#[test]
fn refs_are_overridden_and_given_back() {
    let served = Served::echo(2);
    let name = &served.name;
    let mut client = served.client();
    let mut operator = command(&["override", name, "--row", "1", "bias=2.5"]).spawn().unwrap();
    let mut efforts = || {
        client.solve(Rows::All).unwrap();
        [client.cmd.read("joint_effort", 0).unwrap()[0], client.cmd.read("joint_effort", 1).unwrap()[0]]
    };
    assert!(until(|| efforts() == [0.0, 2.5]));
    phalanx(&["override", name, "--row", "0", "bias=1"]).failed(1, &["already has an operator"]);
    kill(operator.id(), Signal::SIGINT);
    assert_eq!(end_of(&mut operator), Some(0));
    assert_eq!(efforts(), [0.0, 0.0]);
    phalanx(&["override", name, "--row", "0", "bias=1", "--for", "0.05"]).ok();
    for (bad, says) in
        [("bias", "FIELD=V"), ("bias=x", "invalid float"), ("nope=1", "nope"), ("bias=inf", "finite")]
    {
        phalanx(&["override", name, "--row", "0", bad]).failed(2, &[says]);
    }
    phalanx(&["override", name, "--row", "7", "bias=1"]).failed(2, &["row 7 of 2"]);
}

#[test]
fn doctor_tells_programs_and_people() {
    let shown = phalanx(&["doctor", "--json"]);
    let checks = shown.json();
    let all = checks["checks"].as_array().unwrap();
    assert!(all.len() >= 15 && all.iter().all(|c| c["found"].is_string() && c["name"].is_string()));
    let failed = all.iter().any(|c| c["status"] == "fail");
    assert_eq!((checks["ok"] == true, shown.code), (!failed, i32::from(failed)));
    let text = phalanx(&["doctor"]).stdout;
    assert!(text.contains("PASS") && !text.contains('\x1b'), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
}

#[test]
fn bad_input_is_refused_with_a_remedy() {
    let served = Served::echo(2);
    let typo = format!("{}x", served.name);
    phalanx(&["echo", &typo, "cost"]).failed(3, &["there is", &served.name]);
    phalanx(&["serve", "echo", "-n", "2", "--name", &served.name]).failed(1, &["taken", "phalanx kill"]);
    phalanx(&["echo", &served.name, "cots"]).failed(2, &["cots", "status.cost"]);
    phalanx(&["echo", &served.name, "cost", "--rows", "1-x"]).failed(2, &["0,3-5"]);
    phalanx(&["echo", &served.name, "cost", "--rows", "0-2"]).failed(2, &["row 2 of 2"]);
    phalanx(&["echo", &served.name, "cost", "--rate", "0"]).failed(2, &["--rate"]);
    phalanx(&["kill", "a/b"]).failed(2, &["'/'"]);
    phalanx(&["ps", "--nope"]).failed(2, &["--nope"]);
    phalanx(&["serve", "echo", "-n", "2", "--name", &"x".repeat(300)]).failed(2, &["300 bytes"]);
    phalanx(&["serve", "echo", "--name", &name()]).failed(2, &["-n ROWS"]);
    phalanx(&["serve", "echo", "-n", "0", "--name", &name()]).failed(2, &["rows = 0"]);
    phalanx(&["serve", "ehco", "-n", "2"]).failed(2, &["did you mean echo"]);
    phalanx(&["serve", "./absent", "-n", "2"]).failed(2, &["./absent"]);
    phalanx(&["serve", "/bin/true", "-n", "2", "--name", &name()]).failed(2, &["no Phalanx controller"]);
    phalanx(&["serve", "echo", "-n", "2", "--name", &name(), "--param", "busy=1"]).failed(2, &["busy_us"]);
    phalanx(&["serve", "echo", "-n", "2", "--name", &name(), "--cores", "0-"]).failed(2, &["0-3,8"]);
    phalanx(&["serve", "echo", "-n", "2", "--name", &name(), "--robot", "/no.urdf"]).failed(2, &["/no.urdf"]);

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("c.toml");
    for (text, says) in [("spin = 1", "`spin`"), ("[cpu", "line 1"), ("[cpu]\nworker = 1", "`worker`")] {
        fs::write(&file, text).unwrap();
        let file = file.to_str().unwrap();
        phalanx(&["serve", "echo", "-n", "2", "--name", &name(), "--config", file])
            .failed(2, &["c.toml", says]);
    }
    let told = phalanx(&["echo", &typo, "cost", "--json"]).failed(3, &[]).json();
    assert_eq!(told["code"], 3);
    assert!(told["error"].as_str().unwrap().contains(&typo));
    assert_eq!(phalanx(&["restart", "x", "--json"]).failed(2, &[]).json()["code"], 2);
}

#[test]
fn settings_come_from_the_file_then_the_flags() {
    let folder = tempfile::tempdir().unwrap();
    let robot = "name = 'leg'\ncontacts = ['foot']\n[[joints]]\nname = 'knee'";
    fs::write(folder.path().join("leg.toml"), robot).unwrap();
    let file = folder.path().join("c.toml");
    fs::write(
        &file,
        "name = 'unused'\nrows = 7\nrobot_file = 'leg.toml'\n[history]\nrounds = 0\n[params]\nbusy_us = 1",
    )
    .unwrap();
    let served = Served::with(
        "echo",
        &["-n", "3", "--config", file.to_str().unwrap(), "--real", "f32", "--workers", "1"],
    );
    let shown = phalanx(&["fields", &served.name, "--json"]).ok().json();
    assert_eq!((&shown["rows"], &shown["robot"]["name"]), (&3.into(), &"leg".into()));
    served.client().solve(Rows::All).unwrap();
    phalanx(&["echo", &served.name, "state.joint_q"]).failed(2, &["--history"]);
    phalanx(&["echo", &served.name, "cmd.joint_q"]).ok();
    let dumped = phalanx(&["dump", &served.name, "--row", "0", "--out", "-"]).ok().json();
    assert!(dumped["rounds"][0].get("state").is_none() && dumped["rounds"][0]["cmd"].is_object());
}

#[test]
fn a_closed_pipe_is_no_accident() {
    let served = Served::echo(64);
    for args in [
        &["ps"][..],
        &["fields", &served.name],
        &["echo", &served.name, "cmd.joint_a"],
        &["echo", &served.name, "cost", "-f", "--rate", "1000"],
        &["logs", &served.name],
        &["dump", &served.name, "--row", "0", "--out", "-"],
        &["doctor"],
        &["completions", "bash"],
        &["--help"],
        &["echo", "--help"],
    ] {
        let mut child = command(args).spawn().unwrap();
        drop(child.stdout.take());
        let ran = finish(child, args).failed(0, &[]);
        assert!(ran.stderr.is_empty(), "{args:?}: {ran:?}");
    }
}

#[test]
fn an_unread_server_serves_on() {
    let name = name();
    let args = ["serve", "echo", "--name", &name, "-n", "2", "--workers", "1"];
    let mut child = command(&args).spawn().unwrap();
    drop(child.stdout.take());
    let mut client = phalanx::ClusterClient::connect_within(&name, PATIENCE).unwrap();
    assert!(client.solve(Rows::All).unwrap().all_solved());
    kill(child.id(), Signal::SIGTERM);
    assert_eq!(end_of(&mut child), Some(0));
}

#[test]
fn an_idle_server_uses_no_time() {
    let served = Served::echo(2);
    let processes = || served.workers().into_iter().map(|w| w.pid).chain([served.child.id()]);
    let ticks = || -> u64 { processes().map(ticks_of).sum() };
    // What starting cost may still be going on.
    let rests = || {
        let before = ticks();
        std::thread::sleep(Duration::from_millis(500));
        ticks() == before
    };
    assert!(until(rests), "{} ticks and counting", ticks());
}

/// User and system time of a process, in clock ticks.
fn ticks_of(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<_> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

#[test]
fn every_help_has_an_example() {
    let top = phalanx(&["--help"]).ok().stdout;
    assert!(top.contains("EXIT CODES") && top.contains("EXAMPLE"), "{top}");
    let commands =
        top.lines().skip_while(|l| !l.starts_with("Commands:")).skip(1).take_while(|l| !l.is_empty());
    // Names are indented by two, the rest of a long line by more.
    let names: Vec<_> =
        commands.filter_map(|l| l.strip_prefix("  ").filter(|l| !l.starts_with(' '))).collect();
    assert!(names.len() >= 12, "{names:?}");
    for name in names.iter().map(|l| l.split(' ').next().unwrap()) {
        let help = phalanx(&[name, "--help"]).ok().stdout;
        assert!(help.contains("EXAMPLE\n") && help.contains(&format!("phalanx {name}")), "{help}");
        assert!(help.lines().all(|l| l.chars().count() <= 100), "{help}");
    }
    assert_eq!(phalanx(&[]).code, 2);
    assert!(phalanx(&["--version"]).ok().stdout.starts_with("phalanx "));
}

#[test]
fn completions_are_scripts() {
    for shell in ["bash", "zsh", "fish"] {
        assert!(phalanx(&["completions", shell]).ok().stdout.contains("restart"));
    }
    phalanx(&["completions", "tcsh"]).failed(2, &["tcsh"]);
}
