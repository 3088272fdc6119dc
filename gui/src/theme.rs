//! Colours and shapes: dark and light, told apart without seeing red or green, and never by colour alone.

use egui::{
    Color32, Context, CornerRadius, FontDefinitions, FontFamily, FontId, Painter, Pos2, Rect, Response, Role,
    Stroke, Style, TextStyle, ThemePreference, Vec2, Visuals, WidgetInfo, epaint::Shadow,
};
use phalanx::Outcome;

/// What things look like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Theme {
    /// Dark or light.
    pub dark: bool,
}

/// Shapes that say an outcome without colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Glyph {
    /// A plain tile.
    Plain,
    /// A dot.
    Dot,
    /// A cross.
    Cross,
    /// An hourglass, or a clock.
    Clock,
    /// A tile struck out.
    Slash,
    /// An empty frame.
    Hollow,
}

impl Glyph {
    /// All of them.
    pub const ALL: [Glyph; 6] =
        [Glyph::Plain, Glyph::Dot, Glyph::Cross, Glyph::Clock, Glyph::Slash, Glyph::Hollow];
}

const fn rgb(hex: u32) -> Color32 {
    Color32::from_rgb((hex >> 16) as u8, (hex >> 8) as u8, hex as u8)
}

/// Okabe and Ito's colours, brightened or darkened until each stands out from the background.
const CURVES_ON_DARK: [Color32; 8] = [
    rgb(0x56b4e9),
    rgb(0xe69f00),
    rgb(0x1fb58a),
    rgb(0xd98ab8),
    rgb(0x4a90d9),
    rgb(0xe8702a),
    rgb(0xf0e442),
    rgb(0xb4bac2),
];
const CURVES_ON_LIGHT: [Color32; 8] = [
    rgb(0x1f86c0),
    rgb(0xb37400),
    rgb(0x008763),
    rgb(0xb5598f),
    rgb(0x005a94),
    rgb(0xc24f00),
    rgb(0x857b00),
    rgb(0x5c636d),
];

/// Viridis, at equal steps: brightness grows evenly, with and without colour vision.
const RAMP: [Color32; 9] = [
    rgb(0x440154),
    rgb(0x472d7b),
    rgb(0x3b528b),
    rgb(0x2c728e),
    rgb(0x21918c),
    rgb(0x28ae80),
    rgb(0x5ec962),
    rgb(0xaddc30),
    rgb(0xfde725),
];

impl Theme {
    /// Light on dark.
    pub fn dark() -> Self {
        Self { dark: true }
    }

    /// Dark on light.
    pub fn light() -> Self {
        Self { dark: false }
    }

    /// What a context shows at present.
    pub fn of(ctx: &Context) -> Self {
        Self { dark: ctx.theme() == egui::Theme::Dark }
    }

    /// Gives a context this look.
    pub fn apply(&self, ctx: &Context) {
        install(ctx, if self.dark { ThemePreference::Dark } else { ThemePreference::Light });
    }

    fn pick(&self, dark: u32, light: u32) -> Color32 {
        rgb(if self.dark { dark } else { light })
    }

    /// Behind everything.
    pub fn ground(&self) -> Color32 {
        self.pick(0x1b1e23, 0xf6f7f9)
    }

    /// Behind plots, tables and text fields.
    pub fn field(&self) -> Color32 {
        self.pick(0x14161a, 0xffffff)
    }

    /// Of text.
    pub fn text(&self) -> Color32 {
        self.pick(0xdfe3e8, 0x20242a)
    }

    /// Of text that matters less: units, captions, what is empty.
    pub fn weak(&self) -> Color32 {
        self.pick(0x99a1ac, 0x5c646f)
    }

    /// Of thin lines between things, and of grids.
    pub fn line(&self) -> Color32 {
        self.pick(0x343a42, 0xd3d8de)
    }

    /// Of what is chosen, can be clicked, or is now.
    pub fn accent(&self) -> Color32 {
        self.pick(0x6cb8ee, 0x005f9e)
    }

