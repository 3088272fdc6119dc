//! `phalanx serve --metrics` and `phalanx metrics`, asked by those who mean well and by those who do not.

mod common;
#[path = "../../../controllers/faulty/tests/common/exposition.rs"]
mod exposition;

use common::{PATIENCE, Served, command, finish, kill, name, phalanx, until};
use exposition::Exposition;
use nix::sys::signal::Signal;
use phalanx::Rows;
use phalanx_shm::ArenaName;
use std::{
    fs,
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
};

/// A cluster that answers on a port of its own.
struct Scraped {
    served: Served,
    address: String,
}

impl Scraped {
    fn new() -> Self {
        let served = Served::starting("echo", &["-n", "3", "--workers", "2", "--metrics", "0"]);
        let ready = served.event("ready");
        let url = ready["metrics"].as_str().unwrap().to_owned();
        let address = url.strip_prefix("http://").unwrap().strip_suffix("/metrics").unwrap().to_owned();
        assert!(address.starts_with("127.0.0.1:"), "nobody else's business: {address}");
        Self { served, address }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Head and body of what is answered to a request.
    fn ask(&self, request: &[u8]) -> (String, String) {
        let mut stream = self.connect();
        stream.write_all(request).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.to_owned(), body.to_owned())
    }

    fn get(&self) -> Exposition {
        let (head, body) = self.ask(b"GET /metrics HTTP/1.1\r\nHost: here\r\n\r\n");
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        assert!(head.contains("Content-Type: text/plain; version=0.0.4; charset=utf-8"), "{head}");
        assert!(head.contains(&format!("Content-Length: {}", body.len())), "{head}");
        Exposition::parse(&body).unwrap()
    }

    fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.served.child.id())).unwrap().count()
    }
}

#[test]
fn prometheus_is_answered() {
    let scraped = Scraped::new();
    let now = scraped.get();
    assert_eq!((now.get("phalanx_up"), now.get("phalanx_rounds_total")), (1.0, 0.0));
    let mut client = scraped.served.client();
    for _ in 0..10 {
        client.solve(Rows::All).unwrap();
    }
    let now = scraped.get();
    assert_eq!(now.get("phalanx_rounds_total"), 10.0);
    assert_eq!(now.get("phalanx_answers_total{outcome=\"solved\"}"), 30.0);
    for (request, status, body) in [
        ("HEAD /metrics HTTP/1.1\r\n\r\n", "200 OK", false),
        ("GET /metrics HTTP/1.0\n\n", "200 OK", true),
        ("GET / HTTP/1.1\r\n\r\n", "404 Not Found", true),
        ("POST /metrics HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", "405 Method Not Allowed", true),
        ("nonsense\r\n\r\n", "400 Bad Request", true),
    ] {
        let (head, text) = scraped.ask(request.as_bytes());
        assert!(head.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{request:?}: {head}");
        assert_eq!(!text.is_empty(), body, "{request:?}: {text}");
    }
    // Workers come and go; nobody asks for rounds.
    let name = scraped.served.name.clone();
    for deaths in 1..4 {
        kill(scraped.served.workers()[1].pid, Signal::SIGKILL);
        assert!(until(|| {
            let now = scraped.get();
            now.get("phalanx_worker_deaths_total{worker=\"1\"}") == f64::from(deaths)
                && now.get("phalanx_worker_up{worker=\"1\"}") == 1.0
        }));
    }
    assert_eq!(scraped.get().get("phalanx_worker_respawns_total{worker=\"1\"}"), 3.0);

    let printed = phalanx(&["metrics", &name]).ok().stdout;
    assert_eq!(Exposition::parse(&printed).unwrap().get("phalanx_asks_total"), 30.0);
    assert!(printed.contains(&format!("phalanx_up{{cluster=\"{name}\"}} 1\n")), "{printed}");
    let json = phalanx(&["metrics", &name, "--json"]).ok().json();
    assert_eq!(
        (&json["tallies"]["client"]["rounds"], &json["workers"][1]["deaths"]),
        (&10.into(), &3.into())
    );
    drop(client);
    phalanx(&["kill", &name]).ok();
    assert!(until(|| TcpStream::connect(&scraped.address).is_err()), "the port is free again");
    phalanx(&["metrics", &name]).failed(3, &["no cluster", &name]);
}

#[test]
fn what_cannot_be_served_is_said_before_anything_is_started() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let cluster = name();
    for (address, code, says) in [
        (address.as_str(), 1, &["in use", "another port"][..]),
        ("192.0.2.1:0", 1, &["192.0.2.1:0", "address of this machine"]),
        ("nonsense", 2, &["--metrics", "nonsense", "PORT"]),
        ("1.2.3.4:99999", 2, &["99999"]),
    ] {
        let args = ["serve", "echo", "-n", "1", "--name", &cluster, "--metrics", address];
        let ran = finish(command(&args).spawn().unwrap(), &args).failed(code, says);
        assert_eq!(ran.stderr.trim().lines().count(), 1, "{ran:?}");
        assert!(!ran.stdout.contains("ready") && !ArenaName::new(&cluster).unwrap().path().exists());
    }
}

