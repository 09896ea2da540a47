//! What the benchmarks share: rounds in which rivals take turns, a table, and JSON.

#![allow(dead_code, reason = "each benchmark uses a part of this")]

use std::io::Write as _;
use std::path::PathBuf;

/// The fastest a figure may fall short of, or the slowest it may reach.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Bar {
    AtMost(f64),
    AtLeast(f64),
    /// Whatever it is, it is reported.
    None,
}

impl Bar {
    fn is_met(self, value: f64) -> bool {
        match self {
            Self::AtMost(bar) => value <= bar,
            Self::AtLeast(bar) => value >= bar,
            Self::None => true,
        }
    }

    fn text(self) -> String {
        match self {
            Self::AtMost(bar) => format!("<= {bar}"),
            Self::AtLeast(bar) => format!(">= {bar}"),
            Self::None => "-".to_owned(),
        }
    }
}

/// One line of the table. `min` and `max` are the spread of what the bar is about: the ratio
/// where there is a rival, our own figure where there is none.
struct Figure {
    name: String,
    ours: f64,
    rival: Option<f64>,
    ratio: Option<f64>,
    min: f64,
    max: f64,
    bar: Bar,
}

impl Figure {
    fn met(&self) -> bool {
        self.bar.is_met(self.ratio.unwrap_or(self.ours))
    }

    fn end(&self) -> &'static str {
        match self.bar {
            Bar::None => "",
            _ if self.met() => "met",
            _ => "MISSED",
        }
    }
}

/// A rival in a [`Bench::contest`]: its name, and a bar for each of the contest's figures.
pub(crate) struct Rival<'a, const N: usize> {
    pub(crate) name: &'a str,
    pub(crate) bars: [Bar; N],
    pub(crate) turn: Turn<'a, N>,
}

/// Measures once; told whether this is the round that only warms up.
pub(crate) type Turn<'a, const N: usize> = &'a mut dyn FnMut(bool) -> [f64; N];

/// A benchmark's run: its options and the figures so far.
pub(crate) struct Bench {
    json: Option<PathBuf>,
    only: Option<String>,
    quick: bool,
    figures: Vec<Figure>,
    not_run: Vec<String>,
}