    /// Of what is well.
    pub fn good(&self) -> Color32 {
        self.pick(0x4cc79d, 0x006e50)
    }

    /// Of what wants attention.
    pub fn warning(&self) -> Color32 {
        self.pick(0xf0b840, 0x875500)
    }

    /// Of what went wrong.
    pub fn bad(&self) -> Color32 {
        self.pick(0xf58a52, 0xb03c00)
    }

    /// Of an outcome.
    pub fn outcome(&self, outcome: Outcome) -> (Color32, Glyph) {
        match outcome {
            Outcome::Solved => (self.pick(0x1b8a69, 0x47b592), Glyph::Plain),
            Outcome::Degraded => (self.pick(0xd8cb3a, 0xd6c62a), Glyph::Dot),
            Outcome::Failed => (self.pick(0xd55e00, 0xd55e00), Glyph::Cross),
            Outcome::Late => (self.pick(0xe69f00, 0xe69f00), Glyph::Clock),
            Outcome::Dead => (self.pick(0xcc79a7, 0xb5598f), Glyph::Slash),
            Outcome::Idle => (self.pick(0x59616b, 0xa9b0b8), Glyph::Hollow),
        }
    }

    /// Of the n-th curve of a plot. After eight they come again.
    pub fn curve(&self, n: usize) -> Color32 {
        let colours = if self.dark { CURVES_ON_DARK } else { CURVES_ON_LIGHT };
        colours[n % colours.len()]
    }

    /// Of a share between 0 and 1, dark to bright; what is not finite is grey.
    pub fn ramp(&self, share: f32) -> Color32 {
        if !share.is_finite() {
            return self.pick(0x4a5058, 0xc4c9cf);
        }
        let at = share.clamp(0.0, 1.0) * (RAMP.len() - 1) as f32;
        let below = (at as usize).min(RAMP.len() - 2);
        RAMP[below].lerp_to_gamma(RAMP[below + 1], at - below as f32)
    }

    /// Black or white, whichever is read better on a colour.
    pub fn ink_on(&self, colour: Color32) -> Color32 {
        let (white, black) = (contrast(Color32::WHITE, colour), contrast(Color32::BLACK, colour));
        if white > black { Color32::WHITE } else { Color32::BLACK }
    }

    fn visuals(&self) -> Visuals {
        let mut v = if self.dark { Visuals::dark() } else { Visuals::light() };
        let round = CornerRadius::same(4);
        v.panel_fill = self.ground();
        v.window_fill = self.pick(0x23272d, 0xffffff);
        v.window_stroke = Stroke::new(1.0, self.line());
        v.window_corner_radius = CornerRadius::same(6);
        v.menu_corner_radius = CornerRadius::same(6);
        v.extreme_bg_color = self.field();
        v.text_edit_bg_color = Some(self.field());
        v.faint_bg_color = self.pick(0x21252b, 0xedf0f3);
        v.code_bg_color = self.pick(0x2b3038, 0xe6e9ed);
        v.weak_text_color = Some(self.weak());
        v.hyperlink_color = self.accent();
        v.warn_fg_color = self.warning();
        v.error_fg_color = self.bad();
        v.selection.bg_fill = self.pick(0x1f5580, 0xbcdcf3);
        v.selection.stroke = Stroke::new(1.0, self.pick(0xffffff, 0x10202e));
        v.popup_shadow = Shadow { offset: [0, 3], blur: 10, spread: 0, color: Color32::from_black_alpha(70) };
        v.window_shadow = v.popup_shadow;
        v.slider_trailing_fill = true;
        let text = self.text();
        let w = &mut v.widgets;
        for (state, fill, edge, ink) in [
            (&mut w.noninteractive, self.ground(), self.line(), text),
            (&mut w.inactive, self.pick(0x2d333b, 0xe3e7eb), self.pick(0x3d444d, 0xc6ccd3), text),
            (
                &mut w.hovered,
                self.pick(0x3a424c, 0xd6dce2),
                self.pick(0x6b7683, 0x8f99a5),
                self.pick(0xffffff, 0x000000),
            ),
            (&mut w.active, self.pick(0x46505c, 0xc6d3de), self.accent(), self.pick(0xffffff, 0x000000)),
            (&mut w.open, self.pick(0x2d333b, 0xe3e7eb), self.pick(0x57616c, 0xa7b0ba), text),
        ] {
            state.bg_fill = fill;
            state.weak_bg_fill = fill;
            state.bg_stroke = Stroke::new(1.0, edge);
            state.fg_stroke = Stroke::new(1.0, ink);
            state.corner_radius = round;
            state.expansion = 0.0;
        }
        v
    }

