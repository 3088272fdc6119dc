//! The fake driver (`fake/cuda.c`): built once, and given to a test by running the test anew in a process of
//! its own, whose loader finds the fake first.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::atomic::{AtomicU32, Ordering},
};

const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fake/cuda.c");
const INSIDE: &str = "PHALANX_TEST_INSIDE";

/// A folder with the fake in it. Its name is the source's, so it is never stale.
fn folder() -> PathBuf {
    let text = fs::read(SOURCE).unwrap();
    let hash =
        text.iter().fold(0xcbf2_9ce4_8422_2325u64, |h, &b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fake-cuda-{hash:016x}"));
    // Both names: a machine with a real driver may have a libcuda.so too, which cudarc tries first.
    for name in ["libcuda.so.1", "libcuda.so"] {
        if !folder.join(name).exists() {
            fs::create_dir_all(&folder).unwrap();
            let draft = folder.join(format!("{name}.{}", unique()));
            let flags = ["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-Wl,-soname,libcuda.so.1", "-o"];
            let done =
                Command::new("cc").args(flags).arg(&draft).arg(SOURCE).arg("-lpthread").status().unwrap();
            assert!(done.success(), "cc cannot build {SOURCE}");
            fs::rename(draft, folder.join(name)).unwrap();
        }
    }
    folder
}

fn unique() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// What a test was that ran with the fake.
pub struct Ran {
    pub output: Output,
    /// The calls and what became of them, a line each.
    pub log: Vec<String>,
}

impl Ran {
    #[track_caller]
    pub fn passed(self) -> Self {
        let words = |bytes| String::from_utf8_lossy(bytes).into_owned();
        let (out, err) = (words(&self.output.stdout), words(&self.output.stderr));
        assert!(self.output.status.success(), "{}\n{out}\n{err}", self.output.status);
        // With a wrong name nothing runs, and that passes.
        assert!(out.contains("1 passed"), "{out}");
        self
    }

    /// How often something was called.
    pub fn calls(&self, name: &str) -> usize {
        self.log.iter().filter(|line| line.split(' ').next() == Some(name)).count()
    }
}

/// In the process that has the fake: the body's turn.
pub fn inside() -> bool {
    env::var_os(INSIDE).is_some()
}

/// Runs the test of this name anew, with the fake and these variables.
pub fn run(test: &str, variables: &[(&str, &str)]) -> Ran {
    run_program(&env::current_exe().unwrap(), &[test, "--exact", "--nocapture"], variables)
}

/// Runs a program with the fake and these variables.
pub fn run_program(program: &Path, args: &[&str], variables: &[(&str, &str)]) -> Ran {
    let log = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fake-cuda-log-{}", unique()));
    let mut path = folder().into_os_string();
    if let Some(more) = env::var_os("LD_LIBRARY_PATH") {
        path.push(":");
        path.push(more);
    }
    let output = Command::new(program)
        .args(args)
        .env(INSIDE, "1")
        .env("LD_LIBRARY_PATH", path)
        .env("FAKE_CUDA_LOG", &log)
        .env_remove("FAKE_CUDA_FAIL")
        .env_remove("FAKE_CUDA_DEVICES")
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    let text = fs::read_to_string(&log).unwrap_or_default();
    let _ = fs::remove_file(&log);
    Ran { output, log: text.lines().map(str::to_owned).collect() }
}

/// A test with the fake: outside it runs itself anew, inside it runs the body.
pub fn with_fake(test: &str, body: impl FnOnce()) {
    if inside() { body() } else { drop(run(test, &[]).passed()) }
}
