//! Rival: iceoryx2, zero-copy request and response. One service per controller, so that a request wakes and
//! an answer is looked for at that controller only; the parent is the client of all. To spin, both sides poll
//! `receive`, which is what iceoryx2's own latency benchmark does. To sleep, two event services carry the
//! wake-ups: *trigger*, one notifier that all children listen to, and *done*, where each child notifies under
//! its row's number.
//!
//! In iceoryx2's favour: requests are loaned and filled, and answers given back, outside the timed part;
//! buffers are as small as the exchange allows; the search for dead nodes, quadratic in their number at
//! start, is off.

use std::{
    fs, hint,
    process::{self, ExitCode},
    time::{Duration, Instant},
};

use clap::Parser;
use iceoryx2::{
    node::Node,
    pending_response::PendingResponse,
    port::{client::Client, listener::Listener, notifier::Notifier},
    prelude::*,
    request_mut::RequestMut,
    response::Response,
    service::port_factory::{event, request_response},
};
use phalanx_benches::{
    Cli, Error, Options, Rival, Wait,
    family::{self, Family},
    measure::{self, LEAVE, echo, stamp},
};

type Ipc = ipc::Service;
type Controller = request_response::PortFactory<Ipc, [u8], (), [u8], ()>;
type Request = RequestMut<Ipc, [u8], (), [u8], ()>;
type Pending = PendingResponse<Ipc, [u8], (), [u8], ()>;

/// One controller, seen from the parent. The options are filled in turn: request, pending, answer.
struct Row {
    client: Client<Ipc, [u8], (), [u8], ()>,
    request: Option<Request>,
    pending: Option<Pending>,
    answer: Option<Response<Ipc, [u8], ()>>,
}

impl Row {
    /// Take the answer if it has come.
    fn poll(&mut self) -> Result<bool, Error> {
        if let (None, Some(pending)) = (&self.answer, &self.pending) {
            self.answer = pending.receive()?;
        }
        Ok(self.answer.is_some())
    }
}

struct Parent {
    rows: Vec<Row>,
    trigger: Notifier<Ipc>,
    done: Listener<Ipc>,
    wait: Wait,
    /// The state of a row while it is written, and the rows that have just answered; kept to allocate
    /// nothing.
    state: Vec<u8>,
    answered: Vec<usize>,
}

impl Parent {
    fn send(&mut self) -> Result<(), Error> {
        for row in &mut self.rows {
            row.pending = row.request.take().map(RequestMut::send).transpose()?;
        }
        if self.wait == Wait::Sleep {
            self.trigger.notify()?;
        }
        Ok(())
    }
}

impl Rival for Parent {
    fn fill(&mut self, round: u64) -> Result<(), Error> {
        for (i, row) in self.rows.iter_mut().enumerate() {
            self.state[8..].fill(round as u8);
            self.state[..8].copy_from_slice(&stamp(round, i));
            let request = row.client.loan_slice_uninit(self.state.len())?;
            row.request = Some(request.write_from_slice(&self.state));
        }
        Ok(())
    }

    fn round(&mut self) -> Result<(), Error> {
        self.send()?;
        if self.wait == Wait::Spin {
            for row in &mut self.rows {
                while !row.poll()? {
                    hint::spin_loop();
                }
            }
            return Ok(());
        }
        let mut missing = self.rows.len();
        while missing > 0 {
            self.answered.clear();
            self.done.blocking_wait(|event| self.answered.push(event.id.as_value()))?;
            for &row in &self.answered {
                if !self.rows[row].poll()? {
                    return Err(format!("row {row} is done without an answer").into());
                }
            }
            missing -= self.answered.len();
        }
        Ok(())
    }

    fn check(&mut self, round: u64) -> Result<bool, Error> {
        let mut right = true;
        for (i, row) in self.rows.iter_mut().enumerate() {
            right &= row.answer.take().is_some_and(|answer| answer.payload()[..8] == stamp(round, i));
            row.pending = None;
        }
        Ok(right)
    }
}

fn main() -> ExitCode {
    set_log_level(LogLevel::Fatal); // its errors come back as values; a log line for each is too much at 256
    let cli = Cli::parse();
    if let Some(row) = cli.child {
        return match child(row, &cli) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("child {row}: {error}");
                ExitCode::FAILURE
            }
        };
    }
    let key = format!("phalanx-rival-{}", process::id());
    measure::report(
        &cli.options,
        {
            let key = key.clone();
            move || clean(&key)
        },
        || {
            let outcome = parent(&key, &cli.options);
            clean(&key);
            outcome
        },
    )
}

