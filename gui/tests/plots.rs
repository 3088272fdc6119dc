//! The plots page as people use it: found by name, clicked, dragged.

use egui::{Key, Modifiers, Pos2, accesskit::Toggled, pos2, vec2};
use egui_kittest::{Harness, Node as Found, kittest::NodeT, kittest::Queryable};
use phalanx::{Group, layout::Phase};
use phalanx_gui::{
    data::{Axis, Curve, EventKind, Link, Operation, Pick, Store, Wants},
    pages::{
        Action, Context, Page,
        plots::{Layout, Legend, Node, Plot, PlotsPage, Preset},
    },
    theme::Theme,
    timeline::{Mode, Timeline},
};

/// A window with nothing but the page in it.
struct Window {
    store: Store,
    page: PlotsPage,
    timeline: Timeline,
    theme: Theme,
    actions: Vec<Action>,
}

impl Window {
    fn new(store: Store) -> Self {
        let timeline = Timeline { window: 4.0, ..Timeline::default() };
        Self { store, page: PlotsPage::default(), timeline, theme: Theme::dark(), actions: Vec::new() }
    }

    fn show(&mut self, ui: &mut egui::Ui) {
        let mut wants = Wants::default();
        let link = Link::Live(Phase::Ready);
        let mut cx = Context {
            store: &self.store,
            link: &link,
            theme: &self.theme,
            timeline: &mut self.timeline,
            wants: &mut wants,
            actions: &mut self.actions,
        };
        self.page.show(ui, &mut cx);
        self.store.want(&wants);
    }

    fn run(&mut self, command: &str) {
        let (mut wants, link) = (Wants::default(), Link::Live(Phase::Ready));
        let mut cx = Context {
            store: &self.store,
            link: &link,
            theme: &self.theme,
            timeline: &mut self.timeline,
            wants: &mut wants,
            actions: &mut self.actions,
        };
        self.page.run(command, &mut cx);
    }
}

fn fleet() -> Store {
    let mut store = crate::fleet::empty(8);
    crate::fleet::walk(&mut store, &[0, 1, 7], 1..801);
    store
}

fn window(store: Store) -> Harness<'static, Window> {
    window_of(store, [1280.0, 800.0], Theme::dark())
}

fn window_of(store: Store, size: [f32; 2], theme: Theme) -> Harness<'static, Window> {
    let mut window = Window::new(store);
    window.theme = theme.clone();
    let mut harness = crate::common::harness(size, theme)
        .with_step_dt(0.02)
        .with_max_steps(400)
        .build_ui_state(|ui, window: &mut Window| window.show(ui), window);
    harness.run();
    harness
}

fn command(harness: &mut Harness<'_, Window>, command: &str) {
    harness.state_mut().run(command);
    harness.run();
}

fn double_click(harness: &mut Harness<'_, Window>, name: &str) {
    // So long that an earlier click is not counted along: three are no double click.
    harness.run_steps(40);
    harness.get_by_label(name).click();
    harness.get_by_label(name).click();
    harness.run();
}

fn joint_q(element: usize, row: usize) -> Curve {
    Curve::Channel(Pick::new(Group::State, "joint_q", element).of(row))
}

fn plots<'a>(harness: &'a Harness<'_, Window>) -> Vec<&'a Plot> {
    harness.state().page.layout().plots()
}

fn show(harness: &mut Harness<'_, Window>, plots: Node) {
    let layout = Layout { plots: Some(plots), ..Layout::default() };
    let layout = Layout::from_text(&layout.to_text()).unwrap();
    harness.state_mut().page.set_layout(layout);
    harness.run();
}

/// The area of a plot's lines.
fn area(harness: &Harness<'_, Window>, name: &str) -> egui::Rect {
    harness.get_by_label(&format!("plot {name}")).rect()
}

fn hover(harness: &mut Harness<'_, Window>, at: Pos2) {
    harness.hover_at(at);
    harness.run_steps(3);
}

/// Where a moment is within a plot that shows four seconds.
fn place(rect: egui::Rect, share: f32) -> Pos2 {
    pos2(rect.left() + share * rect.width(), rect.center().y)
}

fn drag(harness: &mut Harness<'_, Window>, from: Pos2, to: Pos2) {
    harness.hover_at(from);
    harness.run_steps(1);
    harness.drag_at(from);
    harness.run_steps(1);
    harness.hover_at(from + (to - from) * 0.5);
    harness.run_steps(1);
    harness.hover_at(to);
    harness.run_steps(2);
    harness.drop_at(to);
    harness.run();
}

