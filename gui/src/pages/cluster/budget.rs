//! Where the time of a round goes, against the time there is.

use crate::{
    data::Axis,
    pages::Context,
    theme::Theme,
    widgets::{mesh, scale::quantile, text},
};
use egui::{Align2, Color32, FontId, Mesh, Rect, Role, Sense, Ui, WidgetInfo, pos2, vec2};
use phalanx::observer::RoundView;
use std::collections::VecDeque;

/// The stages of a round, in their order.
const STAGES: [(&str, &str); 6] = [
    ("copy in", "The client brings its inputs from the device"),
    ("post", "The client tells all workers"),
    ("wake", "Until the first worker turned to it"),
    ("solve", "Until the slowest row had finished"),
    ("gather", "Until the last answer was in the client's tables"),
    ("copy out", "The client hands its outputs to the device"),
];

fn stages(round: &RoundView) -> [f64; 6] {
    let s = &round.stages;
    [round.copy_in_us, s.post_us, s.wake_us, s.solve_us, s.gather_us, round.copy_out_us]
}

fn total(round: &RoundView) -> f64 {
    stages(round).iter().sum()
}

fn color(theme: &Theme, stage: usize) -> Color32 {
    theme.curve([4, 3, 1, 0, 2, 7][stage])
}

/// What some rounds came to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    /// Rounds.
    pub rounds: usize,
    /// Mean of each stage, µs.
    pub mean: [f64; 6],
    /// Rounds a second, by the wall clock; NaN of fewer than two.
    pub rate: f64,
    /// Simulated seconds a second; NaN of fewer than two.
    pub realtime: f64,
    /// 99th percentile of the time between two triggers, µs.
    pub interval_p99_us: f64,
}

/// Sums rounds up, oldest first.
pub fn summary<'a>(rounds: impl Iterator<Item = &'a RoundView> + Clone) -> Summary {
    let count = rounds.clone().count();
    let mut mean = [0.0; 6];
    for round in rounds.clone() {
        mean.iter_mut().zip(stages(round)).for_each(|(sum, us)| *sum += us / count as f64);
    }
    let (first, last) = (rounds.clone().next(), rounds.clone().last());
    let (mut rate, mut realtime) = (f64::NAN, f64::NAN);
    if let (Some(first), Some(last)) = (first, last) {
        let passed = last.posted_ns.saturating_sub(first.posted_ns) as f64 * 1e-9;
        if passed > 0.0 && count > 1 {
            rate = (last.round.saturating_sub(first.round)) as f64 / passed;
            realtime = (last.sim_time_s - first.sim_time_s) / passed;
        }
    }
    let mut intervals: Vec<f64> = rounds
        .clone()
        .zip(rounds.skip(1))
        .filter(|(a, b)| b.round == a.round + 1)
        .map(|(a, b)| b.posted_ns.saturating_sub(a.posted_ns) as f64 * 1e-3)
        .collect();
    Summary { rounds: count, mean, rate, realtime, interval_p99_us: quantile(&mut intervals, 0.99) }
}

/// The round whose total is the 99th percentile: one that was, not a sum of the worst of each stage.
pub fn p99<'a>(rounds: impl Iterator<Item = &'a RoundView>) -> Option<&'a RoundView> {
    let mut all: Vec<_> = rounds.collect();
    let index = (all.len().checked_sub(1)? as f64 * 0.99).round() as usize;
    Some(*all.select_nth_unstable_by(index, |a, b| total(a).total_cmp(&total(b))).1)
}