fn parent(key: &str, options: &Options) -> Result<(Duration, Vec<u64>), Error> {
    let start = Instant::now();
    let node = node(key)?;
    let trigger = event(&node, "trigger", options)?;
    let done = event(&node, "done", options)?;
    let services = (0..options.rows()).map(|row| controller(&node, row)).collect::<Result<Vec<_>, _>>()?;
    let done = done.listener_builder().create()?; // before the children: a notifier looks for listeners once
    let mut family = Family::spawn(options, key)?;
    let rows = services
        .iter()
        .map(|service| {
            let client = service.client_builder().initial_max_slice_len(options.state_bytes).create()?;
            Ok(Row { client, request: None, pending: None, answer: None })
        })
        .collect::<Result<_, Error>>()?;
    let mut rival = Parent {
        rows,
        trigger: trigger.notifier_builder().create()?,
        done,
        wait: options.wait,
        state: vec![0; options.state_bytes],
        answered: Vec::with_capacity(options.rows()),
    };
    let started = start.elapsed();
    family.release();

    let durations = measure::measure(&mut rival, options)?;
    rival.fill(LEAVE)?;
    rival.send()?;
    family.farewell();
    Ok((started, durations))
}

fn child(row: usize, cli: &Cli) -> Result<(), Error> {
    family::die_with(cli.parent);
    let node = node(&cli.key)?;
    let server =
        controller(&node, row)?.server_builder().initial_max_slice_len(cli.options.cmd_bytes).create()?;
    let trigger = event(&node, "trigger", &cli.options)?.listener_builder().create()?;
    let done = event(&node, "done", &cli.options)?
        .notifier_builder()
        .default_event_id(EventId::new(row))
        .create()?;
    let sleep = cli.options.wait == Wait::Sleep;
    let mut state = vec![0; cli.options.state_bytes];
    family::ready()?;
    loop {
        let request = loop {
            match server.receive()? {
                Some(request) => break request,
                None if sleep => drop(trigger.blocking_wait(|_| {})?),
                None => hint::spin_loop(),
            }
        };
        state.copy_from_slice(request.payload());
        let Some(cmd) = echo(&state, &cli.options) else {
            return Ok(());
        };
        let mut answer = request.loan_slice(cli.options.cmd_bytes)?;
        answer.payload_mut()[..cmd.len()].copy_from_slice(cmd);
        answer.send()?;
        if sleep {
            done.notify()?;
        }
    }
}

/// A world of its own per run: nothing on the machine is met, and what a killed run leaves is known by its
/// name.
fn node(key: &str) -> Result<Node<Ipc>, Error> {
    let mut config = Config::default();
    config.global.prefix = FileName::new(format!("{key}_").as_bytes())?;
    config.global.set_root_path(&Path::new(format!("/tmp/{key}").as_bytes())?);
    config.global.service.cleanup_dead_nodes_on_open = false;
    config.global.node.cleanup_dead_nodes_on_creation = false;
    config.global.node.cleanup_dead_nodes_on_destruction = false;
    let builder = NodeBuilder::new().config(&config).signal_handling_mode(SignalHandlingMode::Disabled);
    Ok(builder.create()?)
}

fn controller(node: &Node<Ipc>, row: usize) -> Result<Controller, Error> {
    let service = node
        .service_builder(&ServiceName::new(&format!("controller/{row}"))?)
        .request_response::<[u8], [u8]>()
        .max_nodes(2)
        .max_clients(1)
        .max_servers(1)
        .max_loaned_requests(1)
        // The child gives a request back after it has answered, when the next may be there already.
        .max_active_requests_per_client(2)
        .max_response_buffer_size(1)
        .max_borrowed_responses_per_pending_response(1)
        .open_or_create()?;
    Ok(service)
}

fn event(node: &Node<Ipc>, name: &str, options: &Options) -> Result<event::PortFactory<Ipc>, Error> {
    let service = node
        .service_builder(&ServiceName::new(name)?)
        .event()
        .max_nodes(options.rows() + 1)
        .max_listeners(options.rows())
        .max_notifiers(options.rows())
        .event_id_max_value(options.rows())
        .open_or_create()?;
    Ok(service)
}

/// Remove what is left of a run: at the least iceoryx2's empty folders, everything after a killed child.
fn clean(key: &str) {
    let _ = fs::remove_dir_all(format!("/tmp/{key}"));
    for entry in fs::read_dir("/dev/shm").into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(&format!("{key}_")) {
            let _ = fs::remove_file(entry.path());
        }
    }
}
