//! What every engine must do: one suite, run by `tests/cuda.rs`, `tests/tch.rs` and `examples/gpu_check.rs`.
#![allow(dead_code, unused_macros, reason = "each program uses its part")]

pub mod cluster;
pub mod conformance;
pub mod property;

/// Hands the names of all there is to a macro.
#[macro_export]
macro_rules! with_all {
    ($then:ident $($args:tt)*) => {
        $crate::$then! {
            ($($args)*)
            conformance::the_device_begins_with_what_the_host_has
            conformance::a_round_goes_there_and_back
            conformance::rows_that_are_not_chosen_stay_on_the_host
            conformance::rows_in_flight_are_left_alone
            conformance::a_reset_shows_at_once
            conformance::a_late_row_is_seen_on_the_device
            conformance::the_host_may_write_after_the_fences
            conformance::other_streams_see_what_was_brought
            conformance::fields_are_what_the_schema_says
            conformance::what_is_wrong_is_said
            conformance::anything_may_be_dropped_first
            conformance::two_mirrors_of_one_client
            conformance::steady_rounds_allocate_nothing
            property::every_field_goes_its_way_and_no_other
        }
    };
}

/// The suite as tests of an engine: `make` gives a fresh one, `around` runs a test's body where the engine
/// can be.
#[macro_export]
macro_rules! suite {
    (($around:path, $make:expr) $($module:ident::$name:ident)*) => {
        /// Not a test: the workers of the clusters that the tests start are this very program, which runs
        /// nothing but this then (see `suite::cluster`).
        #[test]
        fn become_worker() {
            $crate::suite::cluster::become_worker();
        }

        $(
            #[test]
            fn $name() {
                $around(stringify!($name), || $crate::suite::$module::$name(&$make));
            }
        )*
    };
}

/// The suite as a list.
#[macro_export]
macro_rules! suite_list {
    (() $($module:ident::$name:ident)*) => {
        [$((stringify!($name), $crate::suite::$module::$name as fn(&dyn phalanx_mirror::Engine))),*]
    };
}