/// Bars, figures, and the last rounds one by one.
pub fn show(ui: &mut Ui, cx: &mut Context<'_>) {
    let budget_us = cx.store.manifest.config.cluster_dt * 1e6;
    ui.strong("Where a round's time goes");
    let now = cx.timeline.now(cx.store.now);
    let from = now.on(cx.timeline.axis) - cx.timeline.window;
    let past = until(&cx.store.rounds, now.round);
    let begin = past.partition_point(|r| on(r, cx) < from).min(past.len().saturating_sub(1));
    let window = || past[begin..].iter().copied();
    let Some(last) = past.last().copied() else {
        ui.weak("No round yet: the budget of each appears with the client's first solve().");
        return;
    };
    let sum = summary(window());
    if sum.rate.is_finite() {
        ui.label(format!(
            "{} rounds/s · every {} (p99 {}) · {:.2} × real time",
            text::number(sum.rate),
            text::duration_us(1e6 / sum.rate),
            text::duration_us(sum.interval_p99_us),
            sum.realtime
        ))
        .on_hover_text(format!("Over {} in the window", text::count(sum.rounds, "round")));
    }
    let slow = p99(window());
    let widest = slow.map_or(0.0, total).max(total(last)).max(budget_us * 1.02);
    bar(ui, cx.theme, "last", &stages(last), (budget_us, widest), &format!("round {}", last.round));
    if sum.rounds > 1 {
        let over = format!("over {}", text::count(sum.rounds, "round"));
        bar(ui, cx.theme, "mean", &sum.mean, (budget_us, widest), &over);
    }
    if let Some(slow) = slow.filter(|_| sum.rounds > 1) {
        let which = format!("round {}: one in a hundred takes longer", slow.round);
        bar(ui, cx.theme, "p99", &stages(slow), (budget_us, widest), &which);
    }
    keys(ui, cx.theme);
    strip(ui, cx, &past, budget_us);
}

/// Where a round lies on the timeline.
fn on(round: &RoundView, cx: &Context<'_>) -> f64 {
    match cx.timeline.axis {
        Axis::Sim => round.sim_time_s,
        Axis::Rounds => round.round as f64,
        Axis::Wall => {
            let newest = cx.store.rounds.back().map_or(0, |r| r.posted_ns);
            cx.store.now.wall_s - newest.saturating_sub(round.posted_ns) as f64 * 1e-9
        }
    }
}

/// The rounds until one, oldest first, since time or their count last began anew.
fn until(rounds: &VecDeque<RoundView>, last: u64) -> Vec<&RoundView> {
    let mut next: Option<&RoundView> = None;
    let mut past: Vec<_> = rounds
        .iter()
        .rev()
        .skip_while(|r| r.round > last)
        .take_while(|r| {
            let goes_on = next.is_none_or(|n| r.round < n.round && r.sim_time_s <= n.sim_time_s);
            next = Some(r);
            goes_on
        })
        .collect();
    past.reverse();
    past
}

const NAME: f32 = 46.0;
const FIGURE: f32 = 88.0;

fn bar(
    ui: &mut Ui,
    theme: &Theme,
    name: &str,
    stages: &[f64; 6],
    (budget_us, widest): (f64, f64),
    about: &str,
) {
    let (outer, response) = ui.allocate_exact_size(vec2(ui.available_width(), 15.0), Sense::hover());
    let sum: f64 = stages.iter().sum();
    let words = format!("{name}: {} of {}", text::duration_us(sum), text::duration_us(budget_us));
    response.widget_info(|| WidgetInfo::labeled(Role::Image, true, &words));
    let room = Rect::from_min_max(outer.min + vec2(NAME, 1.0), outer.max - vec2(FIGURE, 1.0));
    let (painter, visuals) = (ui.painter(), ui.visuals());
    let font = FontId::proportional(11.5);
    painter.text(outer.left_center(), Align2::LEFT_CENTER, name, font.clone(), visuals.weak_text_color());
    let over = sum > budget_us;
    let ink = if over { visuals.warn_fg_color } else { visuals.text_color() };
    let figure = format!("{}{}", if over { "over: " } else { "" }, text::duration_us(sum));
    painter.text(outer.right_center(), Align2::RIGHT_CENTER, figure, font, ink);
    painter.rect_filled(room, 2.0, visuals.extreme_bg_color);
    let mut mesh = Mesh::default();
    let mut x = room.min.x;
    for (stage, us) in stages.iter().enumerate() {
        let width = (us / widest) as f32 * room.width();
        let part = Rect::from_min_size(pos2(x, room.min.y), vec2(width, room.height()));
        mesh::rect(&mut mesh, part, color(theme, stage));
        x += width;
    }
    painter.add(mesh);
    let line = room.min.x + (budget_us / widest) as f32 * room.width();
    painter.vline(line, room.y_range().expand(2.0), (1.5, visuals.strong_text_color()));
    response.on_hover_ui(|ui| {
        ui.strong(format!("{words} ({about})"));
        table(ui, theme, stages);
    });
}

