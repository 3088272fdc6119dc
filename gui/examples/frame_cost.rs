//! What a frame of the cluster page and the row page costs the CPU: layout and tessellation, no painting.
//! `frame_cost [ROWS]`; one line per page and setting.

mod fleet;

use egui::{Context, Pos2, RawInput, Rect, vec2};
use phalanx_gui::{
    data::{Link, Pick, Wants},
    pages::{Context as Look, Page, cluster::ClusterPage, cluster::Order, cluster::Shown, row::RowPage},
    theme::Theme,
    timeline::Timeline,
};
use std::time::Instant;

const FRAMES: usize = 60;

fn main() {
    let rows = std::env::args().nth(1).map_or(4096, |n| n.parse().expect("ROWS is a number"));
    let mut fleet = fleet::Fleet::new(rows);
    let mut timeline = Timeline { window: 3.0, ..Timeline::default() };
    let mut wants = Wants::default();
    let (mut cluster, mut row) = (ClusterPage::default(), RowPage::default());
    let ticks = if rows > 500 { 12 } else { 400 };
    for tick in 0..ticks {
        fleet.step(&wants);
        if tick < 2 {
            wants = measure(&fleet, &mut cluster, &mut timeline, 2).1;
            let more = measure(&fleet, &mut row, &mut timeline, 2).1;
            wants.rows.extend(more.rows);
            wants.curves.extend(more.curves);
        }
    }
    fleet::trouble(&mut fleet.store.overview);
    let solve_time = Shown::Field(Pick::new(phalanx::Group::Status, "solve_us", 0));
    for (what, shown, order) in [
        ("cluster, outcomes", Shown::Outcome, Order::Row),
        ("cluster, solve times", solve_time.clone(), Order::Row),
        ("cluster, solve times by value", solve_time, Order::Value),
    ] {
        (cluster.map.shown, cluster.map.order) = (shown, order);
        report(what, rows, measure(&fleet, &mut cluster, &mut timeline, FRAMES).0);
    }
    report("row page", rows, measure(&fleet, &mut row, &mut timeline, FRAMES).0);
}

fn report(what: &str, rows: usize, mut ms: Vec<f64>) {
    ms.sort_by(f64::total_cmp);
    let at = |share: f64| ms[((ms.len() - 1) as f64 * share) as usize];
    println!(
        "{what}: {rows} rows, 1920 × 1080: min {:.2} ms, median {:.2}, p90 {:.2}",
        ms[0],
        at(0.5),
        at(0.9)
    );
}

fn measure(
    fleet: &fleet::Fleet,
    page: &mut dyn Page,
    timeline: &mut Timeline,
    frames: usize,
) -> (Vec<f64>, Wants) {
    let (ctx, theme) = (Context::default(), Theme::dark());
    theme.apply(&ctx);
    let mut wants = Wants::default();
    let mut ms = Vec::new();
    for frame in 0..frames + 3 {
        let input = RawInput {
            screen_rect: Some(Rect::from_min_size(Pos2::ZERO, vec2(1920.0, 1080.0))),
            time: Some(frame as f64 / 60.0),
            ..RawInput::default()
        };
        wants = Wants::default();
        let began = Instant::now();
        let mut output = ctx.run_ui(input, |ui| {
            page.show(
                ui,
                &mut Look {
                    store: &fleet.store,
                    link: &Link::Live(phalanx::layout::Phase::Ready),
                    theme: &theme,
                    timeline,
                    wants: &mut wants,
                    actions: &mut Vec::new(),
                },
            );
        });
        output.textures_delta.clear();
        let primitives = ctx.tessellate(output.shapes, output.pixels_per_point);
        // The first frames find their sizes.
        if frame >= 3 {
            ms.push(began.elapsed().as_secs_f64() * 1e3);
        }
        std::hint::black_box(primitives);
    }
    (ms, wants)
}
