//! The cluster page and the row page by what people do on them.

use egui::{Key, Modifiers, PointerButton, Pos2};
use egui_kittest::{Harness, kittest::Queryable};
use phalanx::{
    ClusterClient, ClusterConfig, LocalCluster, Observer, Outcome, Rows, Wait, layout::Phase,
    robot::RobotSpec,
};
use phalanx_faulty::{Fault, Faulty};
use phalanx_gui::{
    data::{Curve, Event, EventKind, Link, Pick, Ribbon, RowTimes, Store, Wants},
    pages::{
        Action, Context, Page,
        cluster::{ClusterPage, Order, Shown},
        row::RowPage,
    },
    theme::Theme,
    timeline::Timeline,
};
use phalanx_quadruped_srbd::{NAME, QuadrupedSrbd};
use std::sync::atomic::{AtomicU32, Ordering};

/// A page over a store, and what it asked for.
struct Bench<P> {
    page: P,
    store: Store,
    timeline: Timeline,
    wants: Wants,
    actions: Vec<Action>,
}

impl<P: Page> Bench<P> {
    fn new(page: P, store: Store) -> Self {
        Self { page, store, timeline: Timeline::default(), wants: Wants::default(), actions: Vec::new() }
    }

    fn show(&mut self, ui: &mut egui::Ui) {
        self.wants = Wants::default();
        let theme = Theme::dark();
        self.page.show(
            ui,
            &mut Context {
                store: &self.store,
                link: &Link::Live(Phase::Ready),
                theme: &theme,
                timeline: &mut self.timeline,
                wants: &mut self.wants,
                actions: &mut self.actions,
            },
        );
        self.store.want(&self.wants);
    }
}

fn harness<P: Page + 'static>(page: P, store: Store) -> Harness<'static, Bench<P>> {
    Harness::builder()
        .with_size([1280.0, 2000.0])
        .with_max_steps(30)
        .build_ui_state(|ui, bench: &mut Bench<P>| bench.show(ui), Bench::new(page, store))
}