impl Bench {
    /// Reads the command line: `--json FILE`, `--quick` for a short run that shows only that all
    /// works, and a part of the names to be measured. Cargo itself adds `--bench`; without it, as
    /// under `cargo test`, the run is quick.
    pub(crate) fn from_args() -> Result<Self, String> {
        let (figures, not_run) = (Vec::new(), Vec::new());
        let mut bench = Self { json: None, only: None, quick: true, figures, not_run };
        let mut measured = false;
        let mut quick = false;
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--bench" => measured = true,
                "--quick" => quick = true,
                "--json" => {
                    bench.json = Some(arguments.next().ok_or("--json needs a file")?.into());
                }
                option if option.starts_with('-') => return Err(format!("no option {option}")),
                name => bench.only = Some(name.to_owned()),
            }
        }
        bench.quick = quick || !measured;
        Ok(bench)
    }

    /// `full`, or `quick` in a quick run.
    pub(crate) fn pick<T>(&self, full: T, quick: T) -> T {
        if self.quick { quick } else { full }
    }

    pub(crate) fn is_wanted(&self, name: &str) -> bool {
        self.only.as_ref().is_none_or(|only| name.contains(only.as_str()))
    }

    /// Measures ours and the rival in turn, who begins taking turns too; the ratio is ours to the
    /// rival's, round by round.
    pub(crate) fn compare(
        &mut self,
        name: &str,
        bar: Bar,
        rounds: usize,
        mut ours: impl FnMut() -> f64,
        mut rival: impl FnMut() -> f64,
    ) {
        if !self.is_wanted(name) {
            return;
        }
        let rounds = self.pick(rounds, 1);
        // The first round warms caches and allocator, and is dropped.
        let mut pairs = Vec::with_capacity(rounds + 1);
        for round in 0..=rounds {
            pairs.push(if round % 2 == 0 {
                let ours = ours();
                (ours, rival())
            } else {
                let rival = rival();
                (ours(), rival)
            });
        }
        pairs.remove(0);
        let (min, ratio, max) = spread(pairs.iter().map(|(ours, rival)| ours / rival).collect());
        let (_, ours, _) = spread(pairs.iter().map(|pair| pair.0).collect());
        let (_, rival, _) = spread(pairs.iter().map(|pair| pair.1).collect());
        let (rival, ratio) = (Some(rival), Some(ratio));
        self.add(Figure { name: name.to_owned(), ours, rival, ratio, min, max, bar });
    }

    /// Measures ours alone.
    pub(crate) fn measure(
        &mut self,
        name: &str,
        bar: Bar,
        rounds: usize,
        mut ours: impl FnMut() -> f64,
    ) {
        if !self.is_wanted(name) {
            return;
        }
        let rounds = self.pick(rounds, 1);
        let (min, ours, max) = spread((0..=rounds).map(|_| ours()).skip(1).collect());
        self.add(Figure { name: name.to_owned(), ours, rival: None, ratio: None, min, max, bar });
    }

    /// Measures how much more ours takes than the rival, who begins taking turns too.
    pub(crate) fn difference(
        &mut self,
        name: &str,
        bar: Bar,
        rounds: usize,
        mut ours: impl FnMut() -> f64,
        mut rival: impl FnMut() -> f64,
    ) {
        let mut flip = false;
        self.measure(name, bar, rounds, || {
            flip = !flip;
            if flip {
                let ours = ours();
                ours - rival()
            } else {
                let rival = rival();
                ours() - rival
            }
        });
    }

    /// Measures several figures of ours and of each rival in turn, another beginning each round;
    /// the ratios are ours to each rival's, round by round.
    pub(crate) fn contest<const N: usize>(
        &mut self,
        name: &str,
        figures: [&str; N],
        rounds: usize,
        ours: Turn<'_, N>,
        rivals: Vec<Rival<'_, N>>,
    ) {
        if !self.is_wanted(name) {
            return;
        }
        let rounds = self.pick(rounds, 1);
        let mut turns: Vec<Turn<'_, N>> = vec![ours];
        let mut about = Vec::new();
        for Rival { name, bars, turn } in rivals {
            turns.push(turn);
            about.push((name, bars));
        }
        let count = turns.len();
        let mut measured = vec![Vec::new(); count];
        for round in 0..=rounds {
            for at in (0..count).map(|at| (at + round) % count) {
                let came = turns[at](round == 0);
                if round > 0 {
                    measured[at].push(came);
                }
            }
        }
        let own = measured.remove(0);
        for ((rival, bars), theirs) in about.into_iter().zip(measured) {
            for (at, what) in figures.iter().enumerate() {
                let ratios = own.iter().zip(&theirs).map(|(own, theirs)| own[at] / theirs[at]);
                let (min, ratio, max) = spread(ratios.collect());
                let middle = |of: &[[f64; N]]| spread(of.iter().map(|round| round[at]).collect()).1;
                self.add(Figure {
                    name: format!("{name}, {what}: against {rival}"),
                    ours: middle(&own),
                    rival: Some(middle(&theirs)),
                    ratio: Some(ratio),
                    min,
                    max,
                    bar: bars[at],
                });
            }
        }
    }

    /// Notes what could not be measured here, and why.
    pub(crate) fn not_run(&mut self, name: &str, why: &str) {
        if self.is_wanted(name) {
            self.not_run.push(format!("NOT RUN: {name}: {why}"));
        }
    }

    fn add(&mut self, figure: Figure) {
        eprintln!("measured: {}: {}", figure.name, number(figure.ratio.unwrap_or(figure.ours)));
        self.figures.push(figure);
    }

    /// Prints the table and writes the JSON.
    pub(crate) fn finish(self) -> Result<(), String> {
        let width = self.figures.iter().map(|figure| figure.name.len()).max().unwrap_or(0);
        println!(
            "\n{:width$}  {:>10}  {:>10}  {:>7}  {:>17}  bar",
            "", "ours", "rival", "ratio", "spread"
        );
        for figure in &self.figures {
            let optional = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), number);
            println!(
                "{:width$}  {:>10}  {:>10}  {:>7}  {:>8}-{:<8}  {} {}",
                figure.name,
                number(figure.ours),
                optional(figure.rival),
                optional(figure.ratio),
                number(figure.min),
                number(figure.max),
                figure.bar.text(),
                figure.end(),
            );
        }
        for line in &self.not_run {
            println!("{line}");
        }
        if self.quick {
            println!("a quick run: these figures show only that the benchmark works");
        }
        let Some(path) = &self.json else { return Ok(()) };
        let write = || std::fs::File::create(path)?.write_all(self.to_json().as_bytes());
        write().map_err(|error| format!("cannot write {}: {error}", path.display()))
    }

    fn to_json(&self) -> String {
        let figures = self.figures.iter().map(|figure| {
            serde_json::json!({
                "name": figure.name,
                "ours": figure.ours,
                "rival": figure.rival,
                "ratio": figure.ratio,
                "min": figure.min,
                "max": figure.max,
                "bar": figure.bar.text(),
                "met": figure.met(),
            })
        });
        let lines: Vec<String> = figures.map(|figure| format!("  {figure}")).collect();
        format!("[\n{}\n]\n", lines.join(",\n"))
    }
}

/// Least, median and greatest.
fn spread(mut values: Vec<f64>) -> (f64, f64, f64) {
    values.sort_by(f64::total_cmp);
    match (values.first(), values.get(values.len() / 2), values.last()) {
        (Some(&min), Some(&median), Some(&max)) => (min, median, max),
        _ => (f64::NAN, f64::NAN, f64::NAN),
    }
}

fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 1_000.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}