fn is_shown(node: &Found<'_>) -> bool {
    node.accesskit_node().toggled() == Some(Toggled::True)
}

/// For people who want to look.
fn look(harness: &mut Harness<'_, Window>, name: &str) {
    if let Some(folder) = std::env::var_os("PHALANX_PICTURES") {
        let path = std::path::Path::new(&folder).join(format!("{name}.png"));
        harness.render().unwrap().save(path).unwrap();
    }
}

#[test]
fn a_field_is_found_and_added_by_double_click() {
    let mut harness = window(fleet());
    assert!(harness.query_by_label("state.joint_q").is_some());
    harness.get_by_label("Find").click();
    harness.run();
    harness.get_by_label("Find").type_text("hip eff");
    harness.run();
    assert!(harness.query_by_label("state.joint_q").is_none(), "what does not match is gone");
    assert!(harness.query_by_label("state.joint_effort[FL_hip]").is_some());
    double_click(&mut harness, "state.joint_effort[FL_hip]");
    let wanted = Curve::Channel(Pick::new(Group::State, "joint_effort", 0).of(0));
    assert_eq!(plots(&harness)[0].lines[0].curve, wanted);
    assert!(harness.query_by_label("state.joint_effort[FL_hip] #0").is_some(), "its name is in the legend");
    look(&mut harness, "search");
}

#[test]
fn fields_of_several_rows_are_added_at_once() {
    let mut harness = window(fleet());
    harness.state_mut().page.set_rows(&[0, 1, 7]);
    harness.run();
    double_click(&mut harness, "state.root_pos");
    let lines: Vec<_> =
        plots(&harness)[0].lines.iter().map(|line| line.curve.channels()[0].clone()).collect();
    assert_eq!(lines.len(), 9, "three elements of three rows");
    assert!(lines.iter().any(|channel| (channel.row, channel.pick.element) == (7, 2)));
    let slots: std::collections::BTreeSet<_> =
        plots(&harness)[0].lines.iter().map(|line| line.slot).collect();
    assert_eq!(slots.len(), 9, "each in a colour of its own");
}

#[test]
fn fields_are_dragged_onto_plots_and_edges() {
    let mut harness = window(fleet());
    let from = harness.get_by_label("state.joint_q").rect().center();
    drag(&mut harness, from, pos2(800.0, 400.0));
    assert_eq!(plots(&harness).len(), 1);
    assert_eq!(plots(&harness)[0].lines.len(), 12, "all elements of the field");
    let from = harness.get_by_label("state.joint_v").rect().center();
    let edge = area(&harness, "state.joint_q");
    drag(&mut harness, from, pos2(edge.right() - 4.0, edge.center().y));
    assert_eq!(plots(&harness).len(), 2, "a new plot at the right");
    let (q, v) = (area(&harness, "state.joint_q"), area(&harness, "state.joint_v"));
    assert!(q.right() < v.left() && (q.top() - v.top()).abs() < 1.0, "{q:?} {v:?}");
    let from = harness.get_by_label("state.gravity").rect().center();
    drag(&mut harness, from, v.center());
    assert_eq!(plots(&harness).iter().map(|p| p.lines.len()).collect::<Vec<_>>(), [12, 15], "onto it");
    command(&mut harness, "plots.undo");
    assert_eq!(plots(&harness).iter().map(|p| p.lines.len()).collect::<Vec<_>>(), [12, 12]);
    command(&mut harness, "plots.undo");
    assert_eq!(plots(&harness).len(), 1);
    command(&mut harness, "plots.redo");
    assert_eq!(plots(&harness).len(), 2);
}

#[test]
fn lines_are_hidden_shown_and_isolated() {
    let mut harness = window(fleet());
    show(&mut harness, Node::plot(Plot::of((0..3).map(|n| joint_q(n, 0)))));
    let hip = "state.joint_q[FL_hip] #0";
    assert!(is_shown(&harness.get_by_label(hip)));
    harness.get_by_label(hip).click();
    harness.run();
    assert!(!is_shown(&harness.get_by_label(hip)));
    assert!(!plots(&harness)[0].lines[0].shown);
    command(&mut harness, "plots.all");
    assert!(plots(&harness)[0].lines.iter().all(|line| line.shown));
    harness.get_by_label(hip).click_modifiers(Modifiers::ALT);
    harness.run();
    let shown: Vec<_> = plots(&harness)[0].lines.iter().map(|line| line.shown).collect();
    assert_eq!(shown, [true, false, false], "alone");
    harness.get_by_label(hip).click_modifiers(Modifiers::ALT);
    harness.run();
    assert!(plots(&harness)[0].lines.iter().all(|line| line.shown), "and back");
}

