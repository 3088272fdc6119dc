//! `phalanx serve --metrics`: what Prometheus asks for, over HTTP, on one thread that sleeps until somebody asks.
//!
//! Whoever connects gets a bounded piece of memory for a bounded time. Where there are too many, the one that has
//! been there longest goes: a scrape is over in a millisecond, who stays longer wants something else.

use crate::fail::{Code, Failure};
use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::eventfd::{EfdFlags, EventFd},
};
use phalanx::{Observer, metrics};
use phalanx_shm::Identity;
use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream, ToSocketAddrs},
    os::fd::AsFd,
    sync::Arc,
    thread::JoinHandle,
    time::{Duration, Instant},
};

/// Connections at a time.
const CONNECTIONS: usize = 64;
/// Bytes of a request's line and headers.
const HEAD: usize = 4096;
/// What a connection may do before the others' turn: reads and writes.
const STEPS: usize = 32;
/// How long a connection may take, from its beginning to its end.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a client that has its answer may take to hang up.
const FAREWELL: Duration = Duration::from_secs(1);

/// `PORT`, `:PORT` or `HOST:PORT`; without a host, nobody but this machine is answered.
pub fn parse(text: &str) -> Result<Vec<SocketAddr>, String> {
    if let Ok(port) = text.strip_prefix(':').unwrap_or(text).parse::<u16>() {
        return Ok(vec![(Ipv4Addr::LOCALHOST, port).into()]);
    }
    match text.to_socket_addrs().map(Iterator::collect::<Vec<_>>) {
        Ok(found) if !found.is_empty() => Ok(found),
        _ => Err("write PORT or HOST:PORT, as in 9464 or 0.0.0.0:9464".into()),
    }
}

/// A port that is taken, and nobody answered yet.
pub struct Bound {
    listener: TcpListener,
    address: SocketAddr,
}

impl Bound {
    /// Takes the port, before anything is started that would have to be ended again.
    pub fn new(text: &str) -> Result<Self, Failure> {
        let addresses =
            parse(text).map_err(|why| Failure::usage(format_args!("--metrics {text:?}: {why}")))?;
        let refused = |error: io::Error| {
            let remedy = match error.kind() {
                io::ErrorKind::AddrInUse => "; give another port, or 0 for any that is free",
                io::ErrorKind::PermissionDenied => "; give a port from 1024 on",
                io::ErrorKind::AddrNotAvailable => "; give an address of this machine",
                _ => "",
            };
            Failure::new(Code::Failed, format_args!("cannot serve metrics on {text}: {error}{remedy}"))
        };
        let listener = TcpListener::bind(&addresses[..]).map_err(refused)?;
        listener.set_nonblocking(true).map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        Ok(Self { listener, address })
    }

    /// Answers from now on; about a cluster of this process, once there is one.
    pub fn serve(self, cluster: &str) -> Result<Exporter, Failure> {
        let failed = |e: &dyn std::fmt::Display| Failure::failed(format_args!("cannot serve metrics: {e}"));
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        let end = Arc::new(EventFd::from_value_and_flags(0, flags).map_err(|e| failed(&e))?);
        let (listener, until, name) = (self.listener, end.clone(), cluster.to_owned());
        let mut observer = None;
        let mut page = move || Some(metrics::text(attached(&mut observer, &name)?));
        let run = move || Desk { listener, guests: Vec::new() }.run(&until, &mut page);
        let thread = std::thread::Builder::new().name("metrics".into()).spawn(run).map_err(|e| failed(&e))?;
        Ok(Exporter { address: self.address, end, thread: Some(thread) })
    }
}

/// The observer of this process's own cluster; another's of that name is none of ours.
fn attached<'a>(observer: &'a mut Option<Observer>, name: &str) -> Option<&'a Observer> {
    if observer.is_none() {
        *observer = Observer::attach(name).ok().filter(|observer| observer.server() == Identity::me());
    }
    observer.as_ref()
}

/// The thread that answers. Dropped, it ends.
pub struct Exporter {
    address: SocketAddr,
    end: Arc<EventFd>,
    thread: Option<JoinHandle<()>>,
}