fn table(ui: &mut Ui, theme: &Theme, stages: &[f64; 6]) {
    egui::Grid::new("stages").num_columns(3).spacing([10.0, 2.0]).show(ui, |ui| {
        for (stage, (name, doc)) in STAGES.iter().enumerate() {
            swatch(ui, color(theme, stage));
            ui.label(format!("{name}  {}", text::duration_us(stages[stage])));
            ui.weak(*doc);
            ui.end_row();
        }
    });
}

fn swatch(ui: &mut Ui, color: Color32) {
    let (rect, _) = ui.allocate_exact_size(vec2(9.0, 9.0), Sense::hover());
    ui.painter().rect_filled(rect, 1.0, color);
}

fn keys(ui: &mut Ui, theme: &Theme) {
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing = vec2(4.0, 0.0);
        for (stage, (name, doc)) in STAGES.iter().enumerate() {
            swatch(ui, color(theme, stage));
            ui.small(*name).on_hover_text(*doc);
            ui.add_space(4.0);
        }
    });
}

/// The slowest round of each column of the strip, oldest first; the newest `columns` rounds where they fit.
pub fn columns<'a>(rounds: &[&'a RoundView], columns: usize) -> Vec<&'a RoundView> {
    let every = rounds.len().div_ceil(columns.max(1)).max(1);
    let slowest =
        |chunk: &[&'a RoundView]| chunk.iter().copied().max_by(|a, b| total(a).total_cmp(&total(b)));
    rounds.chunks(every).filter_map(slowest).collect()
}

/// Rounds that the strip shows.
const SHOWN: usize = 400;