#[test]
fn a_pause_holds_the_view_while_data_come_in() {
    let mut harness = window(fleet());
    let two =
        vec![(1.0, Node::plot(Plot::of([joint_q(0, 0)]))), (1.0, Node::plot(Plot::of([joint_q(1, 0)])))];
    show(&mut harness, Node::Column(two));
    command(&mut harness, "plots.pause");
    let range = |harness: &Harness<'_, Window>| harness.state().timeline.range(harness.state().store.now);
    let before = range(&harness);
    assert_eq!(before, 4.0..=8.0);
    crate::fleet::walk(&mut harness.state_mut().store, &[0, 1, 7], 801..1001);
    harness.run();
    assert_eq!(range(&harness), before, "the view stands");
    let series = harness.state().store.series(&joint_q(0, 0)).unwrap().len();
    assert_eq!(series, 1000, "data are collected");
    command(&mut harness, "plots.pause");
    assert_eq!(range(&harness), 6.0..=10.0);
}

#[test]
fn dragging_scrolls_back_and_a_double_click_returns_to_now() {
    let mut harness = window(fleet());
    show(&mut harness, Node::plot(Plot::of([joint_q(0, 0)])));
    let rect = area(&harness, "state.joint_q");
    drag(&mut harness, place(rect, 0.5), place(rect, 0.75));
    let time = harness.state().timeline.clone();
    assert_eq!(time.mode, Mode::Fixed);
    assert!((time.start - 3.0).abs() < 0.1, "a quarter of four seconds earlier: {}", time.start);
    harness.get_by_label("plot state.joint_q").click();
    harness.get_by_label("plot state.joint_q").click();
    harness.run();
    assert_eq!(harness.state().timeline.mode, Mode::Sliding);
}

#[test]
fn a_box_is_zoomed_to_and_the_wheel_changes_the_window() {
    let mut harness = window(fleet());
    show(&mut harness, Node::plot(Plot::of([joint_q(0, 0)])));
    let rect = area(&harness, "state.joint_q");
    harness.event(egui::Event::ModifiersChanged(Modifiers::COMMAND));
    drag(&mut harness, rect.lerp_inside(vec2(0.25, 0.25)), rect.lerp_inside(vec2(0.5, 0.75)));
    harness.event(egui::Event::ModifiersChanged(Modifiers::NONE));
    let time = harness.state().timeline.clone();
    assert!((time.start - 5.0).abs() < 0.05 && (time.window - 1.0).abs() < 0.05, "{time:?}");
    let [low, high] = plots(&harness)[0].limits.unwrap();
    assert!(low > -0.4 && high < 0.4 && low < high);
    hover(&mut harness, rect.center());
    harness.event(egui::Event::MouseWheel {
        unit: egui::MouseWheelUnit::Point,
        delta: vec2(0.0, 100.0),
        modifiers: Modifiers::NONE,
        phase: egui::TouchPhase::Move,
        source: egui::MouseWheelSource::Wheel,
    });
    harness.run();
    assert!(harness.state().timeline.window < 0.9, "{:?}", harness.state().timeline);
    command(&mut harness, "plots.fit");
    assert_eq!(plots(&harness)[0].limits, None);
}

#[test]
fn the_cursor_reads_what_was_known_then_in_all_plots() {
    let mut harness = window(fleet());
    let table = |curve| Node::plot(Plot { legend: Legend::Beside, ..Plot::of([curve]) });
    show(&mut harness, Node::Column(vec![(1.0, table(joint_q(0, 0))), (1.0, table(joint_q(1, 0)))]));
    let rect = harness.get_all_by_label("plot state.joint_q").next().unwrap().rect();
    hover(&mut harness, place(rect, 0.5));
    let cursor = harness.state().timeline.cursor.unwrap();
    assert!((cursor - 6.0).abs() < 0.02, "the middle of 4 to 8 s: {cursor}");
    command(&mut harness, "plots.a");
    hover(&mut harness, place(rect, 0.75));
    command(&mut harness, "plots.b");
    let time = &harness.state().timeline;
    assert!((time.b.unwrap() - time.a.unwrap() - 1.0).abs() < 0.02, "{time:?}");
    look(&mut harness, "cursors");
    harness.remove_cursor();
    harness.run();
    assert_eq!(harness.state().timeline.cursor, None);
}

