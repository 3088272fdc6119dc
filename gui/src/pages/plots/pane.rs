//! One plot on the screen, and what the mouse does to it.

use super::{
    Dragged, Side, Todo,
    build::{self, Source},
    layout::{Legend, Plot},
    legend,
};
use crate::{figure, timeline::Timeline};
use egui::{
    Color32, DragAndDrop, PointerButton, Pos2, Rect, Response, Role, Sense, Stroke, Ui, UiBuilder,
    WidgetInfo, pos2, vec2,
};

/// What a drag of the mouse does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Grip {
    /// Moves the view.
    View,
    /// Moves cursor A or B.
    Cursor(char),
    /// Spans a box to be shown.
    Box(Pos2),
}

/// What a plot is shown with.
pub struct Pane<'a> {
    /// What the figure is built from; its time is overridden by `own`.
    pub source: Source<'a>,
    /// How far the page looks beyond now.
    pub ahead: f64,
    /// Whether commands mean this plot.
    pub focused: bool,
}

/// What happened to the time by the mouse.
#[derive(Clone, Debug, PartialEq)]
pub enum Touch {
    /// The pointer is over a moment.
    At(f64),
    /// The view is moved by so much.
    Pan(f64),
    /// The stretch is made so many times as long, around a moment.
    Zoom(f64, f64),
    /// A stretch is to be shown.
    Show(f64, f64),
    /// Back to the present.
    Slide,
    /// Cursor A or B is put somewhere, or taken away.
    Cursor(char, Option<f64>),
}

impl Touch {
    /// Does it to a timeline.
    pub fn apply(&self, time: &mut Timeline, now: crate::data::Stamp) {
        match *self {
            Touch::At(x) => time.cursor = Some(x),
            Touch::Pan(by) => time.pan(by, now),
            Touch::Zoom(factor, around) => time.zoom(factor, around, now),
            Touch::Show(from, to) => time.show(from..=to),
            Touch::Slide => time.slide(),
            Touch::Cursor('A', at) => time.a = at,
            Touch::Cursor(_, at) => time.b = at,
        }
    }
}

/// Draws a plot into the room there is; gives what the mouse did to its time.
pub fn show(ui: &mut Ui, plot: &mut Plot, pane: &Pane<'_>, todo: &mut Vec<Todo>) -> Vec<Touch> {
    let whole = ui.available_rect_before_wrap();
    let source = &pane.source;
    let range = build::stretch(source, pane.ahead);
    let thorough = plot.legend == Legend::Beside;
    // The legend's width hangs on its names alone, so a quick build of the readings is not needed for it.
    // A column a pixel, but for crowds of lines: they cover one another, and a frame has 16 ms for all of them.
    const COLUMNS: usize = 20_000;
    let each = (COLUMNS / plot.lines.len().max(1)).max(300);
    let bins_of = |rect: Rect| ((rect.width() * ui.pixels_per_point()).max(2.0) as usize).min(each);
    let narrow = figure::place(whole, false);
    let (mut drawing, readings) = build::figure(plot, source, &range, bins_of(narrow), thorough);
    let shown = legend::Shown {
        readings: &readings,
        time: source.time,
        schema: &source.store.manifest.schema,
        theme: source.theme,
    };
    let (within, beside) = split(ui, plot, &shown, whole);
    let inside = figure::place(within, false);
    if pane.focused {
        let edge = Rect::from_min_size(whole.min, vec2(whole.width(), 2.0));
        ui.painter().rect_filled(edge, 0.0, source.theme.accent());
    }

    let response = ui.interact(inside, ui.scope_id().with(("plot", plot.id)), Sense::click_and_drag());
    response.widget_info(|| WidgetInfo::labeled(Role::Figure, true, format!("plot {}", plot.name())));
    let upright = Rect::from_min_max(pos2(within.left(), inside.top()), pos2(inside.left(), inside.bottom()));
    let scale = ui.interact(upright, ui.scope_id().with(("scale", plot.id)), Sense::click_and_drag());
    scale.widget_info(|| {
        WidgetInfo::labeled(Role::Slider, true, format!("vertical scale of {}", plot.name()))
    });

    let mut touches = Vec::new();
    if plot.over.is_none() {
        mouse(ui, &response, plot, &drawing, inside, source, &mut touches);
    }
    stretch_upright(ui, &scale, &response, plot, &drawing, inside);
    if response.clicked() || response.drag_started() || scale.drag_started() {
        todo.push(Todo::Focus(plot.id));
    }
    if !drawing.note.is_empty() && plot.lines.is_empty() {
        drawing.grid = false;
    }
    figure::paint(&drawing, ui, source.theme, within);
    if let Some(Grip::Box(from)) = grip(ui, &response)
        && let Some(to) = ui.input(|i| i.pointer.latest_pos())
    {
        let rect = Rect::from_two_pos(from, to).intersect(inside);
        ui.painter().rect_filled(rect, 0.0, source.theme.accent().gamma_multiply(0.15));
        ui.painter().rect_stroke(
            rect,
            0.0,
            Stroke::new(1.0, source.theme.accent()),
            egui::StrokeKind::Inside,
        );
    }
    tell_flag(ui, &response, &drawing, inside);
    context_menu(&response, plot, &drawing, inside, source, (&mut touches, todo));
    names(ui, plot, &shown, inside, beside, todo);
    drop_zone(ui, plot, whole, source.theme.accent(), todo);
    touches
}

