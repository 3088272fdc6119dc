//! Plots to files, layouts from files.

use super::{
    PlotsPage,
    build::{self, Source},
    layout::{Layout, Plot},
};
use crate::{
    data::{Axis, Curve},
    export::{Content, Done, Format, Samples},
    pages::{Action, Context},
    theme::Theme,
    timeline::{Places, Timeline},
};
use egui::Ui;

impl PlotsPage {
    pub(super) fn ask_export(&mut self, which: Option<u64>) {
        self.export.all_plots = which.is_none() && self.tile_of(self.focused).is_none();
        if let Some(id) = which {
            self.focused = id;
        }
        self.live.exporting = Some(which);
    }

    pub(super) fn write(&mut self, which: Option<u64>, ui: &Ui, cx: &Context<'_>, places: &Places) {
        let now = self.live.now(cx);
        let dialog = self.export.clone();
        let theme = if dialog.light { Theme::light() } else { Theme::dark() };
        let layout = self.layout.clone();
        let plots: Vec<_> =
            layout.plots().into_iter().filter(|plot| which.is_none_or(|id| plot.id == id)).collect();
        let range = |plot: &Plot, time: &Timeline| {
            if dialog.everything { whole(plot, cx, time.axis) } else { time.range(now) }
        };
        let time_of = |plot: &Plot| self.live.held.get(&plot.id).unwrap_or(&*cx.timeline);
        let mut files = Vec::new();
        if dialog.format.is_table() {
            let Some(first) = plots.first() else { return };
            let time = time_of(first);
            let range = if dialog.everything { f64::NEG_INFINITY..=f64::INFINITY } else { time.range(now) };
            let mut curves: Vec<&Curve> = plots.iter().flat_map(|plot| shown(plot)).collect();
            curves.sort();
            curves.dedup();
            let samples = Samples::of(cx.store, curves, (time.axis, range));
            files.push((dialog.file(None), Content::Samples(samples), dialog.format));
        } else {
            for plot in &plots {
                let time = time_of(plot);
                let source = Source {
                    store: cx.store,
                    theme: &theme,
                    time,
                    now,
                    places,
                    hidden_marks: &layout.hidden_marks,
                    all_rows: layout.all_rows,
                };
                let bins =
                    (dialog.size[0] * if dialog.format == Format::Png { dialog.scale } else { 2.0 }) as usize;
                let (mut figure, _) = build::figure(plot, &source, &range(plot, time), bins, false);
                figure.title = plot.name();
                figure.cursors.retain(|cursor| cursor.strong);
                let several = (plots.len() > 1).then(|| format!("{}-{}", plot.id, plot.name()));
                let content = Content::Figure(Box::new(figure), dialog.size, dialog.scale, theme.clone());
                files.push((dialog.file(several.as_deref()), content, dialog.format));
            }
        }
        if !files.is_empty() {
            self.live.jobs.write(files, ui.ctx());
        }
    }

    pub(super) fn finish_jobs(&mut self, cx: &mut Context<'_>) {
        for done in self.live.jobs.done() {
            match done {
                Done::Said(text) => cx.actions.push(Action::Say(text)),
                Done::Read(path, text) => match Layout::from_text(&text) {
                    Ok(mut layout) => {
                        if let Some(timeline) = layout.timeline.take() {
                            *cx.timeline = timeline;
                        }
                        self.set_layout(layout);
                        cx.actions.push(Action::Say(format!("Opened {}.", path.display())));
                    }
                    Err(why) => cx.actions.push(Action::Say(format!("{}: {why}", path.display()))),
                },
            }
        }
    }
}

/// The curves of a plot that are drawn.
pub(super) fn shown(plot: &Plot) -> impl Iterator<Item = &Curve> {
    plot.lines.iter().filter(|line| line.shown).map(|line| &line.curve).chain(&plot.over)
}

/// From the first to the last sample of a plot.
fn whole(plot: &Plot, cx: &Context<'_>, axis: Axis) -> std::ops::RangeInclusive<f64> {
    let spans = shown(plot).filter_map(|curve| cx.store.series(curve)?.span(axis));
    let ends = spans.map(|span| (*span.start(), *span.end()));
    let whole = ends.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1))).unwrap_or((0.0, 1.0));
    whole.0..=whole.1
}
