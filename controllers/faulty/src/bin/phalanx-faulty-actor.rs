//! A process of the fault tests that can be killed: does what its standard input says, a line each, and answers
//! each with a line. It may be server, client, observer and operator, one of them or all at once, and ends
//! with its input.

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use phalanx::{
    ClusterClient, ClusterConfig, ClusterServer, Controller, Observer, Operator, Outcome, Rows, Ticket, Wait,
};
use std::{collections::BTreeSet, error::Error, fs, io, time::Duration};

type Answer = Result<String, Box<dyn Error>>;

#[derive(Default)]
struct Actor {
    ticket: Option<Ticket>,
    client: Option<ClusterClient>,
    observer: Option<Observer>,
    operator: Option<Operator>,
    server: Option<ClusterServer>,
}

fn main() {
    let mut actor = Actor::default();
    for line in io::stdin().lines().map_while(Result::ok) {
        let (order, rest) = line.split_once(' ').unwrap_or((&line, ""));
        match actor.obey(order, rest) {
            Ok(said) => println!("ok {said}"),
            Err(e) => println!("error {}", e.to_string().replace('\n', " | ")),
        }
    }
}

/// Those that are open, but for the one to look with.
fn descriptors() -> io::Result<BTreeSet<usize>> {
    let names = fs::read_dir("/proc/self/fd")?.flatten().map(|entry| entry.file_name());
    let numbers: Vec<usize> = names.filter_map(|name| name.to_str()?.parse().ok()).collect();
    Ok(numbers.into_iter().filter(|fd| fs::exists(format!("/proc/self/fd/{fd}")).unwrap_or(false)).collect())
}

impl Actor {
    fn obey(&mut self, order: &str, rest: &str) -> Answer {
        match order {
            "serve" => self.serve(rest),
            "connect" => {
                self.client = Some(ClusterClient::connect(rest)?);
                Ok(self.client()?.round().to_string())
            }
            "solve" => self.solve(rest.parse().ok()),
            "trigger" => {
                self.ticket = Some(self.client()?.trigger(Rows::All)?);
                Ok(self.client()?.round().to_string())
            }
            "solve-for-ever" => loop {
                self.solve(None)?;
            },
            "observe" => {
                self.observer = Some(Observer::attach(rest)?);
                Ok(String::new())
            }
            "look" => self.look(),
            "look-for-ever" => loop {
                self.look()?;
            },
            "operate" => self.operate(rest),
            "set" => self.set(rest),
            "hold" => Ok(self.operator()?.hold().map(|()| String::new())?),
            "run" => {
                self.operator()?.run();
                Ok(String::new())
            }
            "step" => Ok(self.operator()?.step(rest.parse()?).map(|()| String::new())?),
            "activate" => self.activate(rest, true),
            "deactivate" => self.activate(rest, false),
            "reset" => {
                self.operator()?.reset(&[rest.parse()?])?;
                Ok(String::new())
            }
            "steer-for-ever" => {
                println!("ok");
                self.steer_for_ever()
            }
            "leave" => {
                (self.ticket, self.client, self.observer, self.operator) = Default::default();
                Ok(String::new())
            }
            "stop" => {
                self.server = None;
                Ok(String::new())
            }
            "descriptors" => {
                // To look takes one, too.
                let most = getrlimit(Resource::RLIMIT_NOFILE)?.1;
                setrlimit(Resource::RLIMIT_NOFILE, most, most)?;
                let open = descriptors()?;
                if let Ok(free) = rest.parse::<usize>() {
                    // The limit is on their numbers; some may be far above it, given to us by who started us.
                    let limit = (0..).filter(|fd| !open.contains(fd)).nth(free).unwrap_or_default();
                    setrlimit(Resource::RLIMIT_NOFILE, limit as u64, most)?;
                }
                Ok(open.len().to_string())
            }
            _ => Err(format!("no such order: {order:?}").into()),
        }
    }

    fn client(&mut self) -> Result<&mut ClusterClient, Box<dyn Error>> {
        self.client.as_mut().ok_or("connect first".into())
    }

    fn serve(&mut self, rest: &str) -> Answer {
        let (program, config) = rest.split_once(' ').ok_or("serve PROGRAM CONFIG")?;
        let config: ClusterConfig = serde_json::from_str(config)?;
        self.server = Some(ClusterServer::start(config, Controller::program(program)?)?);
        Ok(self.server.as_ref().map_or_else(String::new, |s| s.reclaimed().join(" ")))
    }

    fn solve(&mut self, deadline_ms: Option<u64>) -> Answer {
        let wait = Wait { deadline: deadline_ms.map(Duration::from_millis), ..Wait::default() };
        let report = self.client()?.solve_with(Rows::All, wait)?;
        let counts = Outcome::ALL.iter().map(|&o| format!("{o}={}", report.count(o)));
        Ok(format!("{} {}", report.round, counts.collect::<Vec<_>>().join(" ")))
    }

    fn look(&mut self) -> Answer {
        let observer = self.observer.as_ref().ok_or("observe first")?;
        let rounds = (0..observer.rows()).map(|row| Ok(observer.latest(row)?.map_or(0, |r| r.round)));
        let rounds: phalanx::Result<Vec<_>> = rounds.collect();
        Ok(format!("{:?}", rounds?))
    }

    fn operate(&mut self, rest: &str) -> Answer {
        self.operator = Some(Operator::attach(rest)?);
        Ok(String::new())
    }

    fn operator(&self) -> Result<&Operator, Box<dyn Error>> {
        self.operator.as_ref().ok_or("operate first".into())
    }

    fn activate(&self, row: &str, active: bool) -> Answer {
        self.operator()?.activate(&[row.parse()?], active)?;
        Ok(String::new())
    }

    /// Until it is killed in the middle of anything.
    fn steer_for_ever(&self) -> Answer {
        let operator = self.operator()?;
        for turn in (0..operator.rows()).cycle() {
            operator.hold()?;
            operator.activate(&[turn], false)?;
            operator.step(turn as u64)?;
            operator.reset(&[turn])?;
            operator.activate(.., true)?;
            operator.run();
        }
        Ok(String::new())
    }

    fn set(&mut self, rest: &str) -> Answer {
        let words: Vec<_> = rest.split(' ').collect();
        let &[row, field, value] = words.as_slice() else { return Err("set ROW FIELD VALUE".into()) };
        self.operator()?.set(row.parse()?, &[(field, &[value.parse()?])])?;
        Ok(String::new())
    }
}
