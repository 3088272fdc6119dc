//! What the tests share: pictures by our own rasteriser, so that they are the same on any machine.

use egui::{Context, FullOutput, TexturesDelta, ThemePreference};
use egui_kittest::{Harness, HarnessBuilder, TestRenderer};
use phalanx::{
    ClusterClient, ClusterConfig, LocalCluster, Observer, Outcome, Rows, Wait, fields::StatusRow,
    observer::RoundView, robot::RobotSpec,
};
use phalanx_gui::{
    app::App,
    data::{Feed, Store},
    raster::Raster,
    settings::Settings,
    theme::Theme,
};
use phalanx_quadruped_srbd::QuadrupedSrbd;
use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

/// Renders the harness' pictures without a graphics card.
#[derive(Default)]
pub struct Software(Raster);

impl TestRenderer for Software {
    fn handle_delta(&mut self, delta: &mut TexturesDelta) {
        self.0.update(delta);
    }

    fn render(&mut self, ctx: &Context, output: &FullOutput) -> Result<image::RgbaImage, String> {
        let scale = output.pixels_per_point;
        let size = ctx.content_rect().size() * scale;
        let primitives = ctx.tessellate(output.shapes.clone(), scale);
        let ground = ctx.global_style().visuals.panel_fill;
        let picture =
            self.0.paint([size.x.round() as usize, size.y.round() as usize], scale, &primitives, ground);
        let [width, height] = picture.size.map(|side| side as u32);
        let rgba = picture.pixels.iter().flat_map(|pixel| pixel.to_srgba_unmultiplied()).collect();
        image::RgbaImage::from_raw(width, height, rgba).ok_or_else(|| "a picture of no size".into())
    }
}

/// A harness of a size in points, in a look, that can take pictures: `harness.snapshot("name")`.
pub fn harness<State>(size: [f32; 2], theme: Theme) -> HarnessBuilder<State> {
    HarnessBuilder::default()
        .with_size(size)
        .with_theme(if theme.dark { egui::Theme::Dark } else { egui::Theme::Light })
        .renderer(Software::default())
        .with_context_setup(move |ctx| theme.apply(ctx))
}

/// A cluster of quadrupeds served on this thread, with a client, and a store of what an observer saw.
pub struct Herd {
    pub cluster: LocalCluster,
    pub client: Option<ClusterClient>,
    pub store: Store,
}

impl Herd {
    /// Of so many rows, after so many rounds.
    pub fn of(rows: usize, rounds: usize) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("gui{}n{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../controllers/quadruped_srbd/robot/quadruped.xml");
        let robot = RobotSpec::from_mjcf(file).unwrap().with_contacts(["FL", "FR", "RL", "RR"]).unwrap();
        let config =
            ClusterConfig { control_dt: 0.002, cluster_dt: 0.01, ..ClusterConfig::new(&name, rows, robot) };
        let cluster = LocalCluster::start_group::<QuadrupedSrbd>(config, "quadruped_srbd").unwrap();
        let mut client = cluster.client().unwrap();
        let height = client.state.handle::<f32>("root_pos").unwrap();
        (0..rows).for_each(|row| client.state.get_mut(height, row)[2] = 0.3);
        let store = Store::new("go1", cluster.manifest().clone()).unwrap();
        let mut herd = Self { cluster, client: Some(client), store };
        (0..rounds).for_each(|_| herd.round());
        herd
    }

    /// The cluster's name in shared memory.
    pub fn name(&self) -> String {
        self.cluster.name().to_owned()
    }

    /// Tells each row another speed.
    pub fn hurry(&mut self) {
        let client = self.client.as_mut().unwrap();
        let speed = client.refs.handle::<f32>("lin_vel").unwrap();
        (0..client.rows())
            .for_each(|row| client.refs.get_mut(speed, row)[0] = 0.2 + 0.05 * (row % 13) as f32);
    }

    /// A round, seen by the store.
    pub fn round(&mut self) {
        let client = self.client.as_mut().unwrap();
        let ticket = client.trigger(Rows::All).unwrap();
        self.cluster.serve();
        client.wait(ticket, Wait::default()).unwrap();
        walk(client);
        self.look();
    }

    fn look(&mut self) {
        let observer = Observer::attach(self.cluster.name()).unwrap();
        if let Some(last) = observer.rounds().first() {
            // The clock is of no account: pictures are to be the same every time.
            let at_ns = 1_000_000_000 + last.round * 10_000_000;
            self.store.note_round(RoundView { posted_ns: at_ns, ..*last });
        }
        for row in 0..observer.rows() {
            self.store.ingest(observer.latest(row).unwrap().unwrap());
        }
        self.store.overview.at = self.store.now;
        self.store.overview.status = vec![StatusRow::default(); observer.rows()];
        self.store.overview.outcomes = vec![Outcome::Solved; observer.rows()];
        self.store.workers = observer.workers();
    }

    /// A feed that shows the store, and the rest of the herd.
    pub fn feed(self) -> (Feed, LocalCluster, Option<ClusterClient>) {
        (Feed::of(self.store), self.cluster, self.client)
    }
}

/// Settings that say everything: no system, no file.
pub fn settings(theme: Theme) -> Settings {
    let theme = if theme.dark { ThemePreference::Dark } else { ThemePreference::Light };
    Settings { theme, ..Settings::default() }
}

/// The whole window, of a size in points.
pub fn window(size: [f32; 2], theme: Theme, app: App) -> Harness<'static, App> {
    harness(size, theme).build_ui_state(|ui, app: &mut App| app.frame(ui), app)
}

/// Frames until something holds; other threads have a hand in it.
pub fn until(
    window: &mut Harness<'_, App>,
    what: &str,
    mut holds: impl FnMut(&mut Harness<'_, App>) -> bool,
) {
    for _ in 0..250 {
        window.run_steps(1);
        if holds(window) {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let path =
        std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}.png", what.replace(' ', "_")));
    window.render().unwrap().save(&path).unwrap();
    panic!("never came: {what}; what was seen instead: {}", path.display());
}

/// The robots are where their controllers want them next: they walk, though nothing weighs anything.
pub fn walk(client: &mut ClusterClient) {
    for field in
        ["root_pos", "root_quat", "root_lin_vel", "root_ang_vel", "joint_q", "joint_v", "contact_force"]
    {
        let from = client.cmd.handle::<f32>(field).unwrap();
        let to = client.state.handle::<f32>(field).unwrap();
        for row in 0..client.rows() {
            let next = client.cmd.get(from, row).to_vec();
            client.state.get_mut(to, row).copy_from_slice(&next);
        }
    }
}
