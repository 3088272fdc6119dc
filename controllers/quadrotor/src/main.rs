//! The controller as a worker of its own.

fn main() {
    phalanx::become_worker(&[phalanx::Entry::group::<phalanx_quadrotor::QuadrotorMpc>(
        phalanx_quadrotor::NAME,
    )]);
    eprintln!("a controller for Phalanx: phalanx serve {} --name NAME -n ROWS", phalanx_quadrotor::NAME);
    std::process::exit(2);
}