fn named() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("pages-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

fn round(cluster: &mut LocalCluster, client: &mut ClusterClient) -> Vec<Outcome> {
    let ticket = client.trigger(Rows::All).unwrap();
    cluster.serve();
    client.wait(ticket, Wait::default()).unwrap().outcomes().to_vec()
}

/// As a feed would: the round, all rows' answers, and how they are.
fn note(store: &mut Store, observer: &Observer, client: &ClusterClient, outcomes: &[Outcome]) {
    store.note_round(observer.rounds()[0]);
    for row in 0..observer.rows() {
        if let Some(record) = observer.latest(row).unwrap() {
            store.ingest(record);
        }
    }
    let rows = observer.rows();
    let now = store.now;
    let overview = &mut store.overview;
    overview.at = now;
    overview.outcomes = outcomes.to_vec();
    overview.status = (0..rows).map(|row| *client.status.of(row)).collect();
    overview.pending = vec![false; rows];
    overview.times =
        (0..rows).map(|row| RowTimes { p50_us: row as f32, p99_us: 9.0, was_last: 7 - row as u64 }).collect();
    overview.rounds_judged = 28;
    let pick = Pick::new(phalanx::Group::Status, "solve_us", 0);
    let values: Vec<f32> = overview.status.iter().map(|s| s.solve_us).collect();
    let ribbon = Ribbon { at: now, quantiles: [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 70.0], least: 1, greatest: 5 };
    overview.ribbons.entry(pick.clone()).or_default().push_back(ribbon);
    overview.values.insert(pick, values);
    store.workers = observer.workers();
}

/// Six rows, of which row 4 fails in the third round and stays so.
fn faulty() -> Store {
    let robot = RobotSpec::new("dog", ["hip", "knee", "ankle"]).unwrap();
    let mut cluster =
        LocalCluster::start::<Faulty>(ClusterConfig::new(&named(), 6, robot), "faulty").unwrap();
    let (mut client, observer) = (cluster.client().unwrap(), Observer::attach(cluster.name()).unwrap());
    let mut store = Store::new("faulty", observer.manifest().clone()).unwrap();
    let fault = client.refs.handle::<f32>("fault").unwrap();
    for number in 0..6 {
        client.refs.get_mut(fault, 4)[0] = if number == 2 { Fault::Fail as i32 as f32 } else { 0.0 };
        let outcomes = round(&mut cluster, &mut client);
        note(&mut store, &observer, &client, &outcomes);
        if number == 2 {
            let event = Event {
                at: store.now,
                row: Some(4),
                kind: EventKind::Failed,
                text: "the controller gave up".into(),
            };
            store.events.push_back(event);
        }
    }
    store
}

/// Two quadrupeds that stand in the air, with plans.
fn quadrupeds(rounds: usize) -> Store {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../controllers/quadruped_srbd/robot/quadruped.xml");
    let robot = RobotSpec::from_mjcf(file).unwrap().with_contacts(["FL", "FR", "RL", "RR"]).unwrap();
    let mut cluster =
        LocalCluster::start_group::<QuadrupedSrbd>(ClusterConfig::new(&named(), 2, robot), NAME).unwrap();
    let (mut client, observer) = (cluster.client().unwrap(), Observer::attach(cluster.name()).unwrap());
    let mut store = Store::new("quadrupeds", observer.manifest().clone()).unwrap();
    let pos = client.state.handle::<f32>("root_pos").unwrap();
    for _ in 0..rounds {
        (0..2).for_each(|row| client.state.get_mut(pos, row)[2] = 0.3);
        let outcomes = round(&mut cluster, &mut client);
        note(&mut store, &observer, &client, &outcomes);
    }
    store
}

#[test]
fn a_click_on_a_tile_opens_its_row() {
    let mut harness = harness(ClusterPage::default(), faulty());
    harness.get_by_label("row 3, solved").click();
    harness.run();
    assert_eq!(harness.state().actions, [Action::OpenRow(3)]);
    assert!(harness.query_by_label("row 4, failed").is_some(), "a failed row is called so");
    assert_eq!(harness.query_all_by_label("failed 1").count(), 2, "and counted, by outcomes and by events");
    assert!(harness.query_by_label("heat map of 6 rows").is_some());
}

#[test]
fn arrows_move_and_enter_opens() {
    let mut harness = harness(ClusterPage::default(), faulty());
    harness.get_by_label("row 0, solved").click();
    harness.run();
    harness.state_mut().actions.clear();
    harness.key_press(Key::ArrowRight);
    harness.run();
    harness.key_press(Key::Enter);
    harness.run();
    assert_eq!(harness.state().actions, [Action::OpenRow(1)]);
    harness.key_press_modifiers(Modifiers::SHIFT, Key::Enter);
    harness.run();
    assert_eq!(harness.state().page.map.selected.iter().copied().collect::<Vec<_>>(), [1]);
    harness.key_press(Key::Escape);
    harness.run();
    assert!(harness.state().page.map.selected.is_empty());
}

#[test]
fn rows_are_selected_by_dragging_and_plotted() {
    let mut harness = harness(ClusterPage::default(), faulty());
    harness.get_by_label("Solve time").click();
    harness.run();
    let from = harness.get_by_label("row 0, solved").rect().center();
    let to = harness.get_by_label("row 1, solved").rect().center();
    let button = |pos: Pos2, pressed| egui::Event::PointerButton {
        pos,
        button: PointerButton::Primary,
        pressed,
        modifiers: Modifiers::NONE,
    };
    harness.event(egui::Event::PointerMoved(from));
    harness.event(button(from, true));
    harness.step();
    for share in [0.5, 1.0] {
        harness.event(egui::Event::PointerMoved(from + share * (to - from)));
        harness.step();
    }
    harness.event(button(to, false));
    harness.run();
    assert_eq!(harness.state().page.map.selected.iter().copied().collect::<Vec<_>>(), [0, 1]);
    harness.get_by_label_contains("of the selected rows").click();
    harness.run();
    let pick = Pick::new(phalanx::Group::Status, "solve_us", 0);
    let curves = [0, 1].map(|row| Curve::Channel(pick.clone().of(row))).to_vec();
    assert_eq!(harness.state().actions, [Action::Plot(curves)], "and no row was opened by it");
}

#[test]
fn a_failure_in_the_list_leads_to_its_moment() {
    let store = faulty();
    let at = store.events[0].at;
    let mut harness = harness(ClusterPage::default(), store);
    let label = "the controller gave up";
    harness.get_by_label_contains(label).click();
    harness.run();
    assert_eq!(harness.state().actions, [Action::JumpTo(4, at)]);
    harness.state_mut().actions.clear();
    harness.get_by_label_contains(label).hover();
    harness.run();
    harness.get_by_label("dump").click();
    harness.run();
    assert_eq!(harness.state().actions, [Action::SaveDump(4)]);
    let hidden = harness.get_all_by_label("failed 1").find(|node| node.rect().min.x > 800.0).unwrap();
    hidden.click();
    harness.run();
    assert!(harness.query_by_label_contains(label).is_none(), "what is filtered is not shown");
}

#[test]
fn stragglers_are_sorted_and_opened() {
    let mut harness = harness(ClusterPage::default(), faulty());
    harness.get_by_label("Stragglers").click();
    harness.run();
    let y = |harness: &Harness<'_, Bench<ClusterPage>>, row: usize| {
        harness.get_by_label(&format!("straggler row {row}")).rect().min.y
    };
    assert!(y(&harness, 0) < y(&harness, 5), "who was last most often comes first");
    harness.get_by_label("sort by solve p50").click();
    harness.run();
    assert!(y(&harness, 5) < y(&harness, 0), "the slowest comes first");
    harness.get_by_label("straggler row 2").click();
    harness.run();
    assert_eq!(harness.state().actions, [Action::OpenRow(2)]);
    harness.get_by_label("Workers").click();
    harness.run();
    assert!(harness.query_by_label("worker 0").is_some());
}