/// The room of the figure, and that of a legend beside it.
fn split(ui: &Ui, plot: &Plot, shown: &legend::Shown<'_>, whole: Rect) -> (Rect, Option<Rect>) {
    if plot.legend != Legend::Beside || plot.lines.is_empty() {
        return (whole, None);
    }
    let size = legend::size(ui, plot, shown, vec2(whole.width() * 0.55, whole.height()));
    let at = whole.right() - size.x;
    let beside = Rect::from_min_max(pos2(at, whole.top() + 6.0), whole.max);
    (Rect::from_min_max(whole.min, pos2(at, whole.bottom())), Some(beside))
}

fn names(
    ui: &mut Ui,
    plot: &mut Plot,
    shown: &legend::Shown<'_>,
    inside: Rect,
    beside: Option<Rect>,
    todo: &mut Vec<Todo>,
) {
    if plot.lines.is_empty() || plot.legend == Legend::Off {
        return;
    }
    let place = beside.unwrap_or_else(|| {
        let most = vec2(inside.width() * 0.7, inside.height() - 26.0);
        Rect::from_min_size(inside.min + vec2(6.0, 16.0), legend::size(ui, plot, shown, most))
    });
    if place.width() < 60.0 || place.height() < 16.0 {
        return;
    }
    if beside.is_none() {
        let ground = shown.theme.field().gamma_multiply(0.82);
        ui.painter().rect_filled(place.expand(2.0), 3.0, ground);
    }
    let mut child = ui.new_child(UiBuilder::new().max_rect(place).id_salt(("names", plot.id)));
    child.set_clip_rect(place.intersect(ui.clip_rect()));
    legend::show(&mut child, plot, shown, todo);
}

/// What the present drag does, kept from its begin to its end.
fn grip(ui: &Ui, response: &Response) -> Option<Grip> {
    ui.data(|data| data.get_temp(response.id))
}