#[test]
fn a_layout_is_restored_as_it_was_saved() {
    let mut harness = window(fleet());
    let rich = Plot {
        title: "costs".into(),
        log: true,
        limits: Some([0.5, 200.0]),
        legend: Legend::Beside,
        ..Plot::of([Curve::Channel(Pick::new(Group::Status, "cost", 0).of(1))])
    };
    let tabs = Node::Tabs { front: 1, of: vec![Node::plot(Plot::of([joint_q(0, 7)])), Node::plot(rich)] };
    show(&mut harness, Node::Row(vec![(0.25, tabs), (0.75, Node::plot(Plot::of([joint_q(3, 0)])))]));
    harness.run();
    let before = harness.state().page.layout().clone();
    let text = serde_json::to_string(&harness.state().page).unwrap();
    drop(harness);
    let mut again = window(fleet());
    again.state_mut().page = serde_json::from_str(&text).unwrap();
    again.run();
    assert_eq!(*again.state().page.layout(), before);
    assert!(again.query_by_label("plot costs").is_some());
}

#[test]
fn what_the_cluster_lacks_is_struck_out_and_kept() {
    let mut harness = window(fleet());
    let lost = Curve::Channel(Pick::new(Group::State, "tail_angle", 0).of(0));
    let beyond = joint_q(0, 99);
    let no_quaternion = Curve::Derived(Operation::Roll, vec![Pick::new(Group::State, "joint_q", 0).of(0)]);
    show(&mut harness, Node::plot(Plot::of([joint_q(0, 0), lost.clone(), beyond, no_quaternion])));
    harness.get_by_label("state.tail_angle[0] #0").hover();
    harness.run_steps(60);
    let said = harness.query_by_label_contains("no state.tail_angle");
    assert!(said.is_some(), "the reason is told");
    assert_eq!(plots(&harness)[0].lines[1].curve, lost, "it is kept for when it comes back");
    look(&mut harness, "missing");
}

#[test]
fn time_is_switched_without_losing_the_place() {
    let mut harness = window(fleet());
    show(&mut harness, Node::plot(Plot::of([joint_q(0, 0)])));
    harness.state_mut().timeline.show(2.0..=3.0);
    command(&mut harness, "plots.axis");
    let time = harness.state().timeline.clone();
    assert_eq!(time.axis, Axis::Wall);
    assert!((time.window - 1.1).abs() < 0.03, "the wall clock takes a tenth longer: {time:?}");
    command(&mut harness, "plots.axis");
    let time = harness.state().timeline.clone();
    assert_eq!(time.axis, Axis::Rounds);
    assert!((time.start - 200.0).abs() < 3.0 && (time.window - 100.0).abs() < 3.0, "{time:?}");
}

#[test]
fn plots_are_maximised_duplicated_held_and_closed() {
    let mut harness = window(fleet());
    let two = vec![
        (1.0, Node::plot(Plot::of([joint_q(0, 0)]))),
        (1.0, Node::plot(Plot { title: "b".into(), ..Plot::of([joint_q(1, 0)]) })),
    ];
    show(&mut harness, Node::Column(two));
    harness.get_by_label("Maximise b").click();
    harness.run();
    assert!(
        harness.query_by_label("plot state.joint_q").is_none() && harness.query_by_label("plot b").is_some()
    );
    command(&mut harness, "plots.maximise");
    assert!(harness.query_by_label("plot state.joint_q").is_some());
    harness.get_by_label("Hold b").click();
    harness.run();
    crate::fleet::walk(&mut harness.state_mut().store, &[0], 801..901);
    harness.run();
    look(&mut harness, "held");
    harness.get_by_label("plot b").click();
    harness.run();
    command(&mut harness, "plots.duplicate");
    assert_eq!(plots(&harness).len(), 3);
    command(&mut harness, "plots.close");
    command(&mut harness, "plots.next");
    assert_eq!(plots(&harness).len(), 2);
}

#[test]
fn derived_curves_are_made_in_the_editor() {
    let mut harness = window(fleet());
    show(&mut harness, Node::plot(Plot::of([joint_q(0, 0), joint_q(0, 1)])));
    command(&mut harness, "plots.derived");
    harness.get_by_label("Difference of two").click();
    harness.run();
    let boxes: Vec<_> = harness
        .get_all_by_label_contains("state.joint_q[FL_hip] #")
        .filter(|node| node.rect().left() > 300.0 && node.accesskit_node().role() == egui::Role::CheckBox)
        .map(|node| node.rect())
        .collect();
    assert!(boxes.len() >= 4, "two in the legend, two in the editor");
    for name in ["state.joint_q[FL_hip] #0", "state.joint_q[FL_hip] #1"] {
        harness.get_all_by_label(name).last().unwrap().click();
        harness.run();
    }
    look(&mut harness, "editor");
    harness.get_by_label("Add the curve").click();
    harness.run();
    let of = joint_q(0, 0).channels().iter().chain(joint_q(0, 1).channels()).cloned().collect();
    assert_eq!(plots(&harness)[0].lines[2].curve, Curve::Derived(Operation::Difference, of));
}

