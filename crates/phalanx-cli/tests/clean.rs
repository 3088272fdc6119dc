//! `phalanx clean`, on what a kill of everything at once leaves.
//!
//! A file of its own: whoever starts a cluster anywhere on this machine reclaims such leftovers, so these try
//! again when somebody else was faster, which many tests beside them would make likely.

mod common;

use common::{Served, kill, phalanx, ps, until};
use nix::sys::signal::Signal;
use phalanx_shm::Identity;

#[test]
fn what_a_kill_of_everything_leaves_is_cleaned() {
    // Somebody else on this machine may still be faster.
    assert!((0..20).any(|_| scenario().is_some()), "somebody reclaims whatever is left");
}

/// Kills everything of a cluster, then looks and cleans; `None` when somebody else cleaned up meanwhile.
fn scenario() -> Option<()> {
    let served = Served::echo(3);
    let name = served.name.clone();
    slaughter(served)?;
    let line = ps(&name)?;
    assert_eq!(line["state"], "dead", "{line}");
    assert!(line["hint"].as_str().unwrap().contains("phalanx clean"));

    let here = |code: i32| (code != 3).then_some(());
    let echoed = phalanx(&["echo", &name, "cost"]);
    here(echoed.code)?;
    echoed.failed(4, &["dead", "phalanx clean"]);
    let killed = phalanx(&["kill", &name]);
    here(killed.code)?;
    killed.failed(4, &["phalanx clean"]);
    let checks = phalanx(&["doctor", "--json"]).json();
    let leftovers = checks["checks"].as_array()?.iter().find(|c| c["name"] == "leftovers")?.clone();
    leftovers["found"].as_str()?.contains(&name).then_some(())?;
    assert_eq!((leftovers["status"].as_str()?, leftovers["fix"].as_str()?), ("warn", "`phalanx clean`"));

    let dry = phalanx(&["clean", &name, "--dry-run", "--json"]);
    here(dry.code)?;
    let dry = dry.ok().json();
    let find = dry["found"].get(0)?;
    assert_eq!((find["name"].as_str()?, find["removed"].as_bool()?), (&*name, false));
    assert_eq!(ps(&name)?["state"], "dead", "a dry run leaves it");
    let wet = phalanx(&["clean", &name, "--json"]);
    here(wet.code)?;
    let wet = wet.ok().json();
    (wet["found"].get(0)?["removed"] == true).then_some(())?;
    assert!(wet["bytes"].as_u64()? > 4096, "{wet}");
    assert!(ps(&name).is_none());
    phalanx(&["clean", &name]).failed(3, &["no cluster"]);
    Some(())
}

/// Ends all processes of a cluster such that none can clean up after the others.
fn slaughter(mut served: Served) -> Option<()> {
    let workers = served.workers();
    workers.iter().for_each(|w| kill(w.pid, Signal::SIGSTOP));
    served.child.kill().unwrap();
    served.child.wait().unwrap();
    workers.iter().for_each(|w| kill(w.pid, Signal::SIGKILL));
    assert!(until(|| !workers.iter().any(Identity::is_alive)));
    served.arena().exists().then_some(())?;
    served.leave();
    Some(())
}

#[test]
fn a_dead_cluster_is_killed_by_force() {
    let killed = (0..20).any(|_| {
        let served = Served::echo(1);
        let name = served.name.clone();
        slaughter(served).is_some() && phalanx(&["kill", &name, "--force"]).stdout.contains("was dead")
    });
    assert!(killed, "somebody reclaims whatever is left");
}

#[test]
fn what_lives_is_kept() {
    let served = Served::echo(1);
    phalanx(&["clean", &served.name]).failed(1, &["kept", "phalanx kill"]);
    phalanx(&["clean", &served.name, "--force"]).failed(1, &["kept", "phalanx kill"]);
    phalanx(&["clean"]).ok();
    assert!(served.client().solve(phalanx::Rows::All).unwrap().all_solved());
}
