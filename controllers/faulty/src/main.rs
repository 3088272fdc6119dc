//! The faulty controller as a worker of its own, with its saboteur.

use phalanx_faulty::{Faulty, Saboteur};

fn main() {
    phalanx::become_worker(&[phalanx::Entry::probed::<Faulty, Saboteur>("faulty")]);
    eprintln!("a controller for the fault tests of Phalanx");
}