#[test]
fn a_plot_is_written_as_svg_and_its_samples_as_csv() {
    let folder = tempfile::tempdir().unwrap();
    let mut harness = window(fleet());
    show(&mut harness, Node::plot(Plot::of([joint_q(0, 0), joint_q(1, 0)])));
    for (format, ending) in
        [("SVG drawing", "svg"), ("CSV table", "csv"), ("PNG picture", "png"), ("Parquet table", "parquet")]
    {
        command(&mut harness, "plots.export");
        harness.get_by_label(format).click();
        harness.run();
        let file = harness.get_by_label("File");
        file.click();
        harness.run();
        harness.key_press_modifiers(Modifiers::COMMAND, Key::A);
        harness.get_by_label("File").type_text(folder.path().join("plot").to_str().unwrap());
        harness.run();
        look(&mut harness, "export");
        harness.get_by_label("Write").click();
        harness.run();
        let path = folder.path().join(format!("plot.{ending}"));
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
        let said = loop {
            harness.run_steps(1);
            if let Some(Action::Say(text)) = harness.state_mut().actions.pop() {
                break text;
            }
            assert!(std::time::Instant::now() < deadline, "nothing was said of {}", path.display());
            std::thread::sleep(std::time::Duration::from_millis(5));
        };
        assert!(said.starts_with("Wrote ") && said.contains(&format!("plot.{ending}")), "{said}");
        let bytes = std::fs::read(&path).unwrap();
        match ending {
            "svg" => {
                let text = String::from_utf8(bytes).unwrap();
                let document = roxmltree::Document::parse(&text).unwrap();
                let named = |node: roxmltree::Node<'_, '_>| {
                    node.text() == Some("state.joint_q[FL_hip] #0 (rad or m)")
                };
                assert!(document.descendants().any(named));
            }
            "csv" => {
                let text = String::from_utf8(bytes).unwrap();
                let lines: Vec<_> = text.lines().collect();
                assert_eq!(lines.len(), 1 + 401, "the visible four seconds, both ends");
                assert!(lines[0].contains("state.joint_q[FL_thigh] #0 (rad or m)"), "{}", lines[0]);
                assert!(lines[1].starts_with("400,4,"), "{}", lines[1]);
            }
            "parquet" => assert!(bytes.starts_with(b"PAR1") && bytes.ends_with(b"PAR1")),
            _ => assert_eq!(&bytes[1..4], b"PNG"),
        }
    }
}

#[test]
fn every_command_runs_on_an_empty_page_and_on_a_full_one() {
    let mut harness = window(fleet());
    let ids: Vec<_> = harness.state().page.commands().iter().map(|command| command.id).collect();
    assert!(ids.len() >= 10);
    for id in &ids {
        command(&mut harness, id);
    }
    let plots = Preset::Tracking.plots(&harness.state().store.manifest.schema, &[0]).unwrap();
    show(&mut harness, plots);
    for id in ids {
        command(&mut harness, id);
    }
}

#[test]
fn presets_show_what_they_are_named_after() {
    let mut store = fleet();
    crate::fleet::event(&mut store, EventKind::Reset, Some(0), 500, "");
    crate::fleet::event(&mut store, EventKind::Failed, Some(0), 620, "no descent direction");
    crate::fleet::event(&mut store, EventKind::Late, Some(3), 700, "");
    for (theme, size, look_name) in
        [(Theme::dark(), [1280.0, 800.0], "dark"), (Theme::light(), [1920.0, 1080.0], "light")]
    {
        let mut harness = window_of(fleet(), size, theme);
        harness.state_mut().store.events = store.events.clone();
        for preset in Preset::ALL {
            harness.get_by_label("Layout").click();
            harness.run();
            look(&mut harness, &format!("menu-{look_name}"));
            harness.get_all_by_label(preset.name()).last().unwrap().click();
            harness.run();
            harness.run();
            let names: Vec<_> = plots(&harness).iter().map(|plot| plot.name()).collect();
            assert!(names.len() >= 3, "{preset:?}: {names:?}");
            for name in names {
                assert!(harness.query_by_label(&format!("plot {name}")).is_some(), "{name}");
            }
            look(&mut harness, &format!("{preset:?}-{look_name}"));
        }
    }
}
