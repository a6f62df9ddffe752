//! Prometheus' text format.
//! Source: Prometheus, "Exposition formats", text format 0.0.4.

use std::fmt::{Display, Write as _};

use super::cells::Totals;

/// Names and values that tell the series of a family apart.
pub(super) type Labels = Vec<(&'static str, String)>;

/// What a family's values are.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// A page as it is written, family by family.
#[derive(Debug, Default)]
pub(super) struct Page {
    text: String,
    family: String,
}

impl Page {
    /// Begins a family. All of its samples follow before the next one begins.
    pub(super) fn family(&mut self, name: &str, kind: Kind, help: &str) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        if !help.is_empty() {
            _ = writeln!(self.text, "# HELP {name} {help}");
        }
        _ = writeln!(self.text, "# TYPE {name} {kind}");
        name.clone_into(&mut self.family);
    }

    pub(super) fn sample(&mut self, labels: &[(&str, String)], value: impl Display) {
        self.line("", labels, None, value);
    }

    pub(super) fn histogram<const N: usize>(&mut self, labels: &[(&str, String)], totals: &Totals<N>) {
        let mut count = 0;
        for (bound, within) in totals.bounds.told().zip(totals.within) {
            count += within;
            self.line("_bucket", labels, Some(&general(bound)), count);
        }
        count += totals.above;
        self.line("_bucket", labels, Some("+Inf"), count);
        if totals.bounds.per() == 1.0 {
            self.line("_sum", labels, None, totals.sum);
        } else {
            self.line("_sum", labels, None, totals.sum as f64 / totals.bounds.per());
        }
        self.line("_count", labels, None, count);
    }

    fn line(&mut self, suffix: &str, labels: &[(&str, String)], le: Option<&str>, value: impl Display) {
        self.text.push_str(&self.family);
        self.text.push_str(suffix);
        let labels = labels.iter().map(|(name, value)| (*name, value.as_str()));
        for (i, (name, value)) in labels.chain(le.map(|le| ("le", le))).enumerate() {
            self.text.push(if i == 0 { '{' } else { ',' });
            self.text.push_str(name);
            self.text.push_str("=\"");
            escape(value, &mut self.text);
            self.text.push('"');
        }
        if self.text.ends_with('"') {
            self.text.push('}');
        }
        _ = writeln!(self.text, " {value}");
    }

    pub(super) fn into_text(self) -> String {
        self.text
    }
}

fn escape(value: &str, text: &mut String) {
    for c in value.chars() {
        match c {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            c => text.push(c),
        }
    }
}

/// A number in six significant digits, as C's `%g` and so the reference writes it.
fn general(number: f64) -> String {
    let text = format!("{number:.5e}");
    let Some((digits, exponent)) = text.split_once('e') else { return text };
    let Ok(exponent) = exponent.parse::<i32>() else { return text };
    let shortened = |text: &str| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    };
    if (-4..6).contains(&exponent) {
        let places = usize::try_from(5 - exponent).unwrap_or(0);
        return shortened(&format!("{number:.places$}"));
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{}e{sign}{:02}", shortened(digits), exponent.abs())
}

#[cfg(test)]
mod tests {
    use super::super::bounds::{EXAMPLES, SECONDS};
    use super::super::cells::Histogram;
    use super::*;

    #[test]
    fn numbers_have_six_digits() {
        for (number, want) in [
            (10.0, "10"),
            (58.32, "58.32"),
            (104.976, "104.976"),
            (188.9568, "188.957"),
            (252_872_567.0, "2.52873e+08"),
            (1_474_763_829.0, "1.47476e+09"),
            (999_999.6, "1e+06"),
            (0.0001, "0.0001"),
            (0.000_025, "2.5e-05"),
            (0.0, "0"),
        ] {
            assert_eq!(general(number), want);
        }
    }

    #[test]
    fn a_family_is_written_as_prometheus_reads_it() {
        let mut page = Page::default();
        page.family(":a:b", Kind::Counter, "");
        page.sample(&[], 5);
        page.sample(&[("model", "a\"b\\c\nd".to_owned()), ("x", String::new())], 0.5);
        let histogram = Histogram::new(&SECONDS);
        histogram.add(1_500_000_000);
        histogram.add(20_000_000_000);
        let mut totals = Totals::new(&SECONDS);
        totals.take(&histogram);
        page.family("s", Kind::Histogram, "How long.");
        page.histogram(&[("m", "x".to_owned())], &totals);
        let text = page.into_text();
        assert!(text.starts_with(
            "# TYPE :a:b counter\n:a:b 5\n:a:b{model=\"a\\\"b\\\\c\\nd\",x=\"\"} 0.5\n\
             # HELP s How long.\n# TYPE s histogram\ns_bucket{m=\"x\",le=\"1e-05\"} 0\n"
        ));
        assert!(text.ends_with(
            "s_bucket{m=\"x\",le=\"1\"} 0\ns_bucket{m=\"x\",le=\"2.5\"} 1\ns_bucket{m=\"x\",le=\"5\"} 1\n\
             s_bucket{m=\"x\",le=\"10\"} 1\ns_bucket{m=\"x\",le=\"+Inf\"} 2\ns_sum{m=\"x\"} 21.5\n\
             s_count{m=\"x\"} 2\n"
        ));
    }

    #[test]
    fn whole_numbers_stay_whole() {
        let histogram = Histogram::new(&EXAMPLES);
        histogram.add(3);
        let mut totals = Totals::new(&EXAMPLES);
        totals.take(&histogram);
        let mut page = Page::default();
        page.family("e", Kind::Histogram, "");
        page.histogram(&[], &totals);
        let text = page.into_text();
        assert!(
            text.contains("e_bucket{le=\"2\"} 0\ne_bucket{le=\"4\"} 1\n") && text.contains("\ne_sum 3\n")
        );
    }
}
