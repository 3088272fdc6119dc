//! The controller as a worker of its own.

fn main() {
    phalanx::become_worker(&[phalanx::Entry::group::<phalanx_quadruped_srbd::QuadrupedSrbd>(
        phalanx_quadruped_srbd::NAME,
    )]);
    eprintln!("a controller for Phalanx: phalanx serve {} --name NAME -n ROWS", phalanx_quadruped_srbd::NAME);
    std::process::exit(2);
}
