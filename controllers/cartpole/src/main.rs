//! The controller as a worker of its own.

fn main() {
    phalanx::become_worker(&[phalanx::Entry::group::<phalanx_cartpole::CartPoleMpc>(phalanx_cartpole::NAME)]);
    eprintln!("a controller for Phalanx: phalanx serve {} --name NAME -n ROWS", phalanx_cartpole::NAME);
    std::process::exit(2);
}