fn mouse(
    ui: &Ui,
    response: &Response,
    plot: &mut Plot,
    drawing: &figure::Figure,
    inside: Rect,
    source: &Source<'_>,
    touches: &mut Vec<Touch>,
) {
    let x_at = |pos: Pos2| drawing.x.value(f64::from((pos.x - inside.left()) / inside.width()));
    let y_at = |pos: Pos2| drawing.y.value(f64::from((inside.bottom() - pos.y) / inside.height()));
    let pointer = response.hover_pos().or(response.interact_pointer_pos());
    if let Some(pos) = pointer {
        touches.push(Touch::At(x_at(pos)));
    }
    let near = |pos: Pos2| {
        let at = |x: Option<f64>| x.is_some_and(|x| (figure_x(drawing, inside, x) - pos.x).abs() < 5.0);
        if at(source.time.a) { Some('A') } else { at(source.time.b).then_some('B') }
    };
    if let Some(pos) = pointer.filter(|pos| near(*pos).is_some()) {
        let _ = pos;
        ui.set_cursor_icon(egui::CursorIcon::ResizeHorizontal);
    }
    if response.drag_started()
        && let Some(origin) = ui.input(|i| i.pointer.press_origin())
    {
        let boxed = response.drag_started_by(PointerButton::Secondary) || ui.input(|i| i.modifiers.command);
        let grip = match near(origin) {
            _ if boxed => Grip::Box(origin),
            Some(name) => Grip::Cursor(name),
            None => Grip::View,
        };
        ui.data_mut(|data| data.insert_temp(response.id, grip));
    }
    let present = grip(ui, response);
    if response.dragged() {
        match (present, pointer) {
            (Some(Grip::View), _) => {
                let by = response.drag_delta();
                let span = drawing.x.to - drawing.x.from;
                if by.x != 0.0 {
                    touches.push(Touch::Pan(-f64::from(by.x / inside.width()) * span));
                }
                if plot.limits.is_some() {
                    let share = f64::from(by.y / inside.height());
                    plot.limits = Some([drawing.y.value(share), drawing.y.value(1.0 + share)]);
                }
            }
            (Some(Grip::Cursor(name)), Some(pos)) => touches.push(Touch::Cursor(name, Some(x_at(pos)))),
            _ => {}
        }
    }
    if response.drag_stopped() {
        if let (Some(Grip::Box(from)), Some(to)) = (present, ui.input(|i| i.pointer.latest_pos())) {
            let (from, to) = (from.clamp(inside.min, inside.max), to.clamp(inside.min, inside.max));
            if (from.x - to.x).abs() > 4.0 {
                touches.push(Touch::Show(x_at(from), x_at(to)));
            }
            if (from.y - to.y).abs() > 12.0 && !plot.normalised {
                let (low, high) = (y_at(pos2(0.0, from.y.max(to.y))), y_at(pos2(0.0, from.y.min(to.y))));
                plot.limits = Some([low, high]);
            }
        }
        ui.data_mut(|data| data.remove::<Grip>(response.id));
    }
    if response.double_clicked() {
        touches.push(Touch::Slide);
        plot.limits = None;
    }
    if response.hovered()
        && let Some(pos) = pointer
    {
        let (scroll, zoom, modifiers) = ui.input(|i| (i.smooth_scroll_delta(), i.zoom_delta(), i.modifiers));
        if zoom == 1.0 && scroll.y != 0.0 && !modifiers.shift {
            touches.push(Touch::Zoom((-f64::from(scroll.y) / 300.0).exp(), x_at(pos)));
        }
        if scroll.x != 0.0 {
            let span = drawing.x.to - drawing.x.from;
            touches.push(Touch::Pan(-f64::from(scroll.x / inside.width()) * span));
        }
    }
}

fn figure_x(drawing: &figure::Figure, inside: Rect, x: f64) -> f32 {
    inside.left() + (drawing.x.share(x) * f64::from(inside.width())) as f32
}

/// The vertical axis: the wheel over it, or with Ctrl over the plot, zooms; a drag moves it; a double click lets it
/// fit itself.
fn stretch_upright(
    ui: &Ui,
    scale: &Response,
    response: &Response,
    plot: &mut Plot,
    drawing: &figure::Figure,
    inside: Rect,
) {
    if plot.normalised {
        return;
    }
    let wheel = if scale.hovered() { ui.input(|i| i.smooth_scroll_delta().y) } else { 0.0 };
    let pinch = if scale.hovered() || response.hovered() { ui.input(|i| i.zoom_delta()) } else { 1.0 };
    let factor = (-f64::from(wheel) / 300.0).exp() / f64::from(pinch);
    if factor != 1.0
        && let Some(pos) = scale.hover_pos().or(response.hover_pos())
    {
        let center = f64::from((inside.bottom() - pos.y) / inside.height());
        let value = |share: f64| drawing.y.value(center + (share - center) * factor);
        plot.limits = limits(value(0.0), value(1.0));
    }
    if scale.dragged() && scale.drag_delta().y != 0.0 {
        let share = f64::from(scale.drag_delta().y / inside.height());
        plot.limits = limits(drawing.y.value(share), drawing.y.value(1.0 + share));
    }
    if scale.double_clicked() {
        plot.limits = None;
    }
    if scale.hovered() {
        ui.set_cursor_icon(egui::CursorIcon::ResizeVertical);
    }
}

/// Limits as far as there are such.
fn limits(low: f64, high: f64) -> Option<[f64; 2]> {
    (low.is_finite() && high.is_finite() && low < high).then_some([low, high])
}

fn tell_flag(ui: &Ui, response: &Response, drawing: &figure::Figure, inside: Rect) {
    let Some(pos) = response.hover_pos().filter(|pos| pos.y < inside.top() + 16.0) else { return };
    let near = |flag: &&figure::Flag| {
        (-2.0..=figure::FLAG_ROOM as f32).contains(&(pos.x - figure_x(drawing, inside, flag.at)))
    };
    if let Some(flag) = drawing.flags.iter().rev().find(near) {
        let layer = ui.layer_id();
        egui::Tooltip::always_open(
            ui.ctx().clone(),
            layer,
            response.id.with("flag"),
            egui::PopupAnchor::Pointer,
        )
        .show(|ui| ui.label(&flag.text));
    }
}