impl Exporter {
    /// Where it answers.
    pub fn url(&self) -> String {
        format!("http://{}/metrics", self.address)
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        let _ = self.end.write(1);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// All connections.
struct Desk {
    listener: TcpListener,
    /// In the order they came.
    guests: Vec<Guest>,
}

impl Desk {
    fn run(mut self, end: &EventFd, page: &mut dyn FnMut() -> Option<String>) {
        // Where not even a connection can be taken off the queue (descriptors), it is left alone for a while.
        let mut rest: Option<Instant> = None;
        loop {
            rest = rest.filter(|until| *until > Instant::now());
            let ready = self.wait(end, rest);
            let Some(ready) = ready else { return };
            for (guest, _) in self.guests.iter_mut().zip(&ready).filter(|(_, ready)| **ready) {
                guest.go_on(page);
            }
            let now = Instant::now();
            self.guests.retain(|guest| guest.stage != Stage::Over && guest.until > now);
            if rest.is_none() && !self.welcome() {
                rest = Some(now + Duration::from_millis(100));
            }
        }
    }

    /// Waits until somebody can go on, or has had their time; who can. `None`: it is over.
    fn wait(&self, end: &EventFd, rest: Option<Instant>) -> Option<Vec<bool>> {
        let mut fds = vec![PollFd::new(end.as_fd(), PollFlags::POLLIN)];
        let hears = if rest.is_some() { PollFlags::empty() } else { PollFlags::POLLIN };
        fds.push(PollFd::new(self.listener.as_fd(), hears));
        fds.extend(self.guests.iter().map(|guest| PollFd::new(guest.stream.as_fd(), guest.wants())));
        let next = self.guests.iter().map(|guest| guest.until).chain(rest).min();
        let timeout = next.map_or(PollTimeout::NONE, |next| {
            let left = next.saturating_duration_since(Instant::now()).as_micros().div_ceil(1000);
            PollTimeout::from(left.min(60_000) as u16)
        });
        if poll(&mut fds, timeout).is_err() {
            // Interrupted, or short of memory: look again, though not at once.
            std::thread::sleep(Duration::from_millis(10));
        }
        if fds[0].any().unwrap_or(false) {
            return None;
        }
        Some(fds[2..].iter().map(|fd| fd.any().unwrap_or(false)).collect())
    }

    /// Lets in who waits, as many as there is room for at a time; false where that fails.
    fn welcome(&mut self) -> bool {
        for _ in 0..CONNECTIONS {
            match self.listener.accept() {
                Ok((stream, _)) if stream.set_nonblocking(true).is_ok() => {
                    if self.guests.len() == CONNECTIONS {
                        self.guests.remove(0);
                    }
                    self.guests.push(Guest::new(stream));
                }
                Ok(_) => {}
                Err(e) => {
                    return matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::ConnectionAborted);
                }
            }
        }
        true
    }
}

/// Where a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// It says what it wants.
    Asking,
    /// It is given the answer.
    Answered,
    /// It has the answer; what it still says is not heard. Hung up on at once, it might lose the answer.
    Leaving,
    Over,
}

/// A connection: one request, one answer.
struct Guest {
    stream: TcpStream,
    stage: Stage,
    /// When its time is over.
    until: Instant,
    /// What it has said so far.
    head: Vec<u8>,
    /// What it has not been given yet of its answer.
    answer: Vec<u8>,
    given: usize,
}

impl Guest {
    fn new(stream: TcpStream) -> Self {
        let until = Instant::now() + PATIENCE;
        Self { stream, stage: Stage::Asking, until, head: Vec::new(), answer: Vec::new(), given: 0 }
    }

    fn wants(&self) -> PollFlags {
        if self.stage == Stage::Answered { PollFlags::POLLOUT } else { PollFlags::POLLIN }
    }

    /// Does what can be done without waiting, and not so much of it that others wait.
    fn go_on(&mut self, page: &mut dyn FnMut() -> Option<String>) {
        for _ in 0..STEPS {
            let done = match self.stage {
                Stage::Asking => self.hear(page),
                Stage::Answered => self.give(),
                Stage::Leaving => self.see_off(),
                Stage::Over => return,
            };
            match done {
                Ok(next) => self.stage = next,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => self.stage = Stage::Over,
            }
        }
    }

    fn hear(&mut self, page: &mut dyn FnMut() -> Option<String>) -> io::Result<Stage> {
        let mut buffer = [0; 1024];
        let read = self.stream.read(&mut buffer)?;
        if read == 0 {
            return Ok(Stage::Over);
        }
        self.head.extend_from_slice(&buffer[..read]);
        // An empty line; people at a terminal do without the carriage returns.
        let end = |line: &[u8]| self.head.windows(line.len()).position(|here| here == line);
        let end = end(b"\n\r\n").or_else(|| end(b"\n\n"));
        if end.is_none() && self.head.len() < HEAD {
            return Ok(Stage::Asking);
        }
        self.answer = match end {
            Some(end) => answer(&self.head[..end], page),
            None => response("431 Request Header Fields Too Large", "", "the headers are too long\n", true),
        };
        self.head = Vec::new();
        Ok(Stage::Answered)
    }

