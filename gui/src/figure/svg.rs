//! A figure as SVG: text as text, sizes in pixels, nothing from elsewhere.

use super::{
    Figure, Trace,
    paint::{place, x_of, y_of},
};
use crate::theme::Theme;
use egui::{Color32, Rect, pos2, vec2};
use std::fmt::Write;

/// Writes a figure of a size in pixels.
pub fn svg(figure: &Figure, size: [f32; 2], theme: &Theme) -> String {
    // The names stand below, in as many columns as there is room for.
    let width = size[0].max(120.0);
    let names = figure.names(width);
    let (legend, whole) = (names.height, vec2(width, size[1].max(90.0 + names.height)));
    let within = Rect::from_min_size(pos2(0.0, 0.0), whole - vec2(0.0, legend));
    let inside = place(within, !figure.title.is_empty());
    let [page, ground, ink, weak, frame] =
        [theme.ground(), theme.field(), theme.text(), theme.weak(), theme.line()].map(hex);
    let (ink, weak) = (ink.as_str(), weak.as_str());
    let mut out = String::new();
    let mut write = Writer { out: &mut out };
    let (w, h) = (whole.x, whole.y);
    write.raw(&format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{w}\" height=\"{h}\" viewBox=\"0 0 {w} {h}\" \
         font-family=\"Helvetica, Arial, sans-serif\" font-size=\"12\">\n"
    ));
    let title = if figure.title.is_empty() { "plot" } else { &figure.title };
    write.raw(&format!("<title>{}</title>\n", escape(title)));
    write.rect(Rect::from_min_size(pos2(0.0, 0.0), whole), &page);
    write.rect(inside, &ground);
    if !figure.title.is_empty() {
        write.text(pos2(inside.left(), 17.0), "start", ink, "font-size=\"14\"", &figure.title);
    }
    axes(&mut write, figure, inside, weak);
    write.raw(&format!(
        "<clipPath id=\"inside\"><rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"/></clipPath>\n\
         <g clip-path=\"url(#inside)\" fill=\"none\" stroke-linejoin=\"round\">\n",
        inside.left(),
        inside.top(),
        inside.width(),
        inside.height()
    ));
    for trace in &figure.lines {
        line(&mut write, trace, figure, inside);
    }
    for cursor in &figure.cursors {
        let x = x_of(&figure.x, inside, cursor.at);
        write.segment(
            [pos2(x, inside.top()), pos2(x, inside.bottom())],
            if cursor.strong { ink } else { weak },
            1.0,
        );
        write.text(pos2(x + 3.0, inside.bottom() - 4.0), "start", ink, "font-size=\"10\"", &cursor.name);
    }
    for flag in &figure.flags {
        let x = x_of(&figure.x, inside, flag.at);
        let color = hex(flag.color);
        write.segment([pos2(x, inside.top()), pos2(x, inside.bottom())], &color, 0.6);
        write.raw(&format!("<g><title>{}</title>\n", escape(&flag.text)));
        write.rect(Rect::from_min_size(pos2(x, inside.top()), vec2(11.0, 13.0)), &color);
        let letter = hex(theme.ink_on(flag.color));
        write.text(
            pos2(x + 5.5, inside.top() + 10.0),
            "middle",
            &letter,
            "font-size=\"10\"",
            &flag.letter.to_string(),
        );
        write.raw("</g>\n");
    }
    write.raw("</g>\n");
    write.text(inside.center(), "middle", weak, "", &figure.note);
    write.raw(&format!(
        "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" fill=\"none\" stroke=\"{frame}\"/>\n",
        inside.left(),
        inside.top(),
        inside.width(),
        inside.height()
    ));
    for (n, trace) in names.lines.iter().enumerate() {
        let (x, y) = names.at(n, (0.0, within.bottom(), w)).into();
        write.segment([pos2(x, y), pos2(x + 18.0, y)], &hex(trace.color), 2.5);
        write.text(pos2(x + 24.0, y + 4.0), "start", ink, "", &trace.name);
    }
    write.raw("</svg>\n");
    out
}

