//! Figures as bars, in SVG: one plot for what is read together.
//!
//! The ground is left clear and all ink is a grey that is read on white and on black.

use std::{fs, path::Path};

use plotters::{
    chart::{ChartBuilder, LabelAreaPosition},
    drawing::IntoDrawingArea,
    element::{EmptyElement, PathElement, Rectangle, Text},
    style::{
        Color, FontFamily, IntoTextStyle, RGBColor, TextStyle,
        text_anchor::{HPos, Pos, VPos},
    },
};
use plotters_svg::SVGBackend;

use crate::{
    Failure,
    figure::{Figure, Unit},
};

const INK: RGBColor = RGBColor(120, 120, 120);
/// What is as it is to be, what is not, and what nothing is said of.
const MET: RGBColor = RGBColor(64, 132, 214);
const MISSED: RGBColor = RGBColor(222, 106, 36);
const OTHER: RGBColor = RGBColor(150, 150, 150);

const WIDTH: u32 = 1_100;
const NAMES: u32 = 500;
const BAR: u32 = 20;
/// Between a bar and what is written beside it, in pixels.
const GAP: i32 = 5;

/// What is read together.
struct Plot {
    file: &'static str,
    heading: &'static str,
    axis: &'static str,
    /// By how much values are divided.
    scale: f64,
    shows: fn(&Figure) -> bool,
}

const PLOTS: [Plot; 9] = [
    Plot {
        file: "layers-time.svg",
        heading: "What each layer adds to a call with a whole answer",
        axis: "nanoseconds; the mark is the target",
        scale: 1.0,
        shows: |figure| {
            figure.unit == Unit::Nanoseconds && figure.id.starts_with("layers/whole/") && !is_of_two(figure)
        },
    },
    Plot {
        file: "two-threads.svg",
        heading: "Two threads at once, beside one",
        axis: "times as long; the mark is the target",
        scale: 1.0,
        shows: |figure| figure.unit == Unit::Times && is_of_two(figure) && figure.at_most.is_some(),
    },
    Plot {
        file: "layers-allocations.svg",
        heading: "What each layer asks of the allocator for a call with a whole answer",
        axis: "allocations; the mark is the target",
        scale: 1.0,
        shows: |figure| figure.unit == Unit::Allocations && figure.id.starts_with("layers/whole/"),
    },
    Plot {
        file: "gateway-ratios.svg",
        heading: "The gateway beside a proxy that only passes on",
        axis: "times as much; the mark is the target",
        scale: 1.0,
        shows: |figure| {
            figure.unit == Unit::Times && ["gateway/", "instructions/"].iter().any(|part| figure.id.starts_with(part))
        },
    },
    Plot {
        file: "gateway-instructions.svg",
        heading: "Instructions of the gateway and of a proxy that only passes on",
        axis: "thousands of instructions",
        scale: 1e3,
        shows: |figure| figure.unit == Unit::Instructions && figure.id.starts_with("instructions/"),
    },
    Plot {
        file: "memory.svg",
        heading: "Resident memory",
        axis: "MB; the mark is the target",
        scale: 1e6,
        shows: |figure| figure.unit == Unit::ResidentBytes && !is_of_stream(figure),
    },
    Plot {
        file: "memory-of-a-stream.svg",
        heading: "Resident memory of an open stream",
        axis: "KB; the mark is the target",
        scale: 1e3,
        shows: |figure| figure.unit == Unit::ResidentBytes && is_of_stream(figure),
    },
    Plot {
        file: "bytes-a-key.svg",
        heading: "What is kept for each key, of few and of many",
        axis: "bytes",
        scale: 1.0,
        shows: |figure| figure.unit == Unit::Bytes,
    },
    Plot {
        file: "growth.svg",
        heading: "Many keys beside few: what one of them takes",
        axis: "times as much; the mark is the target",
        scale: 1.0,
        shows: |figure| figure.unit == Unit::Times && figure.id.contains("/growth/"),
    },
];

fn is_of_two(figure: &Figure) -> bool {
    figure.id.contains("/two-threads/")
}

fn is_of_stream(figure: &Figure) -> bool {
    figure.id.contains("open-stream/")
}

/// Draws all plots of which there is something to see into `folder`. Returns their names.
pub fn draw(figures: &[Figure], folder: &Path) -> Result<Vec<String>, Failure> {
    let mut drawn = Vec::new();
    for plot in PLOTS {
        let shown: Vec<&Figure> = figures.iter().filter(|figure| (plot.shows)(figure)).collect();
        if !shown.is_empty() {
            fs::write(folder.join(plot.file), plot.svg(&shown)?)?;
            drawn.push(plot.file.to_owned());
        }
    }
    Ok(drawn)
}

impl Plot {
    fn svg(&self, figures: &[&Figure]) -> Result<String, Failure> {
        let mut svg = String::new();
        let height = 90 + BAR * figures.len() as u32;
        let area = SVGBackend::with_string(&mut svg, (WIDTH, height)).into_drawing_area();
        let ends = figures.iter().map(|figure| figure.value.max(figure.at_most.unwrap_or_default()) / self.scale);
        // Room for the number behind the longest bar.
        let most = ends.fold(0.0, f64::max).max(f64::MIN_POSITIVE) * 1.12;
        let text =
            |size: u32| -> TextStyle<'_> { (FontFamily::SansSerif, size).with_color(INK).into_text_style(&area) };
        let mut chart = ChartBuilder::on(&area)
            .caption(self.heading, text(17))
            .margin(10)
            .x_label_area_size(40)
            .set_label_area_size(LabelAreaPosition::Left, NAMES)
            .build_cartesian_2d(0.0..most, figures.len() as f64..0.0)?;
        let mesh = &mut chart.configure_mesh();
        mesh.disable_y_mesh().disable_y_axis().x_desc(self.axis).axis_desc_style(text(13)).label_style(text(12));
        mesh.axis_style(INK).bold_line_style(INK.mix(0.3)).light_line_style(INK.mix(0.0)).draw()?;
        for (place, figure) in figures.iter().enumerate() {
            let (top, value) = (place as f64, figure.value / self.scale);
            let colour = match figure.is_met() {
                Some(true) => MET,
                Some(false) => MISSED,
                None => OTHER,
            };
            let anchored = |side| text(12).pos(Pos::new(side, VPos::Center));
            chart.draw_series([Rectangle::new([(0.0, top + 0.2), (value, top + 0.8)], colour.filled())])?;
            let beside = |x: f64, gap, words, side| {
                EmptyElement::at((x, top + 0.5)) + Text::new(words, (gap, 0), anchored(side))
            };
            let end = value.max(figure.at_most.unwrap_or_default() / self.scale);
            chart.draw_series([
                beside(0.0, -GAP, figure.what.clone(), HPos::Right),
                beside(end, GAP, figure.unit.show(figure.value), HPos::Left),
            ])?;
            if let Some(at_most) = figure.at_most {
                let mark = (at_most / self.scale, top);
                chart.draw_series([PathElement::new([mark, (mark.0, top + 1.0)], INK.stroke_width(2))])?;
            }
        }
        area.present()?;
        drop(chart);
        drop(area);
        Ok(svg)
    }
}