#[test]
fn outliers_are_named_and_opened() {
    let mut harness = harness(ClusterPage::default(), faulty());
    harness.get_by_label_contains("greatest: row 5").click();
    harness.run();
    assert_eq!(harness.state().actions, [Action::OpenRow(5)]);
    assert!(harness.state().wants.overview.contains(&Pick::new(phalanx::Group::Status, "solve_us", 0)));
}

#[test]
fn any_field_can_be_looked_for() {
    let mut harness = harness(ClusterPage::default(), faulty());
    harness.get_by_label("any field…").click();
    harness.run();
    harness.event(egui::Event::Text("state joint_q knee".into()));
    harness.run();
    harness.get_by_label("state.joint_q[knee] [rad or m]").click();
    harness.run();
    let pick = Pick::new(phalanx::Group::State, "joint_q", 1);
    assert_eq!(harness.state().page.map.shown, Shown::Field(pick.clone()));
    assert!(harness.state().wants.overview.contains(&pick));
}

#[test]
fn pages_with_nothing_to_show_say_why() {
    let mut store = faulty();
    let manifest = (*store.manifest).clone();
    store = Store::new("empty", manifest).unwrap();
    let cluster = harness(ClusterPage::default(), store);
    assert!(cluster.query_by_label_contains("No row has been looked at yet").is_some());
    assert!(cluster.query_by_label_contains("No round yet").is_some());
    let store = Store::new("empty", (*faulty().manifest).clone()).unwrap();
    let row = harness(RowPage::default(), store);
    assert!(row.query_by_label_contains("No answer of row 0").is_some());
}

#[test]
fn a_saved_page_shows_other_clusters_too() {
    let mut page = ClusterPage::default();
    page.map.shown = Shown::Field(Pick::new(phalanx::Group::State, "no_such_field", 7));
    page.map.order = Order::Worker;
    let text = serde_json::to_string(&page).unwrap();
    let page: ClusterPage = serde_json::from_str(&text).unwrap();
    assert_eq!(page.map.order, Order::Worker);
    let harness = harness(page, faulty());
    assert_eq!(harness.state().page.map.shown, Shown::Outcome);
}

#[test]
fn a_row_shows_its_plans_and_goes_back_in_time() {
    let mut harness = harness(RowPage::default(), quadrupeds(30));
    harness.run();
    for label in [
        "root position [m]",
        "contact schedule",
        "friction cone: what is left [N]",
        "cost of the plan",
        "violation: node over time",
        "solve time [µs]",
    ] {
        assert!(harness.query_by_label(label).is_some(), "{label}");
    }
    assert!(harness.state().wants.rows.contains(&0));
    let newest = harness.state().store.now.round;
    assert!(harness.query_by_label_contains("live").is_some());
    harness.get_by_label("Earlier").click();
    harness.run();
    assert_eq!(harness.state().timeline.paused.unwrap().round, newest - 1);
    harness.get_by_label("Earlier").click();
    harness.run();
    harness.get_by_label("Later").click();
    harness.run();
    assert_eq!(harness.state().timeline.paused.unwrap().round, newest - 1);
    assert!(harness.query_by_label_contains("frozen at").is_some());
    harness.get_by_label("Live").click();
    harness.run();
    assert_eq!(harness.state().timeline.paused, None);
    // A click into the history freezes there.
    harness.get_by_label("root position [m]").click();
    harness.run();
    let then = harness.state().timeline.paused.unwrap();
    assert!(then.round < newest, "{then:?}");
    harness.get_by_label("Save dump").click();
    harness.run();
    assert_eq!(harness.state().actions, [Action::SaveDump(0)]);
}

#[test]
fn a_row_without_plans_says_so_and_shows_its_failures() {
    let store = faulty();
    let at = store.events[0].at;
    let mut page = RowPage::default();
    page.open(4);
    let mut harness = harness(page, store);
    harness.run();
    assert!(harness.query_by_label_contains("publishes no prediction").is_some());
    assert!(harness.query_by_label("contact schedule").is_none(), "it has no feet");
    harness.get_by_label_contains("gave up").scroll_to_me();
    harness.run();
    let failures = harness.get_all_by_label_contains("failed at").collect::<Vec<_>>();
    failures[0].click();
    harness.run();
    assert_eq!(harness.state().timeline.paused, Some(at));
    assert!(harness.query_by_label_contains("failed: the controller gave up").is_some(), "as it was then");
}
