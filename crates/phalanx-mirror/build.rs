//! With engine `tch`, tests and examples find libtorch where it was found for the build. What links this
//! crate into a program of its own does the same in its own build script.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    if let Ok(libtorch) = std::env::var("DEP_TCH_LIBTORCH_LIB") {
        println!("cargo:rustc-link-arg=-Wl,-rpath={libtorch}");
        // No symbol of libtorch_cuda is used, so the linker would leave it out, and with it all CUDA devices.
        // Tests need none, and load a gigabyte less without.
        println!("cargo:rustc-link-arg-examples=-Wl,--no-as-needed");
        println!("cargo:rustc-link-arg-examples=-ltorch");
    }
}
