//! The linear MPC as a worker of its own.

use phalanx::Entry;
use phalanx_linear_mpc::LinearMpc;

fn main() -> std::process::ExitCode {
    phalanx::become_worker(&[Entry::group::<LinearMpc>("linear_mpc")]);
    eprintln!(
        "a controller for Phalanx: phalanx serve ./phalanx-linear-mpc --name NAME -n ROWS --config FILE"
    );
    std::process::ExitCode::from(2)
}