    fn style(&self) -> Style {
        let mut style = Style { visuals: self.visuals(), animation_time: 0.08, ..Style::default() };
        for (text, size, family) in [
            (TextStyle::Small, 11.0, FontFamily::Proportional),
            (TextStyle::Body, 13.0, FontFamily::Proportional),
            (TextStyle::Button, 13.0, FontFamily::Proportional),
            (TextStyle::Heading, 16.0, FontFamily::Proportional),
            (TextStyle::Monospace, 12.5, FontFamily::Monospace),
        ] {
            style.text_styles.insert(text, FontId::new(size, family));
        }
        let spacing = &mut style.spacing;
        spacing.item_spacing = Vec2::new(8.0, 5.0);
        spacing.button_padding = Vec2::new(7.0, 3.0);
        spacing.interact_size = Vec2::new(36.0, 22.0);
        spacing.slider_width = 140.0;
        spacing.indent = 14.0;
        style
    }
}

/// Gives a context both looks, and says which is shown. Signs such as ▲ ▶ ● come from the monospaced font, which has
/// them; the proportional one has none.
pub fn install(ctx: &Context, preference: ThemePreference) {
    let mut fonts = FontDefinitions::default();
    let mono = fonts.families.get(&FontFamily::Monospace).cloned().unwrap_or_default();
    let proportional = fonts.families.entry(FontFamily::Proportional).or_default();
    proportional.extend(mono);
    ctx.set_fonts(fonts);
    ctx.set_style_of(egui::Theme::Dark, Theme::dark().style());
    ctx.set_style_of(egui::Theme::Light, Theme::light().style());
    ctx.set_theme(preference);
}

/// Paints a shape that says an outcome: within a rectangle, over a tile that is filled with what its colour is to
/// say; [`Glyph::Plain`] paints nothing. Good from 5 points of height on.
pub fn paint_glyph(painter: &Painter, rect: Rect, glyph: Glyph, colour: Color32) {
    let side = rect.width().min(rect.height());
    let box_ = Rect::from_center_size(rect.center(), Vec2::splat(side * 0.62));
    let stroke = Stroke::new((side * 0.13).clamp(1.0, 2.5), colour);
    let line = |from: Pos2, to: Pos2| painter.line_segment([from, to], stroke);
    match glyph {
        Glyph::Plain => {}
        Glyph::Dot => {
            painter.circle_filled(box_.center(), side * 0.2, colour);
        }
        Glyph::Cross => {
            line(box_.left_top(), box_.right_bottom());
            line(box_.left_bottom(), box_.right_top());
        }
        Glyph::Clock => {
            painter.circle_stroke(box_.center(), box_.width() * 0.5, stroke);
            line(box_.center(), box_.center() - Vec2::new(0.0, box_.height() * 0.36));
            line(box_.center(), box_.center() + Vec2::new(box_.width() * 0.26, 0.0));
        }
        Glyph::Slash => {
            line(box_.left_bottom(), box_.right_top());
        }
        Glyph::Hollow => {
            painter.rect_stroke(box_, 0.0, stroke, egui::StrokeKind::Inside);
        }
    }
}

/// Gives a widget the name by which tests and screen readers find it.
pub fn named(widget: &Response, role: Role, name: impl ToString) {
    widget.widget_info(|| WidgetInfo::labeled(role, widget.enabled(), name.to_string()));
}

