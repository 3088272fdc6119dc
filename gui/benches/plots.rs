//! What a frame of the plots page costs a core: 32 curves of 100 000 samples, all of them visible.
//!
//! `cargo bench -p phalanx-gui --bench plots`

#[path = "../tests/fleet.rs"]
mod fleet;

use egui::{Context as Screen, Pos2, RawInput, Rect, vec2};
use phalanx::{Group, layout::Phase};
use phalanx_gui::{
    data::{Curve, Link, Pick, Wants},
    pages::{
        Context, Page,
        plots::{Layout, Legend, Node, Plot, PlotsPage},
    },
    theme::Theme,
    timeline::Timeline,
};
use std::time::Instant;

const SAMPLES: u64 = 100_000;
const FRAMES: usize = 60;

fn main() {
    let mut store = fleet::empty(1);
    let curves: Vec<Curve> = ["joint_q", "joint_v", "joint_effort"]
        .iter()
        .flat_map(|field| (0..12).map(|n| Curve::Channel(Pick::new(Group::State, field, n).of(0))))
        .take(32)
        .collect();
    store.want(&Wants { curves: curves.iter().cloned().collect(), ..Wants::default() });
    fleet::walk(&mut store, &[0], 1..SAMPLES + 1);
    println!("32 curves of {SAMPLES} samples, a page of 1920 x 1080 points; median of {FRAMES} frames, ms");
    for (plots, legend) in
        [(1, Legend::Inside), (4, Legend::Inside), (4, Legend::Beside), (8, Legend::Inside)]
    {
        let pieces = curves
            .chunks(32 / plots)
            .map(|some| Node::plot(Plot { legend, ..Plot::of(some.iter().cloned()) }));
        let layout = Layout { plots: Some(Node::Grid(pieces.collect())), ..Layout::default() };
        let layout = Layout::from_text(&layout.to_text()).expect("a layout");
        for scale in [1.0, 2.0] {
            let (draw, tessellate) = frames(&mut store, layout.clone(), scale);
            println!(
                "{plots} plots, names {legend:?}, {scale} pixels per point: draw {draw:.2}, tessellate {tessellate:.2}, \
                 together {:.2}",
                draw + tessellate
            );
        }
    }
}

fn frames(store: &mut phalanx_gui::data::Store, layout: Layout, scale: f32) -> (f64, f64) {
    let theme = Theme::dark();
    let screen = Screen::default();
    theme.apply(&screen);
    let mut page = PlotsPage::default();
    page.set_layout(layout);
    let mut timeline = Timeline { window: SAMPLES as f64 * fleet::DT, ..Timeline::default() };
    let link = Link::Live(Phase::Ready);
    let (mut draws, mut tessellates) = (Vec::new(), Vec::new());
    for frame in 0..FRAMES + 10 {
        let mut input = RawInput {
            screen_rect: Some(Rect::from_min_size(Pos2::ZERO, vec2(1920.0, 1080.0))),
            time: Some(frame as f64 / 60.0),
            ..RawInput::default()
        };
        if let Some(viewport) = input.viewports.get_mut(&input.viewport_id) {
            viewport.native_pixels_per_point = Some(scale);
        }
        let began = Instant::now();
        let mut wants = Wants::default();
        let mut output = screen.run_ui(input, |ui| {
            let mut cx = Context {
                store,
                link: &link,
                theme: &theme,
                timeline: &mut timeline,
                wants: &mut wants,
                actions: &mut Vec::new(),
            };
            page.show(ui, &mut cx);
        });
        let drawn = Instant::now();
        let triangles = screen.tessellate(std::mem::take(&mut output.shapes), output.pixels_per_point);
        let done = Instant::now();
        std::hint::black_box(triangles);
        output.drop_without_applying_deltas();
        if frame >= 10 {
            draws.push((drawn - began).as_secs_f64() * 1e3);
            tessellates.push((done - drawn).as_secs_f64() * 1e3);
        }
    }
    (median(draws), median(tessellates))
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
