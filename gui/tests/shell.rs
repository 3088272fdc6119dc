//! The window as people use it: bars, banners, palette, keys, the switch, files.

use crate::common::{Herd, settings, until, window};
use egui::{Key, Modifiers, Role};
use egui_kittest::{
    Harness,
    kittest::{NodeT, Queryable},
};
use phalanx::{Observer, Outcome};
use phalanx_gui::{
    app::App,
    data::{Axis, Link},
    settings::{Settings, SettingsFile, Tab},
    theme::Theme,
};

const SIZE: [f32; 2] = [1280.0, 800.0];

/// A window over what was seen of a herd, with nothing to control.
fn looking(rows: usize) -> Harness<'static, App> {
    let (feed, ..) = Herd::of(rows, 5).feed();
    window(SIZE, Theme::dark(), App::of(feed, "go1", settings(Theme::dark())))
}

fn linked(link: Link) -> Harness<'static, App> {
    let (feed, ..) = Herd::of(3, 5).feed();
    feed.view().link = link;
    window(SIZE, Theme::dark(), App::of(feed, "go1", settings(Theme::dark())))
}

fn key(window: &mut Harness<'_, App>, key: Key) {
    window.key_press(key);
    window.run_steps(3);
}

fn of(window: &Harness<'_, App>) -> Settings {
    window.state().settings()
}

#[test]
fn pages_rows_and_time_by_keys() {
    let mut window = looking(12);
    for (pressed, tab) in
        [(Key::Num2, Tab::Row), (Key::Num3, Tab::Plots), (Key::Num4, Tab::Control), (Key::Num1, Tab::Cluster)]
    {
        key(&mut window, pressed);
        assert_eq!(of(&window).page, tab);
    }
    for (pressed, row) in [
        (Key::ArrowUp, 0),
        (Key::ArrowDown, 1),
        (Key::PageDown, 11),
        (Key::ArrowDown, 11),
        (Key::ArrowUp, 10),
        (Key::PageUp, 0),
    ] {
        key(&mut window, pressed);
        assert_eq!(of(&window).row, row, "after {pressed:?}");
    }
    key(&mut window, Key::X);
    assert_eq!(of(&window).timeline.axis, Axis::Wall);
    key(&mut window, Key::Space);
    assert!(of(&window).timeline.paused.is_some());
    window.get_by_label("The view is frozen; collecting goes on.");
    key(&mut window, Key::Home);
    assert!(of(&window).timeline.paused.is_none());
    key(&mut window, Key::T);
    assert_eq!(of(&window).theme, egui::ThemePreference::Light);
    window.key_press_modifiers(Modifiers::COMMAND, Key::Plus);
    window.run_steps(3);
    assert_eq!(of(&window).scale, 1.1);
    window.key_press_modifiers(Modifiers::COMMAND, Key::Num0);
    window.run_steps(3);
    assert_eq!(of(&window).scale, 1.0);
    key(&mut window, Key::F3);
    assert!(window.query_by_label_contains("a frame:").is_some());
}

#[test]
fn by_mouse() {
    let mut window = looking(3);
    window.get_by_label("Plots").click();
    window.run_steps(3);
    assert_eq!(of(&window).page, Tab::Plots);
    window.get_by_label("next row").click();
    window.run_steps(3);
    assert_eq!(of(&window).row, 1);
    window.get_by_label("▮▮ Freeze").click();
    window.run_steps(3);
    window.get_by_label("▶ Go on").click();
    window.run_steps(3);
    assert!(of(&window).timeline.paused.is_none());
}

#[test]
fn the_palette_finds_commands_rows_and_fields() {
    let mut window = looking(12);
    let choose = |window: &mut Harness<'_, App>, text: &str| {
        window.key_press_modifiers(Modifiers::COMMAND, Key::K);
        window.run_steps(3);
        window.get_by_role_and_label(Role::TextInput, "Find a command, row or field").type_text(text);
        window.run_steps(3);
        // Typed letters are no commands meanwhile.
        window.key_press(Key::Enter);
        window.run_steps(3);
        assert!(window.query_by_label("Open the page Plots").is_none(), "it has closed");
    };
    choose(&mut window, "page plots");
    assert_eq!(of(&window).page, Tab::Plots);
    choose(&mut window, "7");
    assert_eq!((of(&window).page, of(&window).row), (Tab::Row, 7));
    choose(&mut window, "plot lin_vel forw");
    assert_eq!(of(&window).page, Tab::Plots);
    choose(&mut window, "layout classroom");
    assert_eq!(of(&window).theme, egui::ThemePreference::Light);
    choose(&mut window, "no such thing at all");
    key(&mut window, Key::Escape);
}

#[test]
fn the_sheet_of_keys_names_them_all() {
    let mut window = looking(3);
    window.key_press(Key::Questionmark);
    window.run_steps(10);
    for line in phalanx_gui::app::COMMANDS.iter().filter(|line| !line.keys.is_empty()) {
        window.get_by_label(line.name);
    }
    window.get_by_label("Close").click();
    window.run_steps(3);
    assert!(window.query_by_label("Close").is_none());
}