#[test]
fn nobody_keeps_others_from_their_answer() {
    let scraped = Scraped::new();
    scraped.get();
    let before = scraped.descriptors();
    // Idle ones, those that stop in the middle, those that talk without an end, and those that never listen.
    let mut crowd: Vec<_> = (0..200).map(|_| scraped.connect()).collect();
    for (i, stream) in crowd.iter_mut().enumerate() {
        stream.set_nonblocking(true).unwrap();
        let _ = match i % 5 {
            0 => Ok(()),
            1 => stream.write_all(b"GET /metr"),
            2 => stream.write_all(&[0xff; 64 << 10]),
            3 => stream.write_all(&b"GET /metrics HTTP/1.1\r\n\r\n".repeat(1000)),
            _ => stream
                .write_all(b"GET /metrics HTTP/1.1\r\nX: ")
                .and_then(|()| stream.shutdown(Shutdown::Write)),
        };
        if i % 10 == 0 {
            scraped.get();
            assert!(scraped.descriptors() <= before + 70, "{} descriptors", scraped.descriptors());
        }
    }
    // A byte now and then, for as long as it is let.
    let mut slow = scraped.connect();
    assert!(
        until(|| {
            scraped.get();
            std::thread::sleep(std::time::Duration::from_millis(20));
            slow.write_all(b"G").is_err()
        }),
        "nobody is waited for for ever"
    );
    let (head, _) = scraped.ask(&b"X: y\r\n".repeat(4096 / 6 + 1));
    assert!(head.starts_with("HTTP/1.1 431 "), "{head}");
    drop(crowd);
    drop(slow);
    assert!(until(|| scraped.descriptors() <= before), "{} descriptors are left", scraped.descriptors());
    scraped.get();
    let status = fs::read_to_string(format!("/proc/{}/status", scraped.served.child.id())).unwrap();
    let threads = status.lines().find_map(|line| line.strip_prefix("Threads:")).unwrap().trim();
    assert!(threads.parse::<u32>().unwrap() < 8, "{threads} threads");
}

#[test]
fn a_killed_cluster_says_that_it_is_not_up() {
    let mut served = Served::echo(2);
    served.client().solve(Rows::All).unwrap();
    // Its workers would remove what it leaves.
    let workers = served.workers();
    workers.iter().for_each(|worker| kill(worker.pid, Signal::SIGSTOP));
    served.child.kill().unwrap();
    served.child.wait().unwrap();
    let ran = phalanx(&["metrics", &served.name]);
    if ran.code == 0 {
        let shown = Exposition::parse(&ran.stdout).unwrap();
        assert_eq!((shown.get("phalanx_up"), shown.get("phalanx_asks_total")), (0.0, 2.0));
    } else {
        // They were woken to their end by it, and were faster.
        ran.failed(3, &["no cluster"]);
    }
}
