//! What can be chosen about plots, and about their time.

use super::{
    PlotsPage, Todo,
    build::{MARKS, mark},
    layout::{Layout, Legend, Plot},
    presets::Preset,
};
use crate::{
    data::Axis,
    pages::Context,
    timeline::{Mode, Places},
};
use egui::{DragValue, RichText, Ui};
use std::path::PathBuf;

/// A text field with a frame, which menus take from everything in them.
fn framed(ui: &mut Ui, edit: egui::TextEdit<'_>) -> egui::Response {
    let scope = ui.scope(|ui| {
        let stroke = ui.visuals().window_stroke;
        ui.visuals_mut().widgets.inactive.bg_stroke = stroke;
        ui.add(edit)
    });
    scope.inner
}

/// The menu of one plot.
pub fn plot(ui: &mut Ui, plot: &mut Plot, todo: &mut Vec<Todo>) {
    ui.horizontal(|ui| {
        let label = ui.label("Title");
        let hint = Plot { title: String::new(), ..plot.clone() }.name();
        framed(ui, egui::TextEdit::singleline(&mut plot.title).hint_text(hint).desired_width(160.0))
            .labelled_by(label.id);
    });
    ui.checkbox(&mut plot.log, "Logarithmic vertical axis");
    ui.checkbox(&mut plot.normalised, "Stretch each line to its own range");
    ui.checkbox(&mut plot.grid, "Grid");
    ui.checkbox(&mut plot.marks, "Marks of events");
    ui.checkbox(&mut plot.prediction, "Prediction right of now")
        .on_hover_text("Dashed: what the row's last answer foresees of lines of state and cmd.");
    ui.horizontal(|ui| {
        ui.label("Names");
        for (legend, name) in [(Legend::Inside, "inside"), (Legend::Beside, "table"), (Legend::Off, "none")] {
            ui.selectable_value(&mut plot.legend, legend, name);
        }
    });
    let mut fixed = plot.limits.is_some();
    ui.horizontal(|ui| {
        if ui.checkbox(&mut fixed, "Fixed limits").changed() {
            plot.limits = fixed.then(|| plot.limits.unwrap_or([-1.0, 1.0]));
        }
        if let Some([low, high]) = &mut plot.limits {
            let speed = (*high - *low).abs() * 0.01;
            let from = ui.label("from");
            ui.add(DragValue::new(low).speed(speed).range(-1e300..=*high)).labelled_by(from.id);
            let to = ui.label("to");
            ui.add(DragValue::new(high).speed(speed).range(*low..=1e300)).labelled_by(to.id);
        }
    });
    if plot.over.is_some() && ui.button("Draw over time again").clicked() {
        let over = plot.over.take();
        plot.add(over);
        plot.limits = None;
        ui.close();
    }
    ui.separator();
    let mut say = |ui: &mut Ui, name: &str, what: Todo| {
        if ui.button(name).clicked() {
            todo.push(what);
            ui.close();
        }
    };
    say(ui, "Derived curve…", Todo::Editor(plot.id, Vec::new()));
    say(ui, "Export…", Todo::Export(Some(plot.id)));
    say(ui, "Copy as CSV", Todo::CopyCsv(plot.id));
    ui.separator();
    say(ui, "Hold or go on", Todo::Hold(plot.id));
    say(ui, "Maximise or restore", Todo::Maximise(plot.id));
    say(ui, "Duplicate", Todo::Duplicate(plot.id));
    say(ui, "Close", Todo::Close(plot.id));
}