fn context_menu(
    response: &Response,
    plot: &mut Plot,
    drawing: &figure::Figure,
    inside: Rect,
    source: &Source<'_>,
    (touches, todo): (&mut Vec<Touch>, &mut Vec<Todo>),
) {
    response.context_menu(|ui| {
        let at = ui.ctx().data(|data| data.get_temp::<f64>(response.id.with("menu")));
        let mut put = |ui: &mut Ui, name: char| {
            if let Some(at) = at
                && plot.over.is_none()
                && ui.button(format!("Put cursor {name} here")).clicked()
            {
                touches.push(Touch::Cursor(name, Some(at)));
                ui.close();
            }
        };
        put(ui, 'A');
        put(ui, 'B');
        if (source.time.a.is_some() || source.time.b.is_some())
            && ui.button("Take cursors A and B away").clicked()
        {
            touches.extend([Touch::Cursor('A', None), Touch::Cursor('B', None)]);
            ui.close();
        }
        ui.separator();
        super::menu::plot(ui, plot, todo);
    });
    if response.secondary_clicked()
        && let Some(pos) = response.interact_pointer_pos()
    {
        let x = drawing.x.value(f64::from((pos.x - inside.left()) / inside.width()));
        response.ctx.data_mut(|data| data.insert_temp(response.id.with("menu"), x));
    }
}

/// Where something that is dragged over a rectangle would go.
fn side(rect: Rect, pos: Pos2) -> Side {
    let (x, y) = ((pos.x - rect.left()) / rect.width(), (pos.y - rect.top()) / rect.height());
    let edges = [(x, Side::Left), (1.0 - x, Side::Right), (y, Side::Above), (1.0 - y, Side::Below)];
    let nearest = edges.into_iter().min_by(|a, b| a.0.total_cmp(&b.0));
    nearest.filter(|(far, _)| *far < 0.2).map_or(Side::Onto, |(_, side)| side)
}

/// Shows where dragged curves would go, and takes them.
fn drop_zone(ui: &Ui, plot: &Plot, whole: Rect, accent: Color32, todo: &mut Vec<Todo>) {
    let Some(dragged) = DragAndDrop::payload::<Dragged>(ui.ctx()) else { return };
    let Some(pos) = ui.input(|i| i.pointer.latest_pos()).filter(|pos| whole.contains(*pos)) else { return };
    let side = side(whole, pos);
    if dragged.from == Some(plot.id) && side == Side::Onto {
        return;
    }
    let center = whole.center();
    let preview = match side {
        Side::Onto => whole,
        Side::Left => Rect::from_min_max(whole.min, pos2(center.x, whole.bottom())),
        Side::Right => Rect::from_min_max(pos2(center.x, whole.top()), whole.max),
        Side::Above => Rect::from_min_max(whole.min, pos2(whole.right(), center.y)),
        Side::Below => Rect::from_min_max(pos2(whole.left(), center.y), whole.max),
    };
    ui.painter().rect_filled(preview, 2.0, accent.gamma_multiply(0.2));
    ui.painter().rect_stroke(preview, 2.0, Stroke::new(2.0, accent), egui::StrokeKind::Inside);
    if ui.input(|i| i.pointer.any_released())
        && let Some(dragged) = DragAndDrop::take_payload::<Dragged>(ui.ctx())
    {
        todo.push(Todo::Drop(Dragged::clone(&dragged), plot.id, side));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_adds_and_the_edges_split() {
        let rect = Rect::from_min_size(pos2(100.0, 50.0), vec2(400.0, 200.0));
        for (pos, wanted) in [
            (rect.center(), Side::Onto),
            (pos2(110.0, 150.0), Side::Left),
            (pos2(495.0, 150.0), Side::Right),
            (pos2(300.0, 55.0), Side::Above),
            (pos2(300.0, 245.0), Side::Below),
        ] {
            assert_eq!(side(rect, pos), wanted, "{pos:?}");
        }
        assert_eq!(limits(1.0, f64::NAN), None);
        assert_eq!(limits(2.0, 1.0), None);
    }
}
