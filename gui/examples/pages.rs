//! Pictures of the cluster page and the row page over robots that walk: `pages OUT_DIR [ROWS [TICKS]]`.

mod fleet;

use egui::vec2;
use phalanx_gui::{
    data::{Link, Wants},
    pages::{Context, Page, cluster::ClusterPage, row::RowPage},
    raster,
    theme::Theme,
    timeline::Timeline,
};
use std::path::Path;

fn main() {
    let mut args = std::env::args().skip(1);
    let out = args.next().unwrap_or_else(|| "target/pictures".into());
    let rows = args.next().map_or(64, |n| n.parse().expect("ROWS is a number"));
    let ticks: usize = args.next().map_or(400, |n| n.parse().expect("TICKS is a number"));
    std::fs::create_dir_all(&out).expect("a folder that can be written");
    let (mut cluster, mut row) = (ClusterPage::default(), RowPage::default());
    cluster.map.shown = phalanx_gui::pages::cluster::Shown::Field(phalanx_gui::data::Pick::new(
        phalanx::Group::Status,
        "solve_us",
        0,
    ));
    row.open(3);
    let mut fleet = fleet::Fleet::new(rows);
    let mut timeline = Timeline { window: 3.0, ..Timeline::default() };
    let mut wants = Wants::default();
    // Pages say what they want by being drawn.
    let frame = |fleet: &fleet::Fleet, page: &mut dyn Page, size, theme: &Theme, timeline: &mut Timeline| {
        let mut wants = Wants::default();
        let image = raster::picture(size, 1.0, theme, |ui| {
            let mut actions = Vec::new();
            page.show(
                ui,
                &mut Context {
                    store: &fleet.store,
                    link: &Link::Live(phalanx::layout::Phase::Ready),
                    theme,
                    timeline,
                    wants: &mut wants,
                    actions: &mut actions,
                },
            );
        });
        (image, wants)
    };
    let dark = Theme::dark();
    for tick in 0..ticks {
        fleet.step(&wants);
        if tick == 0 || tick == 1 {
            for page in [&mut cluster as &mut dyn Page, &mut row] {
                let more = frame(&fleet, page, vec2(1280.0, 3000.0), &dark, &mut timeline).1;
                wants.rows.extend(more.rows);
                wants.curves.extend(more.curves);
                wants.overview.extend(more.overview);
            }
        }
    }
    fleet::trouble(&mut fleet.store.overview);
    for (size, name) in [(vec2(1280.0, 800.0), "1280"), (vec2(1920.0, 1080.0), "1920")] {
        for (theme, look) in [(Theme::dark(), "dark"), (Theme::light(), "light")] {
            for (page, what) in [(&mut cluster as &mut dyn Page, "cluster"), (&mut row, "row")] {
                let image = frame(&fleet, page, size, &theme, &mut timeline).0;
                let path = Path::new(&out).join(format!("{what}-{name}-{look}.png"));
                raster::save_png(&image, &path).expect("a picture that can be written");
            }
        }
    }
    // Frozen half a second ago: what was planned then, and what came of it.
    let then = fleet.store.now.round.saturating_sub(50);
    timeline.paused = Some(fleet.store.stamp(then));
    let frozen = frame(&fleet, &mut row, vec2(1280.0, 1400.0), &dark, &mut timeline).0;
    raster::save_png(&frozen, &Path::new(&out).join("row-frozen.png"))
        .expect("a picture that can be written");
    timeline.paused = None;
    let tall = frame(&fleet, &mut row, vec2(1280.0, 2600.0), &dark, &mut timeline).0;
    raster::save_png(&tall, &Path::new(&out).join("row-tall.png")).expect("a picture that can be written");
}