fn axes(write: &mut Writer<'_>, figure: &Figure, inside: Rect, weak: &str) {
    write.raw(&format!("<g stroke=\"{weak}\">\n"));
    let xs = figure.x.ticks(f64::from(inside.width()) / 90.0);
    let ys = figure.y.ticks(f64::from(inside.height()) / 36.0);
    let faint =
        |label: &str| if label.is_empty() { "stroke-opacity=\"0.15\"" } else { "stroke-opacity=\"0.3\"" };
    if figure.grid {
        for tick in &xs {
            let x = x_of(&figure.x, inside, tick.at);
            write.path(&[pos2(x, inside.top()), pos2(x, inside.bottom())], faint(&tick.label));
        }
        for tick in &ys {
            let y = y_of(&figure.y, inside, tick.at);
            write.path(&[pos2(inside.left(), y), pos2(inside.right(), y)], faint(&tick.label));
        }
    }
    write.raw("</g>\n");
    for tick in &xs {
        let x = x_of(&figure.x, inside, tick.at);
        write.text(pos2(x, inside.bottom() + 14.0), "middle", weak, "font-size=\"10\"", &tick.label);
    }
    for tick in &ys {
        let y = y_of(&figure.y, inside, tick.at) + 3.5;
        write.text(pos2(inside.left() - 5.0, y), "end", weak, "font-size=\"10\"", &tick.label);
    }
    write.text(
        pos2(inside.center().x, inside.bottom() + 29.0),
        "middle",
        weak,
        "font-size=\"11\"",
        &figure.x.title,
    );
    let (x, y) = (inside.left() - 47.0, inside.center().y);
    let turn = format!("font-size=\"11\" transform=\"rotate(-90 {x} {y})\"");
    write.text(pos2(x, y), "middle", weak, &turn, &figure.y.title);
}

fn line(write: &mut Writer<'_>, trace: &Trace, figure: &Figure, inside: Rect) {
    let (low, high) = (inside.top() - 4.0 * inside.height(), inside.bottom() + 4.0 * inside.height());
    let mut path = String::new();
    let mut down = false;
    for &[x, y] in &trace.points {
        let (x, y) = (x_of(&figure.x, inside, x), y_of(&figure.y, inside, y));
        if !x.is_finite() || y.is_nan() {
            down = false;
            continue;
        }
        let _ = write!(path, "{}{x:.2} {:.2}", if down { 'L' } else { 'M' }, y.clamp(low, high));
        down = true;
    }
    if path.is_empty() {
        return;
    }
    let (color, width) = (hex(trace.color), trace.width);
    let dash = if trace.dashed { " stroke-dasharray=\"5 4\"" } else { "" };
    write.raw(&format!("<path d=\"{path}\" stroke=\"{color}\" stroke-width=\"{width}\"{dash}/>\n"));
    if let Some([x, y]) = trace.ring {
        let (x, y) = (x_of(&figure.x, inside, x), y_of(&figure.y, inside, y));
        if x.is_finite() && y.is_finite() {
            write.raw(&format!(
                "<circle cx=\"{x:.2}\" cy=\"{y:.2}\" r=\"4.5\" stroke=\"{color}\" stroke-width=\"2\"/>\n"
            ));
        }
    }
}

struct Writer<'a> {
    out: &'a mut String,
}

impl Writer<'_> {
    fn raw(&mut self, text: &str) {
        self.out.push_str(text);
    }

    fn rect(&mut self, at: Rect, color: &str) {
        let (x, y, w, h) = (at.left(), at.top(), at.width(), at.height());
        self.raw(&format!(
            "<rect x=\"{x:.2}\" y=\"{y:.2}\" width=\"{w:.2}\" height=\"{h:.2}\" fill=\"{color}\"/>\n"
        ));
    }

    fn path(&mut self, points: &[egui::Pos2; 2], with: &str) {
        let [a, b] = points;
        self.raw(&format!("<path d=\"M{:.2} {:.2}L{:.2} {:.2}\" {with}/>\n", a.x, a.y, b.x, b.y));
    }

    fn segment(&mut self, points: [egui::Pos2; 2], color: &str, width: f32) {
        self.path(&points, &format!("stroke=\"{color}\" stroke-width=\"{width}\""));
    }

    fn text(&mut self, at: egui::Pos2, anchor: &str, color: &str, with: &str, text: &str) {
        if !text.is_empty() {
            let (x, y, text) = (at.x, at.y, escape(text));
            self.raw(&format!(
                "<text x=\"{x:.2}\" y=\"{y:.2}\" text-anchor=\"{anchor}\" fill=\"{color}\" stroke=\"none\" {with}>{text}</text>\n"
            ));
        }
    }
}