/// The bar above the plots.
pub fn bar(page: &mut PlotsPage, ui: &mut Ui, cx: &mut Context<'_>, places: &Places, todo: &mut Vec<Todo>) {
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing.x = 5.0;
        let fields = ui.selectable_label(page.fields_open, "Fields");
        if fields.on_hover_text("Shows or hides the list of fields").clicked() {
            page.fields_open = !page.fields_open;
        }
        if ui.button("+ Plot").on_hover_text("A new plot below the others").clicked() {
            todo.push(Todo::New(Vec::new(), None));
        }
        layouts(page, ui, cx, todo);
        let (undo, redo) = page.live.history.can();
        if ui
            .add_enabled(undo, egui::Button::new("Undo"))
            .on_hover_text("Takes the last change of the layout back")
            .clicked()
        {
            todo.push(Todo::Undo);
        }
        if ui.add_enabled(redo, egui::Button::new("Redo")).on_hover_text("Does it again").clicked() {
            todo.push(Todo::Redo);
        }
        ui.separator();
        time(ui, cx, places, page);
        ui.separator();
        settings(page, ui, cx, todo);
    });
}

fn time(ui: &mut Ui, cx: &mut Context<'_>, places: &Places, page: &mut PlotsPage) {
    let now = page.live.now(cx);
    let paused = cx.timeline.paused.is_some();
    let (sign, hint) = if paused {
        ("Go on", "The view is held; data are collected all the while.")
    } else {
        ("Pause", "Holds the view; data are collected all the while.")
    };
    if ui.selectable_label(paused, sign).on_hover_text(hint).clicked() {
        cx.timeline.toggle_pause(now);
    }
    for (mode, name, hint) in [
        (
            Mode::Sliding,
            "Sliding",
            "The newest is at the right. A double click on a plot comes back to this.",
        ),
        (Mode::Follow, "Pages", "The view stays until now leaves it, then turns the page."),
        (Mode::Fixed, "Fixed", "The view stays. Drag a plot to move in time."),
    ] {
        if ui.selectable_label(cx.timeline.mode == mode, name).on_hover_text(hint).clicked() {
            cx.timeline.set_mode(mode, now);
        }
    }
    let suffix = cx.timeline.axis.suffix();
    let speed = cx.timeline.window * 0.01;
    let window =
        DragValue::new(&mut cx.timeline.window).range(1e-3..=1e7).speed(speed).max_decimals(3).suffix(suffix);
    let label = ui.label("Window");
    ui.add(window)
        .labelled_by(label.id)
        .on_hover_text("Length of the visible stretch. The mouse wheel changes it too.");
    if cx.timeline.mode == Mode::Sliding {
        let label = ui.label("Back");
        let back = DragValue::new(&mut cx.timeline.back)
            .range(0.0..=1e7)
            .speed(speed)
            .max_decimals(3)
            .suffix(suffix);
        ui.add(back).labelled_by(label.id).on_hover_text("How far before now the visible stretch ends");
    }
    let mut axis = cx.timeline.axis;
    let name = |axis: Axis| match axis {
        Axis::Sim => "simulated s",
        Axis::Wall => "wall s",
        Axis::Rounds => "rounds",
    };
    let label = ui.label("Time in");
    let choice = egui::ComboBox::from_id_salt("axis").selected_text(name(axis)).width(92.0);
    let response = choice.show_ui(ui, |ui| {
        for one in Axis::ALL {
            ui.selectable_value(&mut axis, one, name(one));
        }
    });
    response.response.labelled_by(label.id);
    page.switch(axis, cx, places);
}