/// How far two colours are apart in brightness, from 1 to 21, as the web's accessibility guidelines count it.
pub fn contrast(a: Color32, b: Color32) -> f32 {
    let luminance = |colour: Color32| {
        let [r, g, b, _] = egui::Rgba::from(colour).to_array();
        0.2126 * r + 0.7152 * g + 0.0722 * b
    };
    let (a, b) = (luminance(a) + 0.05, luminance(b) + 0.05);
    a.max(b) / a.min(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTCOMES: [Outcome; 6] =
        [Outcome::Solved, Outcome::Degraded, Outcome::Failed, Outcome::Late, Outcome::Dead, Outcome::Idle];

    #[test]
    fn text_is_read_and_curves_are_seen_on_both_grounds() {
        for theme in [Theme::dark(), Theme::light()] {
            let v = theme.visuals();
            let grounds = [theme.ground(), theme.field(), v.window_fill, v.faint_bg_color];
            for ground in grounds {
                let words = [
                    theme.text(),
                    theme.weak(),
                    theme.accent(),
                    theme.good(),
                    theme.warning(),
                    theme.bad(),
                    v.hyperlink_color,
                ];
                for word in words {
                    assert!(
                        contrast(word, ground) >= 4.5,
                        "{word:?} on {ground:?}: {}",
                        contrast(word, ground)
                    );
                }
                for n in 0..8 {
                    let curve = theme.curve(n);
                    assert!(
                        contrast(curve, ground) >= 3.0,
                        "{curve:?} on {ground:?}: {}",
                        contrast(curve, ground)
                    );
                }
            }
            for widget in [&v.widgets.inactive, &v.widgets.hovered, &v.widgets.active, &v.widgets.open] {
                assert!(contrast(widget.fg_stroke.color, widget.weak_bg_fill) >= 4.5);
            }
            assert!(contrast(v.selection.stroke.color, v.selection.bg_fill) >= 4.5);
            for outcome in OUTCOMES {
                let (colour, _) = theme.outcome(outcome);
                assert!(contrast(theme.ink_on(colour), colour) >= 4.5, "{outcome:?}");
            }
        }
    }

    #[test]
    fn curves_and_outcomes_differ() {
        for theme in [Theme::dark(), Theme::light()] {
            for i in 0..8 {
                for j in 0..i {
                    assert_ne!(theme.curve(i), theme.curve(j));
                }
            }
            let glyphs: Vec<_> = OUTCOMES.iter().map(|o| theme.outcome(*o).1).collect();
            assert!(Glyph::ALL.iter().all(|glyph| glyphs.contains(glyph)), "one shape for each outcome");
        }
    }

    #[test]
    fn the_ramp_grows_brighter_evenly() {
        let theme = Theme::dark();
        let level = |share: f32| contrast(theme.ramp(share), Color32::BLACK);
        for i in 0..100 {
            let (a, b) = (i as f32 / 100.0, (i + 1) as f32 / 100.0);
            assert!(level(b) >= level(a), "at {a}");
        }
        assert_ne!(theme.ramp(f32::NAN), theme.ramp(0.0));
        assert_eq!(theme.ramp(7.0), theme.ramp(1.0));
    }

    #[test]
    fn every_glyph_can_be_told_from_the_others() {
        let theme = Theme::light();
        let mut seen: Vec<egui::ColorImage> = Vec::new();
        for glyph in Glyph::ALL {
            let image = crate::raster::picture(Vec2::splat(12.0), 1.0, &theme, |ui| {
                paint_glyph(
                    ui.painter(),
                    Rect::from_min_size(Pos2::ZERO, Vec2::splat(12.0)),
                    glyph,
                    theme.text(),
                );
            });
            for other in &seen {
                let apart = image.pixels.iter().zip(&other.pixels).filter(|(a, b)| contrast(**a, **b) > 1.5);
                assert!(apart.count() >= 8, "{glyph:?}");
            }
            seen.push(image);
        }
    }
}