fn hex(color: Color32) -> String {
    let [r, g, b, _] = color.to_array();
    format!("#{r:02x}{g:02x}{b:02x}")
}

/// As text of an XML document: what XML forbids becomes a question mark.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(c),
            '\u{fffe}' | '\u{ffff}' => out.push('?'),
            c if c.is_control() => out.push('?'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{super::*, *};

    fn figure() -> Figure {
        let line = |name: &str, points: Vec<[f64; 2]>| Trace {
            name: name.into(),
            color: Color32::from_rgb(0, 158, 115),
            width: 1.5,
            dashed: false,
            fading: false,
            points,
            ring: None,
        };
        let wave = (0..500).map(|n| f64::from(n) * 0.01).map(|t| [t, (t * 3.0).sin()]).collect();
        let broken = vec![[0.0, 0.5], [1.0, f64::NAN], [2.0, f64::INFINITY], [3.0, -1e300], [4.0, 0.25]];
        Figure {
            title: "a < b & \"c\" \u{1}\u{ffff}".into(),
            x: Ruler::new("simulated time (s)", 0.0..=5.0, false),
            y: Ruler::new("rad", -1.0..=1.0, false),
            lines: vec![line("state.joint_q[FL_hip] #0 (rad)", wave), line("broken <&>", broken)],
            flags: vec![Flag { at: 2.0, color: Color32::RED, letter: 'F', text: "failed: x < 3 & y".into() }],
            cursors: vec![Cursor { at: 2.5, name: "A".into(), strong: true }],
            grid: true,
            note: String::new(),
        }
    }

    #[test]
    fn it_is_xml_with_text_as_text_and_lines_that_break() {
        for theme in [Theme::dark(), Theme::light()] {
            let text = svg(&figure(), [800.0, 400.0], &theme);
            if let Some(folder) = std::env::var_os("PHALANX_PICTURES") {
                let name = format!("figure-{}.svg", theme.dark);
                std::fs::write(std::path::Path::new(&folder).join(name), &text).unwrap();
            }
            let document = roxmltree::Document::parse(&text).unwrap();
            let root = document.root_element();
            assert_eq!(root.attribute("viewBox"), Some("0 0 800 400"));
            let texts: Vec<_> =
                document.descendants().filter(|n| n.has_tag_name("text")).filter_map(|n| n.text()).collect();
            for wanted in
                ["simulated time (s)", "rad", "state.joint_q[FL_hip] #0 (rad)", "broken <&>", "A", "1.0"]
            {
                assert!(texts.contains(&wanted), "{wanted}: {texts:?}");
            }
            let paths: Vec<_> = document
                .descendants()
                .filter(|n| n.has_tag_name("path"))
                .filter_map(|n| n.attribute("d"))
                .collect();
            let broken = paths.iter().find(|d| d.matches('M').count() == 2).expect("the line that is broken");
            assert!(!broken.contains("NaN") && !broken.contains("inf"), "{broken}");
            assert!(paths.iter().any(|d| d.matches('L').count() == 499), "the line that is not");
        }
    }

    #[test]
    fn any_size_and_any_figure_is_written() {
        let mut empty = figure();
        empty.lines.clear();
        empty.x = Ruler::new("", 0.0..=f64::NAN, true);
        for size in [[0.0, 0.0], [100_000.0, 3.0]] {
            roxmltree::Document::parse(&svg(&empty, size, &Theme::dark())).unwrap();
        }
    }
}
