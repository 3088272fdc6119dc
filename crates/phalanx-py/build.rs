//! With feature `tch`: where this build's libtorch is, for a worker that does not import torch to find it. That is
//! the torch of the machine it is built on, which is why the wheel has no such feature.

fn main() {
    println!("cargo:rerun-if-env-changed=DEP_TCH_LIBTORCH_LIB");
    if let Ok(folder) = std::env::var("DEP_TCH_LIBTORCH_LIB") {
        println!("cargo:rustc-link-arg=-Wl,-rpath={folder}");
    }
}