fn strip(ui: &mut Ui, cx: &mut Context<'_>, past: &[&RoundView], budget_us: f64) {
    let size = vec2(ui.available_width(), (0.1 * ui.ctx().content_rect().height()).clamp(64.0, 110.0));
    let (outer, response) = ui.allocate_exact_size(size, Sense::click());
    response.widget_info(|| WidgetInfo::labeled(Role::Image, true, "last rounds"));
    let frame = Rect::from_min_max(outer.min + vec2(NAME, 2.0), outer.max - vec2(1.0, 1.0));
    let shown = columns(&past[past.len().saturating_sub(SHOWN)..], (frame.width() / 2.0) as usize);
    let top = shown.iter().map(|r| total(r)).fold(budget_us, f64::max) * 1.05;
    let (painter, visuals) = (ui.painter().with_clip_rect(outer), ui.visuals());
    painter.rect_filled(frame, 2.0, visuals.extreme_bg_color);
    let wide = frame.width() / shown.len().max(1) as f32;
    let height = |us: f64| (us / top) as f32 * frame.height();
    let mut mesh = Mesh::default();
    for (n, round) in shown.iter().enumerate() {
        let (left, mut y) = (frame.min.x + n as f32 * wide, frame.max.y);
        for (stage, us) in stages(round).iter().enumerate() {
            let next = y - height(*us);
            let part = Rect::from_min_max(
                pos2(left, next),
                pos2(left + wide - if wide > 4.0 { 1.0 } else { 0.0 }, y),
            );
            mesh::rect(&mut mesh, part, color(cx.theme, stage));
            y = next;
        }
        // Rounds that ended badly have a mark on top, whatever they took.
        if round.failed + round.late + round.dead > 0 {
            let mark =
                Rect::from_min_max(pos2(left, frame.min.y), pos2(left + wide.max(2.0), frame.min.y + 4.0));
            mesh::rect(&mut mesh, mark, visuals.error_fg_color);
        }
    }
    painter.add(mesh);
    let line = frame.max.y - height(budget_us);
    painter.hline(frame.x_range(), line, (1.0, visuals.strong_text_color()));
    let font = FontId::proportional(10.0);
    let zero = frame.max.y - 5.0;
    for (y, us) in [(line.min(zero), budget_us), (zero, 0.0)] {
        if us == 0.0 && zero - line < 11.0 {
            continue;
        }
        let label = if us == 0.0 { "0".into() } else { text::duration_us(us) };
        let at = pos2(frame.min.x - 3.0, y.max(frame.min.y + 5.0));
        painter.text(at, Align2::RIGHT_CENTER, label, font.clone(), visuals.weak_text_color());
    }
    let under = response.hover_pos().filter(|at| frame.contains(*at));
    let Some(round) = under.and_then(|at| shown.get(((at.x - frame.min.x) / wide) as usize)) else { return };
    if response.clicked() {
        cx.timeline.paused = Some(cx.store.stamp(round.round));
    }
    let theme = cx.theme;
    response.on_hover_ui_at_pointer(|ui| {
        ui.strong(format!("round {}: {}", round.round, text::duration_us(total(round))));
        ui.label(format!(
            "{} answered, {} failed, {} late, {} dead",
            round.answered, round.failed, round.late, round.dead
        ));
        table(ui, theme, &stages(round));
        ui.weak("Click to freeze every page at this round.");
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use phalanx::Stages;

    fn rounds(n: u64) -> Vec<RoundView> {
        let round = |n: u64| RoundView {
            round: n,
            posted_ns: 1_000_000 + n * 10_000_000,
            sim_time_s: n as f64 * 0.005,
            stages: Stages {
                post_us: 1.0,
                wake_us: 2.0,
                solve_us: n as f64,
                gather_us: 3.0,
                total_us: 6.0 + n as f64,
            },
            copy_in_us: 4.0,
            copy_out_us: 5.0,
            ..RoundView::default()
        };
        (1..=n).map(round).collect()
    }

    #[test]
    fn rounds_are_summed_up() {
        let rounds = rounds(100);
        let sum = summary(rounds.iter());
        assert_eq!(sum.rounds, 100);
        assert!((sum.rate - 100.0).abs() < 1e-6 && (sum.realtime - 0.5).abs() < 1e-6, "{sum:?}");
        assert!((sum.interval_p99_us - 10_000.0).abs() < 1e-6);
        assert!((sum.mean[3] - 50.5).abs() < 1e-9 && (sum.mean[0] - 4.0).abs() < 1e-9);
        assert_eq!(p99(rounds.iter()).unwrap().round, 99);
        assert!(p99([].iter()).is_none());
        let none = summary([].iter());
        assert!(none.rate.is_nan() && none.mean == [0.0; 6]);
        assert!(summary(rounds[..1].iter()).rate.is_nan());
    }

    #[test]
    fn a_count_that_begins_anew_is_another_past() {
        let all: VecDeque<_> = rounds(50).into_iter().chain(rounds(20)).collect();
        let past = until(&all, 20);
        assert_eq!((past.len(), past[0].round, past[19].round), (20, 1, 20));
        assert_eq!(until(&all, 7).len(), 7);
        assert!(until(&all, 0).is_empty());
    }

    #[test]
    fn the_slowest_of_a_column_is_shown() {
        let rounds = rounds(100);
        let all: Vec<_> = rounds.iter().collect();
        assert_eq!(columns(&all, 200).len(), 100);
        let few = columns(&all, 10);
        assert_eq!(
            few.iter().map(|r| r.round).collect::<Vec<_>>(),
            (1..=10).map(|n| 10 * n).collect::<Vec<_>>()
        );
        assert!(columns(&[], 10).is_empty());
    }
}
