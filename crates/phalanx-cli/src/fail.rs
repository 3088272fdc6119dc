//! How a command can fail: one sentence, one exit code.

use phalanx::Error;
use phalanx_shm::ShmError;
use std::{
    fmt::Display,
    io::{self, Write},
    process::ExitCode,
};

/// Exit codes, as `phalanx --help` promises them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Code {
    Failed = 1,
    Usage = 2,
    Absent = 3,
    Gone = 4,
    Lossy = 5,
    Truncated = 6,
}

/// Why a command ended before its time.
#[derive(Debug)]
pub enum Failure {
    /// To be told.
    Told { code: Code, message: String },
    /// Whoever read our output has had enough of it.
    PipeClosed,
}

/// What a command comes to.
pub type Done = Result<ExitCode, Failure>;

impl Failure {
    pub fn new(code: Code, message: impl Display) -> Self {
        Self::Told { code, message: message.to_string() }
    }

    pub fn failed(message: impl Display) -> Self {
        Self::new(Code::Failed, message)
    }

    pub fn usage(message: impl Display) -> Self {
        Self::new(Code::Usage, message)
    }

    /// The cluster went while we looked at it.
    pub fn gone(name: &str) -> Self {
        Self::new(
            Code::Gone,
            format_args!("the server of cluster {name:?} is gone; `phalanx ps` lists those there are"),
        )
    }

    pub fn report(&self, json: bool) -> ExitCode {
        match self {
            Self::PipeClosed => ExitCode::SUCCESS,
            Self::Told { code, message } => {
                let _ = writeln!(io::stderr(), "error: {message}");
                if json {
                    self.report_json();
                }
                ExitCode::from(*code as u8)
            }
        }
    }

    pub fn report_json(&self) {
        if let Self::Told { code, message } = self {
            let value = serde_json::json!({ "error": message, "code": *code as u8 });
            let _ = writeln!(io::stdout(), "{value}");
        }
    }
}

impl From<io::Error> for Failure {
    /// Of writing to stdout, the only thing here that is written without further ado.
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::PipeClosed,
            _ => Self::failed(format_args!("cannot write to stdout: {error}")),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let code = match &error {
            Error::Shm(error) => return error.into(),
            Error::ServerGone { .. } => Code::Gone,
            Error::Robot(_) | Error::Plan(_) | Error::Rates(_) | Error::Config(_) | Error::Misuse(_) => {
                Code::Usage
            }
            Error::File { op, .. } if *op != "write" => Code::Usage,
            _ => Code::Failed,
        };
        Self::new(code, error)
    }
}

impl From<phalanx_record::Error> for Failure {
    fn from(error: phalanx_record::Error) -> Self {
        use phalanx_record::Error;
        let code = match error {
            Error::Phalanx(error) => return error.into(),
            // Whoever read our table from a pipe has had enough of it.
            Error::File { source, .. } if source.kind() == io::ErrorKind::BrokenPipe => {
                return Self::PipeClosed;
            }
            Error::File { op: "read", .. }
            | Error::Exists { .. }
            | Error::Foreign { .. }
            | Error::Misuse(_) => Code::Usage,
            _ => Code::Failed,
        };
        Self::new(code, error)
    }
}

impl From<&ShmError> for Failure {
    fn from(error: &ShmError) -> Self {
        let code = match error {
            ShmError::Absent { .. } => Code::Absent,
            ShmError::OwnerDead { .. } => Code::Gone,
            ShmError::BadName { .. } => Code::Usage,
            _ => Code::Failed,
        };
        Self::new(code, error)
    }
}

impl From<ShmError> for Failure {
    fn from(error: ShmError) -> Self {
        Self::from(&error)
    }
}
