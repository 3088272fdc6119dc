//! The sampling controller as a worker of its own.

fn main() -> std::process::ExitCode {
    phalanx::worker_main::<phalanx_mppi::Mppi>()
}