    fn give(&mut self) -> io::Result<Stage> {
        if self.given < self.answer.len() {
            self.given += self.stream.write(&self.answer[self.given..])?;
            return Ok(Stage::Answered);
        }
        self.stream.shutdown(Shutdown::Write)?;
        self.answer = Vec::new();
        self.until = self.until.min(Instant::now() + FAREWELL);
        Ok(Stage::Leaving)
    }

    fn see_off(&mut self) -> io::Result<Stage> {
        let mut buffer = [0; 1024];
        Ok(if self.stream.read(&mut buffer)? == 0 { Stage::Over } else { Stage::Leaving })
    }
}

/// The answer to a request, given its line and headers.
fn answer(head: &[u8], page: &mut dyn FnMut() -> Option<String>) -> Vec<u8> {
    let line = head.split(|byte| b"\r\n".contains(byte)).next().unwrap_or_default();
    let mut words = std::str::from_utf8(line).unwrap_or_default().split(' ');
    let (method, target, version, rest) = (words.next(), words.next(), words.next(), words.next());
    let (Some(method), Some(target), Some("HTTP/1.1" | "HTTP/1.0"), None) = (method, target, version, rest)
    else {
        return response("400 Bad Request", "", "this is not HTTP/1.1\n", true);
    };
    let body = method != "HEAD";
    match (method, target.split('?').next().unwrap_or_default()) {
        ("GET" | "HEAD", "/metrics") => match page() {
            Some(text) => {
                response("200 OK", &format!("Content-Type: {}\r\n", metrics::CONTENT_TYPE), &text, body)
            }
            None => {
                response("503 Service Unavailable", "Retry-After: 1\r\n", "the cluster is starting\n", body)
            }
        },
        ("GET" | "HEAD", _) => response("404 Not Found", "", "there is /metrics\n", body),
        _ => response("405 Method Not Allowed", "Allow: GET, HEAD\r\n", "only GET and HEAD\n", body),
    }
}

fn response(status: &str, headers: &str, text: &str, body: bool) -> Vec<u8> {
    let plain = if headers.contains("Content-Type") { "" } else { "Content-Type: text/plain\r\n" };
    let length = text.len();
    let mut answer =
        format!("HTTP/1.1 {status}\r\n{headers}{plain}Content-Length: {length}\r\nConnection: close\r\n\r\n");
    if body {
        answer += text;
    }
    answer.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(head: &str) -> String {
        let answer = String::from_utf8(answer(head.as_bytes(), &mut || Some("x 1\n".into()))).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let length = format!("Content-Length: {}", if head.contains(" 200 ") { 4 } else { body.len() });
        assert!(head.contains(&length) || body.is_empty(), "{answer}");
        head.lines().next().unwrap()["HTTP/1.1 ".len()..].to_owned() + if body.is_empty() { " -" } else { "" }
    }

    #[test]
    fn requests_are_told_apart() {
        for (request, expected) in [
            ("GET /metrics HTTP/1.1\r\nHost: x", "200 OK"),
            ("GET /metrics?name=x HTTP/1.0", "200 OK"),
            ("HEAD /metrics HTTP/1.1", "200 OK -"),
            ("GET / HTTP/1.1", "404 Not Found"),
            ("HEAD /metric HTTP/1.1", "404 Not Found -"),
            ("POST /metrics HTTP/1.1", "405 Method Not Allowed"),
            ("get /metrics HTTP/1.1", "405 Method Not Allowed"),
            ("GET /metrics", "400 Bad Request"),
            ("GET  /metrics HTTP/1.1", "400 Bad Request"),
            ("GET /metrics HTTP/2", "400 Bad Request"),
            ("", "400 Bad Request"),
            ("\u{16}\u{3}", "400 Bad Request"),
        ] {
            assert_eq!(status(request), expected, "{request:?}");
        }
        let starting = String::from_utf8(answer(b"GET /metrics HTTP/1.1", &mut || None)).unwrap();
        assert!(starting.starts_with("HTTP/1.1 503 ") && starting.contains("starting"), "{starting}");
    }

    #[test]
    fn a_port_alone_is_of_this_machine() {
        for text in ["9464", ":9464", "127.0.0.1:9464"] {
            assert_eq!(parse(text).unwrap(), ["127.0.0.1:9464".parse().unwrap()], "{text}");
        }
        assert_eq!(parse("[::1]:0").unwrap(), ["[::1]:0".parse().unwrap()]);
        for bad in ["", ":", "99999", "localhost", "1.2.3.4", "x y:1", "-1"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