fn settings(page: &mut PlotsPage, ui: &mut Ui, cx: &mut Context<'_>, todo: &mut Vec<Todo>) {
    ui.menu_button("Marks", |ui| {
        for kind in MARKS {
            let (letter, name) = mark(kind);
            let mut shown = !page.layout.hidden_marks.contains(name);
            if ui.checkbox(&mut shown, format!("{letter}  {name}")).changed() {
                if shown {
                    page.layout.hidden_marks.remove(name);
                } else {
                    page.layout.hidden_marks.insert(name.into());
                }
            }
        }
        ui.separator();
        ui.checkbox(&mut page.layout.all_rows, "Also of rows that are not plotted");
    });
    ui.menu_button("Rates", |ui| {
        ui.horizontal(|ui| {
            let label = ui.label("Redraw plots");
            ui.add(
                DragValue::new(&mut page.redraws_hz)
                    .range(1.0..=240.0)
                    .max_decimals(0)
                    .suffix(" times a second"),
            )
            .labelled_by(label.id);
        });
        ui.horizontal(|ui| {
            let label = ui.label("Look at all rows");
            ui.add(
                DragValue::new(&mut page.looks_hz)
                    .range(1.0..=120.0)
                    .max_decimals(0)
                    .suffix(" times a second"),
            )
            .labelled_by(label.id);
        });
        ui.horizontal(|ui| {
            let label = ui.label("Of plotted rows keep");
            let every =
                DragValue::new(&mut page.every).range(1..=1000).custom_formatter(|n, _| match n as u64 {
                    0 | 1 => "every answer".into(),
                    n => format!("one answer in {n}"),
                });
            ui.add(every).labelled_by(label.id);
        });
        if cx.store.missed > 0 {
            ui.colored_label(
                cx.theme.warning(),
                format!("{} answers were overwritten before they were looked at.", cx.store.missed),
            );
        }
    });
    if ui.button("Export…").on_hover_text("All plots, or the focused one, as files").clicked() {
        todo.push(Todo::Export(None));
    }
}

fn layouts(page: &mut PlotsPage, ui: &mut Ui, cx: &Context<'_>, todo: &mut Vec<Todo>) {
    ui.menu_button("Layout", |ui| {
        ui.set_min_width(230.0);
        ui.label(RichText::new("Ready ones").weak());
        let rows = page.fields.rows(cx.store).unwrap_or_else(|_| vec![0]);
        for preset in Preset::ALL {
            let plots = preset.plots(&cx.store.manifest.schema, &rows);
            let button = ui.add_enabled(plots.is_some(), egui::Button::new(preset.name()));
            if button.on_disabled_hover_text("This cluster has none of its fields.").clicked() {
                todo.push(Todo::Show(Box::new(Layout { plots, ..page.layout.clone() })));
                ui.close();
            }
        }
        ui.separator();
        ui.label(RichText::new("Your own").weak());
        let mut forget = None;
        for (name, layout) in &page.named {
            ui.horizontal(|ui| {
                if ui.button(name).clicked() {
                    todo.push(Todo::Show(Box::new(layout.clone())));
                    ui.close();
                }
                if ui.small_button("Forget").on_hover_text(format!("Forgets the layout {name}")).clicked() {
                    forget = Some(name.clone());
                }
            });
        }
        forget.and_then(|name| page.named.remove(&name));
        ui.horizontal(|ui| {
            let label = ui.label("Name");
            framed(ui, egui::TextEdit::singleline(&mut page.live.name).desired_width(110.0))
                .labelled_by(label.id);
            let named = !page.live.name.trim().is_empty();
            if ui
                .add_enabled(named, egui::Button::new("Keep"))
                .on_hover_text("Keeps the present layout by this name")
                .clicked()
            {
                let timeline = Some(cx.timeline.clone());
                page.named.insert(page.live.name.trim().into(), Layout { timeline, ..page.layout.clone() });
                page.live.name.clear();
            }
        });
        ui.separator();
        ui.label(RichText::new("A text file, to share").weak());
        ui.horizontal(|ui| {
            let label = ui.label("File");
            framed(ui, egui::TextEdit::singleline(&mut page.layout_file).desired_width(180.0))
                .labelled_by(label.id);
        });
        ui.horizontal(|ui| {
            let path = PathBuf::from(page.layout_file.trim());
            if ui.button("Open").clicked() {
                todo.push(Todo::Open(path.clone()));
                ui.close();
            }
            if ui.button("Save").clicked() {
                todo.push(Todo::Save(path));
                ui.close();
            }
        });
        ui.separator();
        if ui.button("Close all plots").clicked() {
            todo.push(Todo::Show(Box::new(Layout { plots: None, ..page.layout.clone() })));
            ui.close();
        }
    });
}