#[test]
fn stale_gone_and_refused_are_said() {
    for (link, said) in [
        (Link::Stale(3.25), "No round for 3.2 s"),
        (Link::Gone("its server was killed".into()), "What you see is the last that was known"),
        (Link::Refused("the layout names state.wings".into()), "state.wings"),
    ] {
        let window = linked(link);
        assert!(window.query_by_label_contains(said).is_some(), "{said}");
    }
    let window = linked(Link::File("clean".into()));
    window.get_by_label("clean");
}

#[test]
fn slower_than_real_time_is_said_until_waved_away() {
    // Rounds of the fixture come every 10 ms of the clock and of simulated time alike.
    let mut window = looking(3);
    assert!(window.query_all_by_label_contains("1.00 × real time").count() > 0);
    assert!(window.query_by_label_contains("Simulated time runs at").is_none());
    let mut herd = Herd::of(3, 5);
    for round in &mut herd.store.rounds {
        round.posted_ns += (round.round * 10_000_000) * 3;
    }
    let (feed, ..) = herd.feed();
    window = crate::common::window(SIZE, Theme::dark(), App::of(feed, "go1", settings(Theme::dark())));
    assert!(window.query_by_label_contains("Simulated time runs at 0.25").is_some());
    window.get_by_label("Never mind").click();
    window.run_steps(3);
    assert!(window.query_by_label_contains("Simulated time runs at").is_none());
}

#[test]
fn nothing_is_ordered_until_armed() {
    let herd = Herd::of(3, 5);
    let name = herd.name();
    let observer = Observer::attach(&name).unwrap();
    let (feed, _cluster, _client) = herd.feed();
    let app = App::with_controls(feed, &name, Settings { page: Tab::Control, ..settings(Theme::dark()) });
    let mut window = window(SIZE, Theme::dark(), app);
    until(&mut window, "hands", |w| w.query_by_label_contains("is the client and triggers them").is_some());
    for label in ["▮▮ Hold", "Reset", "Deactivate", "Restart", "Stop the cluster …"] {
        let button = window.get_by_label(label);
        assert!(button.accesskit_node().is_disabled(), "{label}");
        button.click();
        window.run_steps(2);
    }
    assert_eq!((observer.operator(), observer.hold(), observer.deactivated_rows()), (None, None, 0));

    window.get_by_label("Arm").click();
    until(&mut window, "armed", |w| w.state().armed());
    assert!(observer.operator().is_some());
    window.get_by_label("▮▮ Hold").click();
    until(&mut window, "held", |_| observer.hold().is_some());
    until(&mut window, "run can be pressed", |w| !w.get_by_label("▶ Run").accesskit_node().is_disabled());
    window.get_by_label("▶ Run").click();
    until(&mut window, "running", |_| observer.hold().is_none());
    window.get_by_label("all 3").click();
    window.run_steps(2);
    window.get_by_label("Deactivate").click();
    until(&mut window, "left out", |_| observer.deactivated_rows() == 3);
    window.get_by_label("Reset").click();
    until(&mut window, "to be reset", |_| observer.reset_pending(2).unwrap());
    // The question comes first, and no is an answer.
    window.get_by_label("Stop the cluster …").click();
    window.run_steps(3);
    window.get_by_label("Keep it running").click();
    window.run_steps(3);
    assert!(window.query_by_label("Keep it running").is_none());

    key(&mut window, Key::R);
    until(&mut window, "disarmed", |_| observer.operator().is_none());
    assert_eq!(observer.deactivated_rows(), 0, "everything is given back");
}

#[test]
fn keys_drive_while_held_and_only_with_the_focus() {
    let herd = Herd::of(2, 5);
    let name = herd.name();
    let (feed, mut cluster, mut client) = herd.feed();
    let mut followed = move || {
        let client = client.as_mut().unwrap();
        let ticket = client.trigger(phalanx::Rows::All).unwrap();
        cluster.serve();
        assert!(
            client.wait(ticket, phalanx::Wait::default()).unwrap().rows(Outcome::Failed).next().is_none()
        );
        let handle = client.refs.handle::<f32>("lin_vel").unwrap();
        let followed = client.followed.as_ref().unwrap();
        [0, 1].map(|row| followed.get(handle, row)[0])
    };
    let app = App::with_controls(feed, &name, Settings { page: Tab::Control, ..settings(Theme::dark()) });
    let mut window = window(SIZE, Theme::dark(), app);
    window.get_by_label("Arm").click();
    until(&mut window, "armed", |w| w.state().armed());
    window.key_down(Key::W);
    window.run_steps(3);
    window.key_up(Key::W);
    window.run_steps(1);
    assert_eq!(followed(), [0.0, 0.0], "the pad has not the focus");

    window.get_by_label("Click here to drive").click();
    window.run_steps(3);
    window.key_down(Key::W);
    until(&mut window, "row 0 is driven", |_| followed() == [0.5, 0.0]);
    window.key_up(Key::W);
    until(&mut window, "let go", |_| followed() == [0.0, 0.0]);
    // Numbers and letters are the pad's meanwhile.
    window.key_press(Key::Num1);
    window.run_steps(3);
    assert_eq!(of(&window).page, Tab::Control);

    // Nobody draws any more while W is held: it does not go on for ever.
    window.key_down(Key::W);
    until(&mut window, "driven again", |_| followed()[0] == 0.5);
    let mut rest = 0.5;
    for _ in 0..200 {
        std::thread::sleep(std::time::Duration::from_millis(10));
        rest = followed()[0];
        if rest == 0.0 {
            break;
        }
    }
    assert_eq!(rest, 0.0, "the dead man's values");
    window.key_up(Key::W);
    key(&mut window, Key::Escape);
    window.get_by_label("Click here to drive");
}

#[test]
fn sliders_override_only_what_was_touched() {
    let herd = Herd::of(2, 5);
    let name = herd.name();
    let (feed, mut cluster, mut client) = herd.feed();
    let app = App::with_controls(feed, &name, Settings { page: Tab::Control, ..settings(Theme::dark()) });
    let mut window = window(SIZE, Theme::dark(), app);
    window.get_by_label("Arm").click();
    until(&mut window, "armed", |w| w.state().armed());
    window.get_by_role_and_label(Role::Slider, "gait").click();
    until(&mut window, "one field", |w| w.query_by_label("▲ 1 overridden").is_some());
    let mut overridden = || {
        let client = client.as_mut().unwrap();
        let ticket = client.trigger(phalanx::Rows::All).unwrap();
        cluster.serve();
        client.wait(ticket, phalanx::Wait::default()).unwrap();
        [0, 1].map(|row| client.status.of(row).overridden)
    };
    until(&mut window, "row 0 says so", |_| overridden() == [1, 0]);
    window.get_by_label("Give all back").click();
    until(&mut window, "given back", |_| overridden() == [0, 0]);
}

#[test]
fn a_cluster_that_goes_disarms() {
    let herd = Herd::of(2, 5);
    let name = herd.name();
    let (feed, cluster, client) = herd.feed();
    let app = App::with_controls(feed, &name, Settings { page: Tab::Control, ..settings(Theme::dark()) });
    let mut window = window(SIZE, Theme::dark(), app);
    window.get_by_label("Arm").click();
    until(&mut window, "armed", |w| w.state().armed());
    drop((client, cluster));
    until(&mut window, "disarmed", |w| !w.state().armed());
    until(&mut window, "it says so", |w| {
        w.state().told().any(|text| text.contains("disarmed: the cluster is gone"))
    });
}

#[test]
fn a_layout_that_cannot_be_read_is_told_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("debugger.json");
    std::fs::write(&path, r#"{"version": 1, "row": 1, "pages": {"control": {"steps": "many"}}}"#).unwrap();
    let (file, settings, said) = SettingsFile::open(&path);
    assert_eq!(said, None, "the file as such is sound");
    let mut window = window(SIZE, Theme::dark(), App::new(None, settings, Some(file)));
    window.run_steps(3);
    assert!(window.state().told().any(|text| text.contains("page Control cannot be read")));
    window.state_mut().save().unwrap();
    let again = Settings::from_json(&std::fs::read_to_string(&path).unwrap()).unwrap();
    assert_eq!(again.row, 1);
}

#[test]
fn without_a_cluster_there_is_a_list_to_choose_from() {
    let herd = Herd::of(2, 5);
    let mut window = window(SIZE, Theme::dark(), App::new(None, settings(Theme::dark()), None));
    let name = herd.name();
    until(&mut window, "it is listed", |w| w.query_by_label(&name).is_some());
    window.get_by_role_and_label(Role::TextInput, "name or file").type_text("no/such.mcap");
    window.run_steps(2);
    window.get_by_label(&name).click();
    window.run_steps(3);
    assert!(window.state().title().starts_with(&name));
}

#[test]
fn a_dump_is_saved_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let herd = Herd::of(2, 5);
    let name = herd.name();
    let (feed, _cluster, _client) = herd.feed();
    let mut window = window(SIZE, Theme::dark(), App::with_controls(feed, &name, settings(Theme::dark())));
    window.key_press_modifiers(Modifiers::COMMAND, Key::S);
    window.run_steps(3);
    let path = folder.path().join("row.json");
    window.key_press_modifiers(Modifiers::COMMAND, Key::A);
    window.get_by_label("file").type_text(path.to_str().unwrap());
    window.run_steps(2);
    window.get_by_label("Save").click();
    until(&mut window, "told", |w| w.state().told().any(|text| text.contains("5 rounds of row 0")));
    assert_eq!(phalanx::dump::Dump::load(&path).unwrap().rounds.len(), 5);
}
